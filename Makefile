# Every target builds what it needs in .venv; the second run finds it there.
# EXTRAS=train adds torch and the like to `setup`, `check` and `test`, so that what needs them is tested too.

EXTRAS ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV ?= $(or $(shell command -v uv),.tools/bin/uv)
BIN := .venv/bin
# Two processes share the files of tests, the long ones first; PYTEST_ARGS=-n0 leaves them to one, as --pdb needs.
SHARED := --numprocesses 2 --dist loadfile --no-loadscope-reorder

test_stamp := .venv/.stamp-$(subst $() ,-,$(strip test $(EXTRAS)))
sync = $(UV) sync --quiet --frozen --inexact $(foreach extra,$(1),--extra $(extra)) && touch $@

.DEFAULT_GOAL := help
.PHONY: help setup demo kernels test test-faults check format bench lock image clean

help:  ## Say what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(test_stamp)  ## Build the environment for work on the code in .venv

demo: .venv/.stamp-demo  ## Run it all on this machine: broker, monitor, alerting, a real recording, its alerts
	$(BIN)/ecgstream demo $(DEMO_ARGS)

kernels: $(test_stamp)  ## Compile what is compiled at the first use, for processes that start together would each do it
	$(BIN)/python -c "from ecgstream.replay import warm_up; warm_up()"

test: kernels  ## Run the tests (ECGSTREAM_DATA=folder adds those on recordings)
	$(BIN)/pytest $(SHARED) $(PYTEST_ARGS) -m "brief or not faults"

test-faults: $(test_stamp)  ## Run the tests that kill and restart processes
	$(BIN)/pytest $(PYTEST_ARGS) -m faults

check: $(test_stamp)  ## Lint, formatting, types, lock file
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(UV) lock --check --quiet

format: $(test_stamp)  ## Put the code in its form
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: .venv/.stamp-bench  ## Measure speed
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python $$benchmark || exit 1; done

lock: $(UV)  ## Renew uv.lock
	$(UV) lock

image:  ## Build the container image
	docker build -t ecgstream .

clean:  ## Remove all that was built here
	rm -rf .venv .tools build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src -name "*.nb?" -delete

.venv/.stamp-demo: pyproject.toml uv.lock | $(UV) .venv
	$(call sync,demo)

.venv/.stamp-bench: pyproject.toml uv.lock | $(UV) .venv
	$(call sync,test train)

$(test_stamp): pyproject.toml uv.lock | $(UV) .venv
	$(call sync,test $(EXTRAS))

.venv: | $(UV)
	$(UV) venv --quiet --python $(PYTHON) .venv

# Only where uv isn't installed.
.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet "uv>=0.9"
