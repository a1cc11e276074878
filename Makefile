# `make monitor` and `make test` set up what they need and can be repeated at will.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python

.PHONY: monitor test lint serve bench validate clean
.DELETE_ON_ERROR:

monitor: $(VENV)/.ready
	$(RUN) src/monitor.py

test: lint
	$(RUN) -m pytest -n auto

lint: $(VENV)/.ready-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

serve: $(VENV)/.ready-serve
	$(RUN) src/serve.py

bench: $(VENV)/.ready-dev
	$(RUN) benchmarks/bench_drift.py
	$(RUN) benchmarks/bench_loop.py
	$(RUN) benchmarks/bench_replay.py
	$(RUN) benchmarks/bench_peers.py

# What the verdicts promise, measured: hours, most of them for the policies. EFFORT=0.02 makes a fiftieth of the runs.
validate: $(VENV)/.ready-dev
	$(RUN) validation/run.py --effort $(or $(EFFORT),1) --out reports/validation.md

# What was made here: the environment, caches, reports and the demo's models. Only on this command, and it says so.
clean:
	@echo "Removing $(VENV), caches, reports/ and everything in model/ (live model, backups and history)."
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis reports
	find model -mindepth 1 -not -name .gitkeep -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Evergreen needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.ready-serve: requirements-serve.txt $(VENV)/.ready
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-serve.txt
	touch $@

$(VENV)/.ready-dev: requirements-dev.txt requirements-serve.txt $(VENV)/.ready
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
