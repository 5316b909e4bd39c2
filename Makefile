# `make benchmark` and `make test` work in a fresh clone: they first create .venv with pinned dependencies. A benchmark
# installs the base package alone; what tests and lint need comes on top of it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install
# Stamps: what .venv holds. Both are made anew when the requirements change.
BASE := $(VENV)/.base
DEVELOPMENT := $(VENV)/.development
# More arguments for `edgelearn benchmark`: make benchmark ARGS="--episodes 5"
ARGS :=

.PHONY: benchmark test test-slow test-oldest test-rl-zoo test-rllib test-cluster test-flower lint clean

benchmark: $(BASE)
	$(BIN)/edgelearn benchmark $(ARGS)

# A file's tests go to one process: what they share is made once.
test: $(DEVELOPMENT)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(DEVELOPMENT)
	$(BIN)/python -m pytest -n 2 -m slow

# RLlib pins this Gymnasium; it is put before the newest on the path.
OLDEST := $(VENV)/gymnasium-1.2.2
test-oldest: $(DEVELOPMENT)
	$(INSTALL) --quiet --upgrade --no-deps --target $(OLDEST) gymnasium==1.2.2
	PYTHONPATH=$(OLDEST) $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" tests/envs tests/wrappers tests/test_registration.py

# What these bring needs other versions than the rest, so each gets an environment of its own.
test-rl-zoo: TESTS := tests/agents/test_rl_zoo.py
test-rllib: TESTS := tests/agents/test_rllib.py
test-cluster: TESTS := tests/gradient_coding/execution/test_ray_cluster.py tests/scripts/test_ray_backend.py
test-flower: TESTS := tests/federated/test_flower.py
test-rl-zoo test-rllib test-cluster test-flower: test-%: constraints-%.txt
	$(PYTHON) -m venv $(VENV)/$*
	$(VENV)/$*/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/$*/bin/python -m pip install --quiet --constraint $< --editable ".[$*]" beartype hypothesis pytest
	$(VENV)/$*/bin/python -m pytest -m "not slow" $(TESTS)

lint: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf .types && mkdir -p .types/edgelearn_env
	ln -s $(CURDIR)/edgelearn_env/* $(addprefix $(CURDIR)/,agents baselines scripts) .types/edgelearn_env
	cd .types && $(CURDIR)/$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p edgelearn_env

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BASE): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edgelearn-env needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	$(INSTALL) --constraint constraints.txt --editable .
	touch $@

$(DEVELOPMENT): $(BASE)
	$(INSTALL) --constraint constraints.txt --editable ".[agents,federated,glyphs,human,moreau,dev]"
	touch $@
