# CIFS Lab. Needs Python 3.11 or newer and make; everything else is installed into $(VENV).
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
unexport PYTHONDONTWRITEBYTECODE  # or each of the many processes compiles the sources anew

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint docs bench bench-load format clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP)  ## Create .venv and install (the other targets do it by themselves)

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh
	@scripts/setup.sh $(VENV)
	@touch $@

demo: $(STAMP)  ## Start backend and dashboard on the embedded models; Ctrl-C ends both
	@$(BIN)/python -m cifs demo

test: $(STAMP)  ## Run every test, the browser's included, its files spread over two processes
	@CHROMIUM=$$(scripts/chromium.sh) && export CHROMIUM && \
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(STAMP)  ## Run the quick tests only
	@$(BIN)/python -m pytest -m "not slow and not e2e" $(ARGS)

lint: $(STAMP)  ## ruff, mypy, import-linter; hadolint and docker compose for the container files
	@PATH="$(abspath $(BIN)):$$PATH" scripts/lint.sh

format: $(STAMP)  ## Let ruff format and fix the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

docs: $(STAMP)  ## Build the documentation into build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: $(if $(ARGS),,bench-load) $(STAMP)  ## Measure a server under load, then the claims about speed beside peers
	@$(BIN)/python -m benchmarks $(ARGS)

bench-load: $(STAMP)  ## Measure a server under load: two minutes beside one that remembers nothing, five for its memory
	@$(BIN)/python -m benchmarks.load --images 20
	@$(BIN)/python -m benchmarks.load --images 20 --alone --seconds 300

clean:  ## Remove .venv, caches and build leftovers (runs, data and checkpoints stay)
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
