# Each target works alone on a fresh machine: it makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint docs tables bench fuzz clean

demo: $(VENV)/demo.installed
	$(BIN)/featad demo --output featad-demo

test: $(VENV)/dev.installed
	SCIPY_ARRAY_API=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --durations=10

lint: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(VENV)/dev.installed
	$(BIN)/python -m tests.fuzz.kills

docs: $(VENV)/docs.installed
	$(BIN)/python -m sphinx -n -W --keep-going -c docs . docs/_build
	@echo "Open docs/_build/index.html."

tables: $(VENV)/dev.installed
	$(BIN)/python -m docs.tables
	$(BIN)/python -m docs.stubs

bench: $(VENV)/dev.installed
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.machines
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.patches
	$(BIN)/python -m benchmarks.quality
	$(BIN)/python -m benchmarks.localization
	$(BIN)/python -m benchmarks.few_shot
	$(BIN)/python -m benchmarks.learned
	$(BIN)/python -m benchmarks.kinds --seeds 3
	$(BIN)/python -m benchmarks.false_alarms

clean:
	rm -rf $(VENV) build dist *.egg-info featad-demo docs/_build docs/auto_gallery \
		docs/api/generated

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.installed: setup.cfg constraints.txt | $(BIN)/python
	$(PIP) -e ".[report]"
	touch $@

$(VENV)/docs.installed: setup.cfg constraints.txt | $(BIN)/python
	$(PIP) -e ".[docs]"
	touch $@

$(VENV)/dev.installed: setup.cfg constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
	touch $@
