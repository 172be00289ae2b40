# What can be done in a checkout; `make help` lists it. The work is in tests/tooling/*.py.

PYTHON ?= python3
export PYTHON
VENV_PYTHON := .venv/bin/python
RUN := $(VENV_PYTHON) tests/tooling/runner.py

.DEFAULT_GOAL := help
.PHONY: help setup setup-all demo lint unit integration molecule fleet-up fleet-down test test-all bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make the virtual environment and fetch the collections (cached outside the checkout)
	@$(PYTHON) tests/tooling/environment.py

setup-all:
	@$(PYTHON) tests/tooling/environment.py --next

lint: setup ## ansible-lint, ansible-test sanity, ruff, mypy, yamllint, documentation, changelog
	@$(RUN) lint

unit: setup ## Pure logic, no engine needed
	@$(RUN) unit

integration: setup ## Every module against a real Docker Engine
	@$(RUN) integration

test: setup-all ## All that must hold at every change; ends with "N passed, N failed, N skipped"
	@$(RUN) test

test-all: setup-all ## Everything, the long tests and the benchmark too
	@$(RUN) test-all
