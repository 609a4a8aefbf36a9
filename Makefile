# Every target works on a fresh clone: the first one that needs it makes .venv from constraints.txt.
# `make test PYTHON=python3.12` takes another interpreter; `make test ARGS="-k schedule"` hands arguments on.

PYTHON ?= $(shell for p in python3.11 python3; do $$p -c 'pass' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.installed-demo
STAMP := $(VENV)/.installed
ARGS ?=

# One thread a process: two test workers share two cores, and threads of their own would only get in each other's way.
TEST_ENV := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 WANDB_MODE=offline TOKENIZERS_PARALLELISM=false

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all mutants lint format type docs soak reference check-studies check-hub check-models bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with the pinned dependencies (the other targets do it when needed)

PIP_INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

$(DEMO): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --no-compile --editable '.[demo]'
	@touch $@

$(STAMP): $(DEMO)
	$(PIP_INSTALL) --no-compile --editable '.[demo,gguf,joblib,onnx,openvino,optuna,submitit,tensorboard,trackio,workspaces,dev]'
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true  # on all cores, where pip takes one; some files are for another Python
	@touch $@

demo: $(DEMO) ## install what it needs, prune MiniLM on synthetic data to 0, 80 and 95%, and compare (about five minutes)
	$(BIN)/prune run -m experiment=demo $(ARGS)

PYTEST := $(TEST_ENV) $(BIN)/python -m pytest -n 2

test: $(STAMP) ## every promise tested once (four minutes on two fast cores)
	$(PYTEST) -m 'not exhaustive' $(ARGS)

test-all: $(STAMP) ## all tests, as CI runs them: more kills, models, tasks, launchers and commands of the pages
	$(PYTEST) $(ARGS)

mutants: $(STAMP) ## change the code in small ways and count the changes that the tests notice (hours)
	$(PIP_INSTALL) --editable '.[mutants]'
	$(TEST_ENV) $(BIN)/python -m tests.mutants $(ARGS)

lint: $(STAMP) ## check style, format, layers and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/basedpyright --pythonpath $(BIN)/python

type: $(STAMP) ## check types alone
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: $(STAMP) ## mend style and format where it can be done by machine
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

soak: $(STAMP) ## kill runs and commands at 50 random moments each (ARGS="--kills 500"), cut the power at every one: ten minutes
	$(TEST_ENV) $(BIN)/python -m tests.reliability $(ARGS)
	POWER_CUTS=100000 $(TEST_ENV) $(BIN)/python -m pytest -n 2 tests/reliability/test_power.py

docs: $(STAMP) ## build the documentation as a site in build/site
	$(BIN)/sphinx-build --conf-dir docs --fail-on-warning --keep-going --quiet . build/site
	@echo "the site: build/site/index.html"

reference: $(STAMP) ## write docs/configuration.md from the classes of the configuration, docs/commands.md from the commands
	$(BIN)/python -m prune_cli.config.reference > docs/configuration.md
	$(BIN)/python -m typer prune_cli.cli.app utils docs --name prune --title Commands --output docs/commands.md

check-studies: $(STAMP) ## see whether the tables of every study are what its results give
	$(BIN)/prune study --check

check-hub: $(STAMP) ## load every task's records from the Hugging Face hub (ARGS="squad conll2003" for some); needs a network
	$(BIN)/python -m tests.check_hub $(ARGS)

check-models: $(STAMP) ## prune each model of a folder for eight steps, ARGS="MODELS RECORDS"; writes docs/models.md (minutes)
	$(TEST_ENV) $(BIN)/python -m tests.check_models $(ARGS)

bench: $(STAMP) ## write docs/benchmarks.md, or docs/benchmarks_gpu.md where there is a GPU: nothing else should run (ten to forty minutes)
	$(BIN)/python benchmarks/page.py

clean: ## remove .venv, caches and built files, but no runs
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache
	find prune_cli tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
