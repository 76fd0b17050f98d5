# Two commands on a fresh machine: `make run` and `make test`. Each sets up what it needs.
#
# A Linux laptop without a GPU need not load PyTorch's CUDA build: name PyTorch's CPU index in
# your own pip configuration (`pip config set global.extra-index-url ADDRESS`), or for once
# `make run PIP_ARGS="--extra-index-url ADDRESS"`. pip prefers the CPU build wherever it is offered.

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
PROFILE ?= quick
# Workers of the tests. Each worker computes on one thread.
JOBS ?= 2
# What `make test` leaves to `make test-all`.
MARKS ?= not slow and not network
COVERAGE_FLOOR ?= 85
# Tests of a file share what they trained, so they stay in one worker. Files come in the order of
# tests/conftest.py, which begins with those that drive Chromium, not by their number of tests.
BY_FILE := --dist loadfile --no-loadscope-reorder

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_BOOK := $(VENV)/.installed-book
NOTEBOOKS := $(shell find notebooks -name '*.ipynb' -not -path '*/.*' 2>/dev/null | sort)
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# Bytecode is kept, whatever the machine is set to: else each worker, each kernel and each command
# that a test starts compiles the whole package anew.
KEEP_BYTECODE := PYTHONDONTWRITEBYTECODE=

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-notebooks lab notebooks book bench samples lint pins clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' Makefile

run: $(INSTALLED) samples ## Set up, then run every notebook (PROFILE=quick|gpu|paper): report in runs/
	$(BIN)/fmtutor run --profile $(PROFILE)

test: $(INSTALLED_DEV) samples ## Set up, then run the fast tests, in Chromium too, and all notebooks (13 to 20 minutes)
	$(ONE_THREAD) $(KEEP_BYTECODE) $(BIN)/python -m pytest -q -rs -n $(JOBS) $(BY_FILE) -m "$(MARKS)" \
	  --durations 10
	@$(MAKE) --no-print-directory test-notebooks

# Coverage is counted here alone: counting costs time that the fast tests have not.
test-all: $(INSTALLED_DEV) samples ## All tests, the slow ones and those that need a network too, with coverage
	$(ONE_THREAD) $(KEEP_BYTECODE) $(BIN)/python -m pytest -q -n $(JOBS) $(BY_FILE) \
	  --durations 20 --cov fmtutor --cov-report term --cov-fail-under $(COVERAGE_FLOOR)
	@$(MAKE) --no-print-directory test-notebooks

# nbval has a pytest run of its own: neither coverage nor the shape checks may reach its kernels,
# and loadfile keeps the cells of one notebook in one worker.
test-notebooks: $(INSTALLED_DEV) ## Run the notebooks and compare their checked outputs
ifeq ($(NOTEBOOKS),)
	@echo "no notebooks yet"
else
	$(ONE_THREAD) $(KEEP_BYTECODE) $(BIN)/python -m pytest -q -o addopts="" -p no:cacheprovider -n $(JOBS) \
	  --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout 180 $(NOTEBOOKS)
endif

lab: $(INSTALLED) samples ## Open JupyterLab
	$(BIN)/jupyter lab notebooks

notebooks: $(INSTALLED) samples ## Execute the committed notebooks in place (quick profile)
	$(BIN)/fmtutor run --in-place

book: $(INSTALLED_BOOK) ## Render notebooks, tables and the package as a site in build/book/site
	$(ONE_THREAD) $(BIN)/python -m book.build

bench: $(INSTALLED) samples ## Run every benchmark in its short form (22 minutes)
	@failed=""; for script in benchmarks/*/run.py; do \
	  echo "== $$script"; $(BIN)/python $$script --short || failed="$$failed $$script"; done; \
	  [ -z "$$failed" ] || { echo "not finished:$$failed"; exit 1; }

samples: $(INSTALLED) ## Fetch the real volumes into the user's cache (once)
	$(BIN)/fmtutor samples

lint: $(INSTALLED_DEV) ## Style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

pins: ## Write the pins of constraints.txt into the environment files
	$(PYTHON) tests/environment_files.py

clean: ## Remove the virtual environment, caches and runs (never the samples)
	rm -rf $(VENV) runs build htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
	  .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	  'Python 3.11 or newer is needed, this is ' + sys.version.split()[0] + \
	  '; name another: make PYTHON=python3.12 ...')"
	@$(PYTHON) -c "import ensurepip" 2>/dev/null || { \
	  echo "Python's venv module is incomplete; on Debian or Ubuntu: apt-get install python3-venv"; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the pinned packages into $(VENV): some minutes the first time"
	@$(PIP) install -qq -c constraints.txt $(PIP_ARGS) -e .
	@touch $@

$(INSTALLED_DEV): pyproject.toml constraints.txt $(INSTALLED)
	@$(PIP) install -qq -c constraints.txt $(PIP_ARGS) -e ".[dev]"
	@touch $@

$(INSTALLED_BOOK): pyproject.toml constraints.txt $(INSTALLED)
	@$(PIP) install -qq -c constraints.txt $(PIP_ARGS) -e ".[book]"
	@touch $@
