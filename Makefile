# `make run` and `make test` need Debian 12 (or alike), python3 with venv, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUICK := tests/unit tests/property tests/docs
# The matrix of real clients and servers takes longest, so it begins first.
TESTS := tests/integration $(QUICK) tests/net tests/relay tests/ledger tests/app tests/accounts \
         tests/session tests/sequences tests/resilience tests/sftp
FUZZ_SECONDS ?= 60

.PHONY: run test test-quick bench lint fix docs fuzz netns clean

run: $(VENV)/.run ## the gateway, on 127.0.0.1:2121, for clients of this machine
	$(BIN)/portway serve

test: $(VENV)/.test ## everything; installs what the tests need, Debian packages too
	tests/peers/install
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(TESTS)

test-quick: $(VENV)/.test ## what needs no other program, in under a minute
	$(BIN)/python -m pytest -q -n 2 -m 'not slow' --hypothesis-profile=quick $(QUICK)

bench: $(VENV)/.test ## figures, beside other proxies; see bench/README.md
	$(BIN)/python -m bench $(BENCH)

lint: $(VENV)/.test ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.test ## what a machine can put right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test ## do pages, examples and code agree
	$(BIN)/python -m pytest -q tests/docs

fuzz: $(VENV)/.test ## the parsers, FUZZ_SECONDS each
	$(BIN)/pip install -q -e '.[fuzz]'
	$(BIN)/python -m fuzz.run -max_total_time=$(FUZZ_SECONDS)

netns: $(VENV)/.test ## a LAN, a gateway and the outside, in three network namespaces
	$(BIN)/python -m pytest -q tests/integration/test_topology.py \
	    tests/integration/test_ftp_bounce.py

clean: ## all that the targets above have made
	rm -rf $(VENV) .peers build dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian keeps what venv needs in a package of its own.
$(VENV)/bin/python:
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/peers/python3-venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q -e .
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q -e '.[test,lint]'
	touch $@ $(VENV)/.run
