# Everything from a fresh clone: `make demo`, `make test`. Needs Python 3.11 or newer, make and a package index.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo test lint bench conformance constraints clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := dev,lava,minari,onnx,video
OUT ?= runs/demo

# The first Python that is new enough; the pins are tested with 3.11. `make install PYTHON=…` overrides.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
# Warnings of pip about the resolver are silenced: lava-nc is knowingly installed against its own metadata.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq -c constraints.txt

help:
	@echo "make demo         install, export a shipped policy, run it float and on the chip, compare, write the report"
	@echo "make test         install, lint, type check, import contracts, all tests"
	@echo "make install      the virtual environment in $(VENV) alone"
	@echo "make lint         ruff, mypy --strict, import contracts"
	@echo "make bench        speed of the kernel, of NumPy and of Lava"
	@echo "make conformance  every producer case and kind of neuron on every backend; writes docs/conformance.md"
	@echo "make constraints  pin constraints.txt anew, to the newest versions that pyproject.toml allows"
	@echo "make clean        remove $(VENV), caches and builds (runs/ stays)"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "strl needs Python 3.11 or newer; name one: make install PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@echo "[1/4] virtual environment in $(VENV) ($$($(PYTHON) --version))"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { \
		echo "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	@echo "[2/4] torch (the largest download)"
	@$(PIP) torch==2.13.0
	@echo "[3/4] strl and what it needs"
	@$(PIP) -e '.[$(EXTRAS)]'
	@echo "[4/4] lava-nc"
	@$(PIP) --no-deps --ignore-requires-python lava-nc==0.10.0
	@touch $@

demo: install
	@$(BIN)/strl demo -o $(OUT)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python tests/lava_session.py
	$(BIN)/pytest -q

bench: install
	$(BIN)/python -m benchmarks.speed

conformance: install
	$(BIN)/python -m benchmarks.conformance

# A throw-away environment without pins, frozen. What is only here (strl itself) or only this build
# (+cpu) is left out.
constraints:
	@rm -rf build/pins && $(PYTHON) -m venv build/pins
	@build/pins/bin/python -m pip install -qq torch==2.13.0
	@build/pins/bin/python -m pip install -qq '.[$(EXTRAS)]' 'numpy<2.4'
	@build/pins/bin/python -m pip install -qq --no-deps --ignore-requires-python lava-nc==0.10.0
	@{ sed -n '/^#/p' constraints.txt; build/pins/bin/python -m pip freeze \
		| sed -n -e '/^strl\b/d' -e 's/+cpu$$//' -e '/^[A-Za-z0-9._-]*==/p'; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt
	@rm -rf build/pins

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
