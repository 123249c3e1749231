# The commands of this project. Everything is installed into .venv; nothing here asks for more rights than you have.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CONSTRAINTS := constraints.txt
DEPENDENCIES := pyproject.toml $(CONSTRAINTS)

PORT ?= 8000
CASES ?= 10000
MINUTES ?= 60
PYTEST ?= --numprocesses=auto --maxprocesses=8 --dist=loadfile

.DEFAULT_GOAL := help
.PHONY: help demo serve test fuzz soak test-consumers test-clients bench check format migration install install-all
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed ## Try it with real data: PORT=8000, this machine only, Ctrl-C ends it, the next start goes on
	@$(BIN)/hitl demo --port $(PORT)

serve: $(VENV)/.installed ## Serve what HITL_… settings or hitl.toml name (default: hitl.sqlite3 in this folder), PORT=8000
	@$(BIN)/hitl db upgrade
	@$(BIN)/hitl serve --port $(PORT)

test: $(VENV)/.installed-all ## Run every test: both databases, browser, journeys (PYTEST="tests/hitl/queue -x" for some)
	@$(BIN)/python -m pytest $(PYTEST)

bench: $(VENV)/.installed-all ## Measure how fast it is and write docs/benchmarks.md, an hour or more (BENCH="claim --quick" for one, shortly)
	@if [ -n "$(BENCH)" ]; then $(BIN)/python -m benchmarks.$(BENCH); else $(BIN)/python -m benchmarks.all; fi

fuzz: $(VENV)/.installed-all ## Send the API requests that nobody would: CASES=100000 for hours (SEED=…, DATABASE=sqlite or postgresql)
	@$(BIN)/python -m tests.fuzz.fuzzing --cases $(CASES) --database $(or $(DATABASE),both) $(if $(SEED),--seed $(SEED))

soak: $(VENV)/.installed-all ## Work on a service for MINUTES=60 and see that nothing fails and nothing grows (DATABASE=sqlite)
	@$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) --database $(or $(DATABASE),postgresql) $(if $(SEED),--seed $(SEED))

test-consumers: $(VENV)/.installed-all ## Feed the exports to the trainers' own readers: fetches 400 MB
	@scripts/test-consumers

test-clients: $(VENV)/.installed-all ## Let LangChain and LiteLLM talk through the gateway: fetches 500 MB into two environments
	@scripts/test-clients

check: $(VENV)/.installed-all ## Check formatting, lint, types and who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.installed-all ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

migration: $(VENV)/.installed ## Write the migration from the newest schema to the models: MESSAGE="Add holds"
	@test -n "$(MESSAGE)" || { echo 'Say what changes: make migration MESSAGE="Add holds"' >&2; exit 2; }
	@scripts/write-migration "$(MESSAGE)"

install: $(VENV)/.installed ## Install what serving needs
install-all: $(VENV)/.installed-all ## Install what tests and checks need too

$(BIN)/python:
	@python=$$(scripts/find-python) && echo "Making $(VENV) with $$($$python --version) …" && $$python -m venv $(VENV)

$(VENV)/.installed: $(DEPENDENCIES) | $(BIN)/python
	@echo "Installing into $(VENV) …"
	@$(PIP) install -c $(CONSTRAINTS) --editable .
	@touch $@

# torch goes first and alone: its builds for different hardware share one version, and the one that is here satisfies the rest.
$(VENV)/.installed-all: $(DEPENDENCIES) | $(BIN)/python
	@echo "Installing into $(VENV), with everything the tests need (torch is large) …"
	@$(PIP) install -c $(CONSTRAINTS) torch==2.13.0
	@$(PIP) install -c $(CONSTRAINTS) --editable '.[test,check]'
	@touch $@ $(VENV)/.installed
