# Every target sets up what it needs. `make help` lists them.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
AIRFLOW := .airflow/venv
ARGS ?=
# Two processes suit two cores; `make test JOBS=8` on a larger machine.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo local up down logs kafka airflow test long chaos check format bench conformance lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with everything in requirements.lock

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=/path/to/python3."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## run the whole way on real data: ingest, promotion, a hold; ARGS=--exit ends by itself
	@$(BIN)/workbench demo $(ARGS)

local: $(READY) ## run the embedded stack, without Docker
	@$(BIN)/workbench up $(ARGS)

up: .env ## run the whole stack in Docker, as compose.yaml has it; the first time, with secrets of its own
	@docker compose up --detach --build --wait $(ARGS)

.env:
	@sh docker/new-env.sh $@
	@echo "Wrote $@, with secrets of its own: keep it, and keep it secret."

down: ## end the stack in Docker; its data stays
	@docker compose --profile '*' down $(ARGS)

logs: ## follow the logs of the stack in Docker; ARGS="api consumer" picks some
	@docker compose logs --follow --tail 100 $(ARGS)

kafka: $(READY) ## run a real Kafka broker on Java 17, without Docker; ARGS="--port 9093" moves it
	@$(BIN)/python -m broker $(ARGS)

airflow: $(AIRFLOW)/.ready ## Airflow 3 for the DAG, in an environment of its own: .airflow/venv

# It needs uv alone, and must not bring .venv up to date while its tests run.
$(AIRFLOW)/.ready: airflow/requirements.lock
	@test -x $(BIN)/uv || $(MAKE) setup
	@test -x $(AIRFLOW)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(AIRFLOW)
	@$(BIN)/uv pip sync --quiet --python $(AIRFLOW)/bin/python --require-hashes airflow/requirements.lock
	@touch $@

test: $(READY) ## all tests, on real parts; ARGS="-k promote" picks some
	@$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

long: $(READY) ## the tests that take minutes: kills at every point, 2,000 tenants, chains of undo, the conformance kit
	@$(BIN)/pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder -m long --timeout 900 $(ARGS)

chaos: $(READY) ## kill, pause, cut and slow every part, for some twenty minutes; ARGS="--seed 7" repeats the choices
	@$(BIN)/pytest tests/acceptance/test_kill_nine.py tests/acceptance/chaos --kills 34 --runs 5 --faults 16 \
		--events 62000 --zombie-seconds 60 --rebalances 36 --timeout 1800 -rP $(ARGS)

check: $(READY) ## style, types, layers, SQL, tenant context, compose.yaml and Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint --disable-progress-bar dbt
	@$(BIN)/python -m pipeline.promote.tenant_lint
	@sh docker/check.sh $(BIN)

format: $(READY) ## rewrite the code in its own style
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/sqlfluff fix --disable-progress-bar dbt

bench: $(READY) ## measure against the limits and print the tables of docs/performance.md
	@$(BIN)/python -m bench $(ARGS)

conformance: $(READY) ## ask ours and the customary ways to publish what readers rely on, and print the table
	@$(BIN)/python -m conformance $(ARGS)

lock: $(READY) ## resolve requirements.lock again from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-header \
		--group dev pyproject.toml --output-file requirements.lock
	@cd airflow && ../$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-header \
		--python-version 3.11 requirements.in --output-file requirements.lock

clean: ## remove .venv and caches, never data
	@rm -rf .venv .airflow/venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dbt/target dbt/logs
