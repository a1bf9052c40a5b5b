# `make demo` and `make test` work as first commands on a clean machine with Python 3.11 or later: the virtual
# environment is made, or brought up to date with its lock, before anything runs.

.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

# Makes sure of .venv with a lock's packages. If that can't be, make ends with the one line that says what to do.
ready = $(eval reason := $(shell .ci/environment $(1)))$(if $(reason),$(error $(reason)))

.PHONY: help demo serve test slow lint types conformance bench bench-peers lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 21

demo: ## five operators trade real battery passports, in under a minute
	@$(call ready,requirements.txt)$(BIN)/anode demo

serve: ## a node from ./anode.yaml (make one: .venv/bin/anode init)
	@$(call ready,requirements.txt)$(BIN)/anode serve

test: ## the tests
	@$(call ready,requirements-dev.txt)$(PYTEST) -n auto

slow: ## the tests that take long: crashes, large data, the wheel
	@$(call ready,requirements-dev.txt)$(PYTEST) -m slow

lint: ## style, format and import rules
	@$(call ready,requirements-dev.txt)$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: ## mypy, strict
	@$(call ready,requirements-dev.txt)$(BIN)/mypy

conformance: ## the Eclipse kits and a real Eclipse connector against this node (needs JDK 17 and Maven)
	@$(call ready,requirements-dev.txt)$(PYTEST) -m conformance tests/conformance tests/interop

bench: ## CPU per operation, as ratios to a bare aiohttp handler
	@$(call ready,requirements-dev.txt)$(BIN)/python -m tests.bench

bench-peers: ## side by side with Eclipse EDC (needs JDK 17 and Maven)
	@$(call ready,requirements-dev.txt)$(BIN)/python -m tests.bench.peers

lock: ## make requirements*.txt anew from pyproject.toml
	@$(call ready,requirements-dev.txt).ci/lock

clean: ## remove .venv and the caches of the tools
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist
