# `make benchmark` and `make test` work in a fresh clone: they first create .venv with pinned dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: benchmark test test-slow test-oldest test-rl-zoo test-rllib lint clean

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
	PYTHONPATH=$(OLDEST) $(BIN)/python -m pytest -n 2 -m "not slow" tests/envs tests/wrappers tests/test_registration.py

# What these bring needs other versions than the rest, so each gets an environment of its own.
test-rl-zoo test-rllib: test-%: constraints-%.txt
	$(PYTHON) -m venv $(VENV)/$*
	$(VENV)/$*/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/$*/bin/python -m pip install --quiet --constraint $< --editable ".[$*]" beartype hypothesis pytest
	$(VENV)/$*/bin/python -m pytest -m "not slow" tests/agents/test_$(subst -,_,$*).py

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
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[agents,human,moreau,dev]"
	touch $(INSTALLED)
