# One vocabulary for people and for CI. Every target says what it does: `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
MANIFEST := dbt_project/target/manifest.json
DBT_SOURCES := $(shell find dbt_project -path dbt_project/target -prune -o -type f \( -name '*.sql' -o -name '*.yml' -o -name '*.csv' \) -print)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export BENTOML_DO_NOT_TRACK := True
export DO_NOT_TRACK := 1

.PHONY: help setup demo dev test check bench docs clean lock

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP) $(MANIFEST) ## Make .venv from the lock, DuckDB's delta extension and the dbt manifest; nothing when nothing changed

$(STAMP): requirements.lock pyproject.toml retail_assets/resources/duck.py
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m retail_assets.resources.duck
	@touch $@

$(MANIFEST): $(STAMP) $(DBT_SOURCES)
	$(BIN)/python -m retail_assets.warehouse.manifest
	@touch $@

demo: setup ## Simulate a retailer and take it all the way to served forecasts and prices
	$(BIN)/retail demo

dev: setup ## Dagster UI and daemon with both services, until Ctrl-C
	$(BIN)/retail dev

test: setup ## Every test; those that need Chromium or real data say so when they skip
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup ## Lint, format, types, arrows between rooms, SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/sqlfluff lint --config .sqlfluff dbt_project/models

bench: setup ## Every benchmark against its named peer
	@for b in benchmarks/*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

docs: setup ## Write what is made in the documents: command line, checks, settings, examples, OpenAPI (two minutes)
	rm -rf .retail-docs
	RETAIL_ENV=test RETAIL_HOME=.retail-docs $(BIN)/retail demo --scale tiny --json > /dev/null
	RETAIL_ENV=test $(BIN)/python -m retail_assets.documents .retail-docs
	RETAIL_ENV=test $(BIN)/retail openapi
	rm -rf .retail-docs

lock: ## Resolve pyproject.toml anew into requirements.lock
	rm -rf .lock && $(PYTHON) -m venv .lock
	.lock/bin/pip install --quiet setuptools '.[dev]' --constraint requirements.lock
	.lock/bin/pip freeze --all --exclude retail-assets --exclude pip > requirements.lock.new
	mv requirements.lock.new requirements.lock && rm -rf .lock build

clean: ## Remove the sample home, caches and build outputs (.venv stays)
	rm -rf .retail .retail-docs dbt_project/target dbt_project/logs .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
