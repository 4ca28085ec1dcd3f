# Sets up, builds, tests and shows torchcrop_fast. `make` lists the targets.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.14.1
# That for the torch above, and what needs it; the tests run without, too, and say what they skip.
TORCHVISION ?= $(if $(filter 2.14.1,$(TORCH)),0.29.1)
EXTRA := $(if $(TORCHVISION),dev,test)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A stamp stands for what was done, and is done again when what its rule names is newer. The libraries are built into the
# source tree, for one environment at a time: build/.venv says for which.
INSTALLED := $(VENV)/.installed-$(TORCH)
BUILT := build/.built
SOURCES := $(shell find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu')
OTHER_VENV := .venv-torch-$(TORCH)
OTHER ?= 2.14.0
FRESH_VENV := .venv-fresh
DEPLOY := build/deploy
CMAKE := $(firstword $(wildcard $(BIN)/cmake) cmake)

.PHONY: FORCE help install demo example-deploy wheel bench test test-all test-emulation test-reliability lint lock format
.PHONY: check-wheel check-torch check-cpp test-matrix clean

help:  ## list the targets
	@echo "make TARGET [PYTHON=python3] [VENV=.venv]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' Makefile

$(INSTALLED):
	@$(PYTHON) setup.py --check-tools
	@echo "Installing torch $(TORCH) into $(VENV): some minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) torch==$(TORCH) $(TORCHVISION:%=torchvision==%) "setuptools>=77" ninja
	@touch $@

build/.venv: FORCE
	@mkdir -p build
	@echo $(INSTALLED) | cmp -s - $@ || echo $(INSTALLED) > $@

$(BUILT): $(INSTALLED) build/.venv setup.py pyproject.toml $(SOURCES)
	@$(PYTHON) setup.py --check-tools
	@echo "Building torchcrop_fast into $(VENV): about a minute."
	@$(PIP) --no-build-isolation --editable ".[$(EXTRA)]"
	@touch $@

install: $(BUILT)  ## make the virtual environment and build the package into it

demo: $(BUILT)  ## crop real digits, compare with nn.ZeroPad2d, write crop_demo.png
	@$(BIN)/python -m torchcrop_fast demo

example-deploy: $(BUILT)  ## train, export, and run the model in a C++ program: two minutes
	@test -f $(DEPLOY)/models/digits.pt2 || $(BIN)/python examples/deploy/export.py $(DEPLOY)/models
	@$(CMAKE) -S examples/deploy -B $(DEPLOY)/program \
	    -DCMAKE_PREFIX_PATH="$$($(BIN)/python -c 'import torchcrop_fast; print(torchcrop_fast.cmake_prefix_path)')" >/dev/null
	@$(CMAKE) --build $(DEPLOY)/program >/dev/null
	$(DEPLOY)/program/deploy classify $(DEPLOY)/models/digits.pt $(DEPLOY)/models/*.p?m
	$(DEPLOY)/program/deploy classify $(DEPLOY)/models/digits.pt2 $(DEPLOY)/models/*.p?m
	$(DEPLOY)/program/deploy_unlinked --library torchcrop_fast/libtorchcrop_fast.so \
	    classify $(DEPLOY)/models/digits.pt $(DEPLOY)/models/*.p?m
	$(DEPLOY)/program/deploy train $(DEPLOY)/models/network.pt
	$(DEPLOY)/program/deploy compare $(DEPLOY)/models

wheel: $(BUILT)  ## build a wheel, for the torch of the environment, and an sdist into dist/
	rm -rf dist build/lib.* build/bdist.*
	$(BIN)/python -m build --no-isolation --wheel --outdir dist .
	$(BIN)/python -m build --no-isolation --sdist --outdir dist .
	$(BIN)/twine check --strict dist/*

bench: $(BUILT)  ## measure ours beside its peers, cache on and off: some ten minutes on an idle machine
	$(BIN)/python -m torchcrop_fast bench --json bench/results/cpu.json --plot docs/performance.png
	TORCHCROP_FAST_CACHE=0 $(BIN)/python -m torchcrop_fast bench sweep --json bench/results/cpu-cache-off.json

# Else threads that wait for each other use up the cores of those that work.
test test-all test-emulation: export OMP_WAIT_POLICY := passive

test: $(BUILT)  ## run the tests, of some large tables a sample
	$(BIN)/python -m pytest -n auto --dist worksteal --durations=10

test-all: $(BUILT)  ## run every case of every test, and what test-emulation runs
	$(BIN)/python -m pytest -n auto --dist worksteal --durations=10 --all-cases -m "not reliability"

test-emulation: $(BUILT)  ## run very many random cases through the GPU's kernels, on the CPU
	$(BIN)/python -m pytest -n auto --dist worksteal -m emulation tests/test_emulation.py

test-reliability: $(BUILT)  ## run the long tests of reliability: ten million inputs through each fuzz target, and the like
	$(BIN)/python -m pytest -m reliability

lock: $(BUILT)  ## write down the versions that are installed, for CI to take
	@$(BIN)/python -m pip freeze --all --exclude-editable --exclude pip > .ci/constraints.txt

lint: $(BUILT)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.h' '*.cpp' '*.cu')

format: $(BUILT)  ## put all code into the style that lint asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files '*.h' '*.cpp' '*.cu')

.PHONY: gpu-count gpu-report gpu-tune
gpu-count: $(BUILT)  ## count what the GPU kernels cost, without a GPU: it needs nvcc
	@$(BIN)/python -m bench.gpu_counts

gpu-report:  ## on a machine with a GPU: build, test, check and measure there, with PYTHON's own torch
	@$(PYTHON) -m bench.gpu

gpu-tune:  ## on a machine with a GPU: time what the kernels leave open, and recommend
	@$(PYTHON) -m bench.gpu_tune

check-wheel: wheel  ## build the wheel, install it beside another patch release of torch, OTHER, and verify there
	@rm -rf $(FRESH_VENV)
	@$(PYTHON) -m venv $(FRESH_VENV)
	@$(FRESH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check torch==$(OTHER) dist/*.whl
	@cd $(FRESH_VENV) && bin/python -m torchcrop_fast info && bin/python -m torchcrop_fast verify
	@rm -rf $(FRESH_VENV)

check-torch:  ## build against another torch and verify there, as in make check-torch TORCH=2.11.0
	@$(PYTHON) setup.py --check-tools
	@echo "Installing torch $(TORCH) into $(OTHER_VENV), building against it, verifying: some minutes."
	@test -x $(OTHER_VENV)/bin/python || $(PYTHON) -m venv $(OTHER_VENV)
	@$(OTHER_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	    torch==$(TORCH) "setuptools>=77" ninja
	@$(OTHER_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --no-build-isolation --no-deps --force-reinstall .
	@cd $(OTHER_VENV) && bin/python -m torchcrop_fast info && bin/python -m torchcrop_fast verify

check-cpp: check-torch  ## the same, and the C++ suite (it needs GoogleTest)
	@rm -rf build/suite-$(TORCH)
	@$(CMAKE) -S tests/cpp/installed -B build/suite-$(TORCH) -DCMAKE_PREFIX_PATH="$$(cd $(OTHER_VENV) && \
	    bin/python -c 'import torchcrop_fast; print(torchcrop_fast.cmake_prefix_path)')" >/dev/null
	@$(CMAKE) --build build/suite-$(TORCH) --parallel 2 >/dev/null
	@build/suite-$(TORCH)/ops_test --gtest_brief=1

# The Pythons are asked for before hours of work; environments that only verify take 6 GB each, and are removed.
test-matrix:  ## all tests with two torches and two Pythons, the C++ suite with two more torches, verify with all else: two hours
	for python in $(PYTHON) python3.10 python3.12 python3.13; do $$python setup.py --check-tools || exit; done
	$(MAKE) test
	$(MAKE) check-wheel
	$(MAKE) test TORCH=2.13.0 VENV=.venv-tests-2.13.0
	$(MAKE) test PYTHON=python3.12 VENV=.venv-python3.12
	for torch in 2.11.0 2.12.0; do $(MAKE) check-cpp TORCH=$$torch && rm -rf .venv-torch-$$torch || exit; done
	for python in python3.10 python3.13; do \
	    $(MAKE) check-torch PYTHON=$$python OTHER_VENV=.venv-$$python && rm -rf .venv-$$python || exit; done

clean:  ## remove what was built, but not the virtual environments
	rm -rf build dist *.egg-info torchcrop_fast/*.so torchcrop_fast/_build_info.py torchcrop_fast/include torchcrop_fast/share
