# `make sweep` on a fresh clone makes .venv, installs the suite, runs a sweep and writes the board.

SWEEP ?= quick
VENV := .venv
INSTALLED := $(VENV)/installed
TESTABLE := $(VENV)/installed-dev
PY := $(VENV)/bin/python
# The first Python here that is new enough; set PYTHON to choose another.
PYTHON ?= $(shell for each in python3.11 python3 python3.12 python3.13; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)

# Of all that is installed pip would write the bytecode, which takes longer than installing; of what
# a run imports it is written here, wherever Python is told (as in containers) to write none.
INSTALL := $(PY) -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e

# Two torch threads on tiny tensors are many times slower than one: tests and CPU runs use one each.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install sweep leaderboard release wandb-sync bench bench-steps bench-data bench-board test test-quick soak lint format clean

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(INSTALLED)  ## Make .venv with what a sweep needs; other targets do it by themselves

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer here; name one with make PYTHON=..." >&2; exit 2; }
	@echo "installing into $(VENV), once"
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) .
	@PYTHONDONTWRITEBYTECODE= $(PY) -c "import benchmark.one_run"
	@touch $@

$(TESTABLE): $(INSTALLED)
	@echo "installing what style, types and tests need into $(VENV), once"
	@$(INSTALL) '.[dev]'
	@touch $@

sweep: $(INSTALLED)  ## Run what SWEEP (quick) lacks, ON=local, ray or slurm, and write the leaderboard
	@$(PY) -m benchmark sweep $(SWEEP) $(if $(ON),--on $(ON))

leaderboard: $(INSTALLED)  ## Write the boards of the records in results/
	@$(PY) -m benchmark leaderboard

release: $(INSTALLED)  ## Freeze the tables of the committed boards as this version
	@$(PY) -m benchmark freeze

bench: bench-steps bench-data bench-board  ## Run every benchmark of speed there is

bench-steps: $(INSTALLED)  ## Measure each method's step beside the papers' form and the frozen ViT
	@$(PY) -m benchmark bench

bench-data: $(INSTALLED)  ## Compare decoders on videos of VIDEOS, a folder, or on some it writes
	@$(PY) -m benchmark bench-data $(if $(VIDEOS),"$(VIDEOS)")

bench-board: $(INSTALLED)  ## Measure how long the board of 10,000 records takes
	@$(PY) -m benchmark bench-board

wandb-sync: $(INSTALLED)  ## Upload what wandb kept while it was offline
	@$(PY) -m benchmark wandb-sync

test: lint  ## Check style and types, and run all tests
	@$(PY) -m pytest -q -n logical --dist worksteal

test-quick: $(TESTABLE)  ## Run the tests that take under a minute together
	@$(PY) -m pytest -q -m "not slow and not gpu" -n logical --dist worksteal

soak: $(TESTABLE)  ## Sweep while faults of SEED happen, ON=local, ray or slurm, and compare every bit
	@PYTHONPATH=tests/fixtures $(PY) tests/soak $(if $(ON),--on $(ON)) $(if $(SEED),--seed $(SEED))

lint: $(TESTABLE)  ## Check style and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: $(TESTABLE)  ## Mend what can be mended of style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean:  ## Remove what tools cached; .venv, runs/ and results/ stay
	@rm -rf .mypy_cache .pytest_cache .ruff_cache build *.egg-info
	@find benchmark datamodules tests -name __pycache__ -type d -prune -exec rm -rf {} +
