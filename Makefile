# The one task file: people and CI call the same targets. Every target sets up what it needs.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
NODE_DIR := tests/node
IN_PARALLEL := -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test slow lint types format docs workflows audit bench wheel clean help

help: ## What there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.runtime ## The whole pipeline, offline, against the built-in exchange simulator
	@$(BIN)/coinswarm demo

test: $(VENV)/.dev $(NODE_DIR)/.installed ## All tests that fit in three minutes
	@$(BIN)/python -m pytest -q -m "not nightly and not slow" $(IN_PARALLEL) $(PYTEST_ARGS)

slow: $(VENV)/.dev $(NODE_DIR)/.installed ## The tests that take longer: ten years of real candles, the rest of wrangler
	@$(BIN)/python -m pytest -q -m "slow and not nightly" $(IN_PARALLEL) $(PYTEST_ARGS)

lint: $(VENV)/.dev ## Style and common mistakes
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

format: $(VENV)/.dev ## Put the code into shape
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: $(VENV)/.docs ## Write docs/commands.md from the code and build the site; a broken link is an error
	@$(BIN)/python -m docs.command_reference && NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir dist/site \
	  && echo "dist/site/index.html"

workflows: $(VENV)/.workflows ## Lint the workflows, ours and those that init writes, with actionlint
	@$(BIN)/python -m pytest -q tests/test_workflows.py $(PYTEST_ARGS)

audit: $(VENV)/.audit ## Known vulnerabilities in the versions that CI installs; asks PyPI
	@$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off

bench: $(VENV)/.bench ## Measure against the peers; writes benchmarks/results/
	@$(BIN)/python -m benchmarks

wheel: $(VENV)/.dev ## Build the wheel and run it alone in an environment of its own
	@rm -rf dist && $(BIN)/python -m pip -q wheel --no-deps --wheel-dir dist . \
	  && $(PYTHON) -m venv dist/venv && dist/venv/bin/python -m pip -q install -c constraints.txt dist/*.whl \
	  && cd dist && venv/bin/coinswarm --version && venv/bin/coinswarm demo --json >demo.json && echo "the wheel works alone"

clean: ## Remove what the targets made
	rm -rf $(VENV) dist $(NODE_DIR)/node_modules $(NODE_DIR)/.installed .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "coinswarm needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

# A stamp of its own: the interpreter is there before pip is new enough, and an upgrade that failed must be tried again.
$(VENV)/.pip: $(VENV)/bin/python
	@$(BIN)/python -m pip install -q --upgrade "pip>=25.1" && touch $@

$(VENV)/.runtime: $(VENV)/.pip pyproject.toml constraints.txt
	@echo "installing coinswarm into $(VENV) …" && $(BIN)/python -m pip install -q -c constraints.txt -e . && touch $@

$(VENV)/.dev: $(VENV)/.pip pyproject.toml constraints.txt
	@echo "installing coinswarm and its tools into $(VENV) …" \
	  && $(BIN)/python -m pip install -q -c constraints.txt -e . --group dev && touch $@ $(VENV)/.runtime

$(VENV)/.bench: $(VENV)/.dev
	@$(BIN)/python -m pip install -q -c constraints.txt --group bench && touch $@

$(VENV)/.docs: $(VENV)/.runtime
	@$(BIN)/python -m pip install -q -c constraints.txt --group docs && touch $@

$(VENV)/.workflows: $(VENV)/.dev
	@$(BIN)/python -m pip install -q -c constraints.txt --group workflows && touch $@

$(VENV)/.audit: $(VENV)/.dev
	@$(BIN)/python -m pip install -q -c constraints.txt --group audit && touch $@

# The official clients, where Node is present; tests that need them say so when they are skipped.
$(NODE_DIR)/.installed: $(NODE_DIR)/package.json
	@if command -v npm >/dev/null 2>&1; then \
	  echo "installing wrangler for the tests …" \
	  && npm install --prefix $(NODE_DIR) --no-audit --no-fund --no-package-lock --loglevel=error >/dev/null && touch $@; \
	else echo "npm is not here: the tests that drive wrangler will be skipped"; fi
