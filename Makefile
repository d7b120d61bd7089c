# One environment for every target; `make` lists them. Python >= 3.11 and make are all that is needed.
.DEFAULT_GOAL := help
.PHONY: help setup demo tour up chaos bench profile test endurance simulate check format lint types contracts unit lock clean fuzz audit

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := schemas streams sinks scripts tests
READY := $(VENV)/.ready
SIDE := .venv-fuzz

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## make the environment: everything from requirements.lock, checked by hash

# uv comes out of the lock file too, by hash; pip is only its midwife
$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## run everything on this machine once and show what it did (INPUT=file.jsonl, LIVE=1, N=20000, FAULTS=1)
	@$(BIN)/python -m scripts.demo $(if $(INPUT),--input "$(INPUT)") $(if $(filter 1,$(LIVE)),--live) $(if $(N),--requests "$(N)") $(if $(filter 1,$(FAULTS)),--faults)

tour: setup ## see a fallback, a breaker, a coalesced crowd and more happen, each in a few lines (ONLY=name)
	@$(BIN)/python -m scripts.tour $(if $(ONLY),--only "$(ONLY)")

up: setup ## run everything on this machine until Ctrl-C
	@$(BIN)/millrace up

chaos: setup ## break everything about a running system for MINUTES=2 at RATE=20 and check every promise (SEED=n, FAULTS=list)
	@$(BIN)/python -m scripts.chaos $(if $(SEED),--seed "$(SEED)") $(if $(MINUTES),--minutes "$(MINUTES)") $(if $(RATE),--rate "$(RATE)") $(if $(FAULTS),--faults "$(FAULTS)")

bench: setup ## what a request costs, beside a minimal loop, Faust and LiteLLM, in half an hour (QUICK=1: two minutes, BASELINE=1, SEED=n)
	@$(BIN)/python -m scripts.bench run $(if $(filter 1,$(QUICK)),--plan quick) $(if $(filter 1,$(BASELINE)),--as-baseline) $(if $(SEED),--seed "$(SEED)")

profile: setup ## a flame graph of one stage under the bench's load (STAGE=validate, SECONDS=15)
	@$(BIN)/python -m scripts.bench profile --stage "$(or $(STAGE),validate)" --seconds "$(or $(SECONDS),15)"

test: setup ## all tests but those of endurance, on a real broker and a real ClickHouse engine
	@$(BIN)/pytest -m "not endurance" --numprocesses=auto --dist=loadfile --no-loadscope-reorder --durations=12 --durations-min=20

endurance: setup ## the tests that take minutes each: a bench, a crowd that meets faults, a million rows
	@$(BIN)/pytest -m endurance --durations=0 --durations-min=20

simulate: setup ## simulated schedules of the runtime (SEEDS=2000, or SEED=n for one of them, step by step)
	@$(BIN)/python -m tests.simulated $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000))

check: setup ## format, lint, types, import contracts and unit tests, in under a minute
	@$(MAKE) --no-print-directory --jobs=2 lint types contracts unit

format: setup ## rewrite the code as the formatter wants it
	@$(BIN)/ruff check --quiet --fix-only $(CODE) && $(BIN)/ruff format $(CODE)

lint: setup ## formatting and lint, nothing rewritten
	@$(BIN)/ruff format --check --quiet $(CODE) && $(BIN)/ruff check --quiet $(CODE) && echo "lint: clean"

types: setup ## pyright, strict
	@$(BIN)/pyright

contracts: setup ## who may import whom
	@$(BIN)/lint-imports --no-cache

unit: setup ## tests without sockets
	@$(BIN)/pytest --quiet --numprocesses=auto -m "not integration" tests/unit tests/contract

# What only these two need has no wheel for some platforms that all the rest runs on: an environment of its own.
$(SIDE)/.ready: requirements.lock requirements.security.lock pyproject.toml $(READY)
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(SIDE)
	@$(BIN)/uv pip sync --quiet --python $(SIDE)/bin/python --require-hashes requirements.lock requirements.security.lock
	@$(BIN)/uv pip install --quiet --python $(SIDE)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

fuzz: setup $(SIDE)/.ready ## feed every parser of bytes from outside (TARGET=name, SECONDS=60 for each, ENGINE=atheris or hypothesis)
	@$(if $(filter hypothesis,$(ENGINE)),$(BIN),$(SIDE)/bin)/python -m tests.fuzz --engine $(or $(ENGINE),atheris) $(if $(TARGET),--target $(TARGET)) --seconds $(or $(SECONDS),60)

audit: $(SIDE)/.ready ## known vulnerabilities in what is locked; fails when there are some, or nobody can be asked
	@$(SIDE)/bin/python -m scripts.vulnerabilities

# A release that was tampered with is mostly found out within days.
lock: setup ## resolve the dependencies anew, from releases at least a week old, and write requirements*.lock
	@$(BIN)/uv lock --quiet --upgrade --exclude-newer "7 days" && $(BIN)/uv export --quiet --frozen --no-emit-project --all-extras --group dev --output-file requirements.lock
	@$(BIN)/uv export --quiet --frozen --no-emit-project --only-group security --output-file requirements.security.lock
	@$(BIN)/uv export --quiet --frozen --no-emit-project --only-group analytics --output-file requirements.analytics.lock
	@$(BIN)/uv export --quiet --frozen --no-emit-project --no-dev --extra semantic --output-file requirements.runtime.lock
	@$(BIN)/uv pip compile --quiet --upgrade --exclude-newer "7 days" --generate-hashes --python-version 3.11 requirements.bench.in --output-file requirements.bench.lock

clean: ## remove what runs leave behind; the environment stays
	@rm -rf .millrace .pytest_cache .ruff_cache .hypothesis
