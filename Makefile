# `make benchmark` and `make test` work in a fresh clone: they first create .venv with pinned dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: benchmark test test-slow test-oldest lint clean

benchmark: $(INSTALLED)
	$(BIN)/edgelearn benchmark

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 -m slow

# RLlib pins this Gymnasium; it is put before the newest on the path.
OLDEST := $(VENV)/gymnasium-1.2.2
test-oldest: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target $(OLDEST) gymnasium==1.2.2
	PYTHONPATH=$(OLDEST) $(BIN)/python -m pytest -n 2 -m "not slow" tests/envs tests/test_registration.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edgelearn-env needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[agents,human,dev]"
	touch $(INSTALLED)
