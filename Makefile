# Two commands do everything on a machine with Python 3.11+, make and a C++ compiler:
#   make demo   trains, compares, samples and draws (a few minutes)
#   make test   runs everything that must pass
# and `make bench` measures docs/benchmarks.md anew (half an hour on an idle machine).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# a folder's time changes when a file comes or goes, which the editable install must learn
SOURCE_FOLDERS := $(shell find src -type d -not -name __pycache__)
BUILD_INPUTS := pyproject.toml constraints.txt CMakeLists.txt $(wildcard kernels/*.*) $(SOURCE_FOLDERS)

CPP := $(wildcard kernels/*.h kernels/*.cpp kernels/tests/*.h kernels/tests/*.cpp)

.PHONY: setup demo bench test test-all sanitize neon count lint format clean

setup: $(VENV)/.installed

$(VENV)/.tools: constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'the development set-up needs Python 3.11 or newer, this is %d.%d; run make with PYTHON=python3.11' % sys.version_info[:2])"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt pip cmake ninja nanobind scikit-build-core
	touch $@

$(VENV)/.installed: $(VENV)/.tools $(BUILD_INPUTS)
	$(PIP) install --no-build-isolation -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/throughtime demo

bench: setup
	$(PIP) install -c constraints.txt -e '.[bench]' --no-build-isolation
	$(BIN)/python benchmarks/run.py build/benchmarks.json
	$(BIN)/python benchmarks/page.py build/benchmarks.json docs

test: setup lint
	$(BIN)/pytest

test-all: setup lint
	$(BIN)/pytest -m 'long or not long'

# the tests of the kernels in C++, under sanitizers and in an emulator of AArch64
sanitize: setup
	$(BIN)/pytest -m long tests/test_variants.py -k sanitizer

neon: setup
	$(BIN)/pytest -m long tests/test_variants.py -k neon

# instructions of the kernels, compared with kernels/tests/counts.json; UPDATE=1 writes that anew
count: setup
	$(BIN)/python tests/kernel_counts.py $(if $(UPDATE),--update)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

clean:
	rm -rf $(VENV) build
