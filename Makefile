# Everything a developer or CI does, by name. The first target sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS := $(BIN)/pytest -n logical --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast soak check format bench lock clean

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(READY) ## Prepare a sample day and print the brief
	@$(BIN)/brody demo --once

test: $(READY) ## Run the whole test suite
	$(TESTS)

test-fast: $(READY) ## Run the tests that take no server, no crash and no patience
	$(TESTS) -m "not integration and not crash and not slow and not browser"

check: $(READY) ## Lint, format, types, arrows between modules, rules of the project
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not slow" tests/project

format: $(READY) ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Run the benchmarks
	$(BIN)/python -m tests.benchmarks.run

soak: $(READY) ## Run the long tests: kills at every await, killed workers, a million messages (some hours)
	$(BIN)/pytest -n logical --dist load -m slow tests/crash tests/integration
	$(BIN)/python -m tests.soak.run

lock: $(READY) ## Resolve the dependencies again, to the newest that pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml --extra api --extra brokers --extra dev --extra postgres --extra remote --extra scheduling --universal --python-version 3.11 --upgrade \
	    --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

clean: ## Remove what `make` made
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is the standard library's. uv, at the version and hash of the lock, fills it fast.
$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Brody Agents needs Python 3.11 or newer, and '$(PYTHON)' is not:" \
	         "name one that is, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, and again when the dependencies change) ..."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock >$(VENV)/uv.txt
	@$(BIN)/python -m pip install -qq --require-hashes --requirement $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q brody_agents agents
	@touch $@
