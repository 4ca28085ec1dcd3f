"""The command line: ``python -m torchcrop_fast info | verify | demo | bench``."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from torchcrop_fast import _C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m torchcrop_fast", description="The crop layer that PyTorch lacks.")
    commands = parser.add_subparsers(dest="command", required=True)

    commands.add_parser("info", help="print what a bug report needs: versions, build options, CPU, devices, threads")

    verify = commands.add_parser("verify", help="prove on this machine that ours equals torch's pad")
    verify.add_argument("--device", default="cpu", help="where the tensors live (default: %(default)s)")
    verify.add_argument("--cases", type=int, default=500, help="how many random cases (default: %(default)s)")
    verify.add_argument("--seed", type=int, default=0, help="which random cases (default: %(default)s)")

    demo = commands.add_parser("demo", help="crop real digits as 'Cropping layers with PyTorch' does, and as we do")
    demo.add_argument(
        "--data", type=Path, help="directory with torchvision's MNIST, instead of the 1,000 digits shipped"
    )
    demo.add_argument(
        "--download", action="store_true", help="let torchvision fetch MNIST into --data if it isn't there"
    )
    demo.add_argument("--out", type=Path, default=Path("crop_demo.png"), help="the picture (default: %(default)s)")

    bench = commands.add_parser(
        "bench", help="measure ours beside nn.ZeroPad2d, its real peers, and the physical limit"
    )
    families = ("layers", "override", "center_crop", "view", "per_sample", "compiled", "sweep")
    bench.add_argument("family", nargs="?", choices=families, help="which cases (default: all)")
    bench.add_argument("--quick", action="store_true", help="a sample of the cases, in a minute or so")
    bench.add_argument("--json", dest="json_file", type=Path, help="write the results there")
    bench.add_argument("--plot", type=Path, help="draw them there")
    bench.add_argument("--threads", default="1,2", help="how many threads, one run for each (default: %(default)s)")

    options = vars(parser.parse_args(arguments))
    if options.get("download") and options["data"] is None:
        parser.error("--download needs --data, the directory to fetch MNIST into")
    name = options.pop("command")
    if name != "info" and _C.torch_pad_overridden():
        parser.error(f"{name} compares with torch's own pads, which run our kernels: unset TORCHCROP_FAST_OVERRIDE")
    command = importlib.import_module("torchcrop_fast.bench.command" if name == "bench" else f"torchcrop_fast._{name}")
    status: int = command.run(**options)
    return status


if __name__ == "__main__":
    sys.exit(main())
