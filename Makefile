# One command to run (`make demo`), one to test (`make test`); everything else is for people who change the code.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
MANIFESTS := pyproject.toml executor_sdk/python/pyproject.toml

# Rules without a database, the envelope and the calls about tasks, and the rules about the code and its documents.
FAST := tests/domain tests/notation tests/engine \
	$(addprefix tests/http/test_,authentication.py headers.py same_origin.py) \
	$(addprefix tests/rpc/test_,envelope.py executor.py tasks.py) \
	$(addprefix tests/house/test_,modules.py documented.py architecture.py shows_markers.py openapi.py states.py)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-vocabulary bench bench-full check sizes format generate answers docs constraints clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28

setup: .venv/.run ## Make .venv with fencepost in it

demo: setup ## Start everything and import real data
	@$(BIN)/fencepost demo

test: .venv/.dev ## Run all tests
	@$(BIN)/python -m pytest -n 3 $(TESTS)

test-fast: .venv/.dev ## Run the tests that are quick and tell most
	@$(BIN)/python -m pytest -n 2 -p no:schemathesis $(FAST)

test-vocabulary: .venv/.dev ## Run the tests of a vocabulary: V=devices
	@$(BIN)/python -m pytest -n 2 tests/vocabularies/$(or $(V),$(error V is missing; for example V=devices))

bench: .venv/.bench ## Measure it beside other queues on Postgres: five minutes
	@$(BIN)/fencepost bench $(BENCH)

bench-full: .venv/.bench ## The same with more rounds and the long scenarios: half an hour
	@$(BIN)/fencepost bench --full $(BENCH)

check: .venv/.dev ## Lint, types, layers, and drift of what is generated
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tools.generate --check
	@$(BIN)/python -m tools.sizes --new

sizes: .venv/.dev ## Show lines per folder, and what is longer than usual
	@$(BIN)/python -m tools.sizes

format: .venv/.dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

generate: .venv/.dev ## Write again what is generated (openapi.yaml, schema.sql, the method reference)
	@$(BIN)/python -m tools.generate

docs: .venv/.docs ## Build the documentation as a searchable site, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "fencepost: open site/index.html, or serve site/ for the search"

answers: .venv/.dev ## Record again the answers that the method reference shows
	@RECORD_ANSWERS=1 $(BIN)/python -m pytest -q tests/answers
	@$(MAKE) --no-print-directory generate

constraints: .venv/.dev ## Resolve the dependencies again, with hashes
	@$(PIP) install uv
	@.ci/constraints

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "fencepost: needs Python 3.11 or newer, and $(PYTHON) is older; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.python constraints/run.txt $(MANIFESTS)
	@echo "fencepost: installing into .venv"
	@$(PIP) install --require-hashes -r constraints/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e . -e executor_sdk/python
	@touch $@

.venv/.dev: .venv/.run constraints/dev.txt
	@$(PIP) install --require-hashes -r constraints/dev.txt
	@touch $@

.venv/.docs: .venv/.python constraints/docs.txt
	@$(PIP) install --require-hashes -r constraints/docs.txt
	@touch $@

# The peers on Node take part where npm is there, that in Go where Go is.
.venv/.bench: .venv/.run constraints/bench.txt constraints/oban.txt bench/package-lock.json $(wildcard bench/contestants/river/*)
	@$(PIP) install --require-hashes -r constraints/bench.txt
	@$(PIP) install --require-hashes -r constraints/oban.txt || echo "fencepost: pip could not install Oban; it is left out"
	@if command -v npm >/dev/null; then npm ci --prefix bench --no-audit --no-fund --silent || \
		echo "fencepost: npm could not install the peers on Node; they are left out"; fi
	@if command -v go >/dev/null; then GOTOOLCHAIN=local go build -C bench/contestants/river -buildvcs=false -o $(CURDIR)/$(BIN)/bench-river . || \
		echo "fencepost: Go could not build River; it is left out"; fi
	@touch $@

clean: ## Remove .venv, site/ and the demo's data
	@rm -rf .venv .fencepost-demo site
