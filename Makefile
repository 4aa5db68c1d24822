# The few verbs that people and CI use. Each makes its own environment in .venv where there is none.
PYTHON ?= python3
BIN = .venv/bin
KILLS ?= 200

# Wings whose tests need no model and take seconds: CI measures these alone, as coverage slows tests by a third to a half.
QUICK = console images manifest plan storage
FLOOR = 94

# Bytecode is written when a module is first imported: most of what is installed never is.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help quickstart test soak lint wheel coverage coverage-quick clean

help:  ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --no-compile -c constraints.txt -e '.[dev]'
	$(BIN)/pip install -q --no-compile --no-deps -c constraints.txt open_clip_torch
	touch .venv/installed

quickstart: .venv/installed  ## set up, then the main job on the bundled demo model
	$(BIN)/crossinit run manifests/quickstart.yaml --workers 2

test: .venv/installed  ## set up, then all tests
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

soak: .venv/installed  ## what takes hours: KILLS=200 at random times, every fault point, long random histories
	CROSSINIT_SOAK_KILLS=$(KILLS) $(BIN)/python -m pytest -m soak -s

lint: .venv/installed  ## style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

wheel: .venv/installed  ## build the wheel into dist/, install it elsewhere, use it from there
	.ci/wheel

coverage: .venv/installed  ## all tests again, with the lines they reach; a third to a half slower
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

coverage-quick: .venv/installed  ## the figure that CI holds to its floor: wings whose tests need no model
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(QUICK:%=tests/%) --ignore tests/storage/test_buckets.py
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under $(FLOOR) --include "$$(printf 'crossinit_batch/%s/*,' $(QUICK))"

clean:  ## remove what the other verbs made
	rm -rf .venv dist out .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
