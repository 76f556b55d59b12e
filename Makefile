# O: `make up` starts everything, `make test` proves it. `make help` lists the rest.
.DEFAULT_GOAL := check
.PHONY: help setup up test test-live check format lint types contracts demo bench bench-providers bench-sandbox bench-rules stress coverage docs lock clean

PYTHON ?= python3
BIN := .venv/bin
LOCKED := .venv/.locked

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

setup: $(LOCKED) ## build .venv from requirements.lock (nothing to do when it is current)

$(LOCKED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "O needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12")'
	@echo "Installing O into .venv (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^uv==/{on=1} on{print} on&&!/\\$$/{exit}' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.lock
	@$(BIN)/uv pip sync -q --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install -q --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $(LOCKED)

up: setup ## start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/o up

test: setup ## the whole suite, on embedded Postgres, Temporal and local model
	@$(BIN)/pytest -n 2 --dist worksteal

test-live: setup ## the conformance suite against the real services whose keys are in the environment
	@$(BIN)/pytest -m live -rs --no-header tests/o/providers/test_conformance.py

check: setup format lint types contracts test ## format, lint, types, import contracts, tests

format: setup ## format the code
	@$(BIN)/ruff format -q .
	@$(BIN)/ruff check -q --fix-only .

lint: setup ## ruff, nothing changed
	@$(BIN)/ruff format -q --check .
	@$(BIN)/ruff check -q .

types: setup ## mypy --strict, tests included
	@$(BIN)/mypy

contracts: setup ## the import contracts of the house
	@$(BIN)/lint-imports

demo: setup ## the story end to end: chat, kill the worker in mid-step, see the run finish
	@$(BIN)/python -m benchmarks.demo

bench: setup ## measure turns, streaming, cold start, memory and recovery
	@$(BIN)/python -m benchmarks.turns

bench-providers: setup ## measure the provider adapters against the bare SDKs, and what loading each SDK costs
	@$(BIN)/python -m benchmarks.providers

bench-sandbox: setup ## measure calls of tools: cold and warm, side by side, and what idle processes hold
	@$(BIN)/python -m benchmarks.sandbox

bench-rules: setup ## measure the solver of tool rules
	@$(BIN)/python -m benchmarks.rules

stress: setup ## bounded load on one machine: many conversations at once, nothing lost or doubled
	@$(BIN)/python -m benchmarks.stress

coverage: setup ## the suite with line coverage
	@$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered

docs: setup ## write the page on the database schema from the tables
	@$(BIN)/python -m docs.schema

lock: setup ## refresh requirements.lock from pyproject.toml
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --no-emit-index-url --group dev pyproject.toml -o requirements.lock

clean: ## remove what setup and the tools made
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
