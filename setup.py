"""Builds the two libraries: libtorchcrop_fast.so (the ops, no Python in it) and _C (the fast Python entry)."""

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path


def missing_tool():  # unannotated: older Pythons must get as far as their sentence
    """What this machine lacks to build, in one sentence."""
    compiler = os.environ.get("CXX", "c++").split()[0]
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        version = ".".join(map(str, sys.version_info[:3]))
        return f"torchcrop_fast needs Python 3.10 to 3.13, found {version}: run make PYTHON=python3.11."
    if shutil.which(compiler) is None:
        return f"torchcrop_fast needs a C++20 compiler, and there is no '{compiler}': install g++."
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "torchcrop_fast needs Python's headers, and there is no Python.h: install python3-dev."
    return None


if problem := missing_tool():
    sys.exit(problem)
if sys.argv[1:] == ["--check-tools"]:  # the Makefile asks before it downloads anything; it makes a venv, too
    has_venv = importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")
    sys.exit(None if has_venv else "This Python cannot make a virtual environment: install python3-venv.")
if importlib.util.find_spec("torch") is None:
    sys.exit(
        "torchcrop_fast is built against the torch that is installed, and there is none: install torch, then run"
        " 'pip install --no-build-isolation .'."
    )

import torch  # noqa: E402


def find_cuda() -> bool:
    """Whether to build for GPUs: where one is visible and there is a toolkit, or as FORCE_CUDA=1 or 0 says.

    Names the toolkit in CUDA_HOME, since torch takes any nvcc on PATH for a part of one.
    """
    forced = os.environ.get("FORCE_CUDA")
    if forced == "0" or not (forced or torch.cuda.is_available()):
        return False
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), nvcc and Path(nvcc).resolve().parents[1]]
    homes += ["/usr/local/cuda", f"/usr/local/cuda-{torch.version.cuda}"]
    found = [home for home in homes if home and Path(home, "include", "cuda_runtime.h").exists()]
    if torch.version.cuda is None:
        problem = "the torch that is installed has no CUDA."
    elif not found:
        where = ", ".join(str(home) for home in homes if home)
        problem = f"there is no CUDA toolkit in {where}: set CUDA_HOME to its directory."
    else:
        os.environ["CUDA_HOME"] = str(found[0])
        if not torch.cuda.is_available():
            os.environ.setdefault("TORCH_CUDA_ARCH_LIST", "8.0;9.0+PTX")
        return True
    if forced:
        sys.exit(f"FORCE_CUDA={forced} asks for the kernels for GPUs, and {problem}")
    print(f"Building without the kernels for GPUs, since {problem}")
    return False


WITH_CUDA = find_cuda()  # before torch.utils.cpp_extension reads CUDA_HOME

from setuptools import setup  # noqa: E402
from setuptools.command.build_py import build_py  # noqa: E402
from torch.utils import cpp_extension  # noqa: E402

ROOT = Path(__file__).parent
OPS_LIBRARY = "torchcrop_fast.libtorchcrop_fast"
OPS_SOURCES = sorted(
    str(path.relative_to(ROOT))
    for suffix in ("cpp", "cu")
    for path in ROOT.glob(f"csrc/*/*.{suffix}")
    if WITH_CUDA or (path.suffix == ".cpp" and path.name != "cuda.cpp")
)
TORCH_MINOR = ".".join(torch.__version__.split(".")[:2])
VERSION = re.search(r'^__version__ = "(.*)"$', (ROOT / "torchcrop_fast/__init__.py").read_text(), re.MULTILINE)[1]
# So that wheels for other torches have other names. An sdist is for all of them, and pip wants its version of what it
# builds.
LOCAL_VERSION = "" if "sdist" in sys.argv or (ROOT / "PKG-INFO").exists() else f"+torch{TORCH_MINOR}"
HEADERS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("csrc/**/*.h"))
FLAGS = ["-O3", "-g0", "-std=c++20", "-fopenmp", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"]
FLAGS += ["-fno-wrapv"]  # as CMake builds: Python's own flags would define what overflows
NVCC_FLAGS = ["-O3", "-std=c++20", "--expt-relaxed-constexpr"]


class BuildLibraries(cpp_extension.BuildExtension):
    """Builds the ops library under its plain name, then _C against it, and notes what both were built with."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # without ninja, too: what a killed build left half-made is newer than its sources
        self.build_temp = str(ROOT / "build" / f"torch-{torch.__version__}-{sysconfig.get_config_var('SOABI')}")

    def get_ext_filename(self, fullname: str) -> str:
        if fullname.endswith("libtorchcrop_fast"):
            return os.path.join(*fullname.split(".")) + ".so"
        return super().get_ext_filename(fullname)

    def build_extension(self, ext) -> None:
        if ext.name != OPS_LIBRARY:
            ext.library_dirs.append(self.package_folder())
        super().build_extension(ext)

    def run(self) -> None:
        super().run()
        Path(self.package_folder(), "_build_info.py").write_text(
            '"""What the libraries were built with. Written by setup.py."""\n\n'
            f"TORCH_VERSION = {torch.__version__!r}\n"
            f"COMPILER = {cpp_extension.get_cxx_compiler()!r}\n"
            f"FLAGS = {' '.join(FLAGS)!r}\n"
            f"CUDA_VERSION = {torch.version.cuda if WITH_CUDA else None!r}\n"
        )
        self.write_cmake_package()

    def write_cmake_package(self) -> None:
        """Write beside the library what C++ programs need: headers, and what find_package(torchcrop_fast) reads."""
        package = Path(self.package_folder())
        shutil.rmtree(package / "include", ignore_errors=True)
        shutil.copytree(ROOT / "csrc" / "include", package / "include")
        folder = package / "share" / "cmake" / "torchcrop_fast"
        folder.mkdir(parents=True, exist_ok=True)
        values = {
            "TORCH_FOLDER": "",  # beside the package
            "TORCH_MINOR": TORCH_MINOR,
            "UP": "../../..",
            "LIBRARY": "libtorchcrop_fast.so",
            "INCLUDE": "include",
            "CUDA": "ON" if WITH_CUDA else "OFF",
            "VERSION": VERSION,
        }
        for template in (ROOT / "cmake").glob("*.cmake.in"):
            text = re.sub("@([A-Z_]+)@", lambda name: values[name[1]], template.read_text())
            (folder / template.stem).write_text(text)
        shutil.copy(ROOT / "cmake" / "torch.cmake", folder)

    def package_folder(self) -> str:
        return str(Path(self.get_ext_fullpath(OPS_LIBRARY)).parent)


class BuildModules(build_py):
    """Leaves out tests."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if not module[1].startswith("test_")]


def library(name: str, sources: list[str], link: list[str], **kwargs):
    """Describe one of the two libraries."""
    has_cuda = any(source.endswith(".cu") for source in sources)
    extension = cpp_extension.CUDAExtension if has_cuda else cpp_extension.CppExtension
    return extension(
        name,
        sources,
        include_dirs=[str(ROOT / "csrc" / "include")],
        depends=HEADERS,
        extra_compile_args={"cxx": FLAGS, "nvcc": NVCC_FLAGS},
        extra_link_args=["-fopenmp", "-Wl,--as-needed", *link],
        **kwargs,
    )


setup(
    version=VERSION + LOCAL_VERSION,
    install_requires=[f"torch=={TORCH_MINOR}.*"],  # torch keeps its C++ ABI within a minor version
    ext_modules=[
        # py_limited_api keeps torch_python out of its libraries.
        library(OPS_LIBRARY, OPS_SOURCES, ["-Wl,-soname,libtorchcrop_fast.so"], py_limited_api=True),
        library("torchcrop_fast._C", ["csrc/python.cpp"], ["-Wl,-rpath,$ORIGIN"], libraries=["torchcrop_fast"]),
    ],
    cmdclass={"build_ext": BuildLibraries, "build_py": BuildModules},
)
