# Two commands do everything: `make run` talks, `make test` checks.
# Each installs its requirements first; `make help` lists the rest.

VENV := .venv/bin

# Processes of the parallel part of the tests.
JOBS ?= 2
# Percent of core's branches that `make test-deep` asks for; 0 asks for nothing.
CORE_COVERAGE ?= 100

.DEFAULT_GOAL := help
.PHONY: help run demo check test test-deep bench docs clean setup-run setup-test

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup-run:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test
	@scripts/setup.sh browser
	@scripts/node.sh

run: demo ## the spoken turn of `make demo`; then the web page, on a terminal
	@if [ -t 0 ] && [ -t 1 ]; then $(VENV)/duologue web --local; fi

demo: setup-run ## one spoken turn with the local service, offline
	@$(VENV)/duologue talk --local examples/question.wav \
	    --output reply.wav --record session.jsonl

check: setup-test ## style, types, layers, the rules of the house and the reference
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy
	$(VENV)/pyright
	$(VENV)/lint-imports --no-logo
	$(VENV)/python tests/packaging/house_rules.py
	$(VENV)/python scripts/reference.py --check

test: check ## every check, then the tests: first in parallel, then in real time
	$(VENV)/pytest -n $(JOBS) --dist loadgroup -m "not realtime and not deep"
	$(VENV)/pytest -m "realtime and not deep"

# Only tests/core measures the core, each module by its own test module, with as many
# examples as in `make test`, because coverage makes tests slower.
test-deep: setup-test check ## all tests with more examples, and the core's coverage
	$(VENV)/python tests/core/own_coverage.py --fail-under $(CORE_COVERAGE)
	HYPOTHESIS_PROFILE=deep $(VENV)/pytest -n $(JOBS) --dist loadgroup -m "not realtime"
	HYPOTHESIS_PROFILE=deep $(VENV)/pytest -m realtime

bench: setup-test ## measure, and print the figures
	$(VENV)/python benchmarks/run.py

docs: setup-test ## write docs/reference/ from the code
	$(VENV)/python scripts/reference.py

clean: ## remove generated files
	rm -rf .venv .wheels .coverage* .hypothesis .import_linter_cache .mypy_cache \
	    .pytest_cache .ruff_cache tests/conformance/node/node_modules build dist \
	    reply.wav session.jsonl
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
