# What can be done in a checkout; `make help` lists it. The work is in tests/tooling/*.py.

PYTHON ?= python3
export PYTHON
VENV_PYTHON := .venv/bin/python
RUN := $(VENV_PYTHON) tests/tooling/runner.py
SIMFLEET := $(VENV_PYTHON) -m tests.simfleet

.DEFAULT_GOAL := help
.PHONY: help python setup setup-all demo demo-aigc lint unit integration molecule fleet-up fleet-down test test-kube test-all bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

python:
	@command -v $(PYTHON) >/dev/null || { echo "setup: there is no $(PYTHON) here. Install Python 3.11 or newer" \
		"(Debian, Ubuntu: apt-get install python3 python3-venv; openEuler, HCE: dnf install python3.11)," \
		"or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }

setup: python ## Make the virtual environment and fetch the collections (cached outside the checkout)
	@$(PYTHON) tests/tooling/environment.py

setup-all: python
	@$(PYTHON) tests/tooling/environment.py --next

demo: setup ## Start the simulated fleet and deploy on it: a real vLLM answers at the end
	@$(SIMFLEET) demo

demo-aigc: setup ## The same with image and video workloads: real pictures at the end
	@$(SIMFLEET) demo-aigc

lint: setup ## ansible-lint, ansible-test sanity, ruff, mypy, yamllint, documentation, changelog
	@$(RUN) lint

unit: setup ## Pure logic, no engine needed
	@$(RUN) unit

integration: setup ## Every module against a real Docker Engine
	@$(RUN) integration

molecule: setup ## Check, converge, idempotence, verify on Debian and on a dnf system
	@$(RUN) molecule

fleet-up: setup ## Start the simulated fleet of inventories/sim and leave it running
	@$(SIMFLEET) up

fleet-down: setup ## Remove that fleet
	@$(SIMFLEET) down

test-kube: setup ## train.yml against a real Kubernetes API server, built once per machine
	@$(RUN) kube

test: setup-all ## All that must hold at every change; ends with "N passed, N failed, N skipped"
	@$(RUN) test

test-all: setup-all ## Everything, the long tests and the benchmark too
	@$(RUN) test-all

bench: setup ## Time drift and a converged site beside ping and stock modules
	@$(RUN) bench

clean: ## Remove what a checkout holds beside its sources, and the demo's fleet (not the cache)
	@if [ -x $(VENV_PYTHON) ]; then $(SIMFLEET) down; fi
	@rm -rf .venv .venv-next .hypothesis .mypy_cache .pytest_cache .ruff_cache .ansible build \
		collections/ansible_collections fleet-report tests/output
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
