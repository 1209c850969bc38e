# Each target works alone on a fresh machine: it makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The oldest versions that setup.cfg allows, in an environment of their own.
OLDEST := .venv-oldest

# Compiled files are written even where the environment says not to: the suite starts
# many processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-oldest lint docs tables bench fuzz clean

demo: $(VENV)/demo.installed
	$(BIN)/featad demo --output featad-demo

test: $(VENV)/dev.installed
	SCIPY_ARRAY_API=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --durations=10

test-oldest: $(OLDEST)/dev.installed
	SCIPY_ARRAY_API=1 OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n auto --dist worksteal -m "not slow and not data"

lint: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(VENV)/fuzz.installed
	$(BIN)/python -m tests.fuzz.files
	$(BIN)/python -m tests.fuzz.records
	$(BIN)/python -m tests.fuzz.kills
	$(BIN)/python -m tests.fuzz.soak
	$(BIN)/python -m tests.fuzz.guided

docs: $(VENV)/docs.installed
	$(BIN)/python -m sphinx -n -W --keep-going -j auto -c docs . docs/_build
	@echo "Open docs/_build/index.html."

tables: $(VENV)/dev.installed
	$(BIN)/python -m docs.tables
	$(BIN)/python -m docs.stubs

bench: $(VENV)/dev.installed
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.draft
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.cost
	$(BIN)/python -m benchmarks.searches
	$(BIN)/python -m benchmarks.many
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.machines
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.patches
	$(BIN)/python -m benchmarks.quality
	$(BIN)/python -m benchmarks.localization
	$(BIN)/python -m benchmarks.few_shot
	$(BIN)/python -m benchmarks.learned
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.kinds --seeds 3
	$(BIN)/python -m benchmarks.false_alarms

clean:
	rm -rf $(VENV) $(OLDEST) build dist *.egg-info featad-demo docs/_build docs/auto_gallery \
		docs/api/generated

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.installed: setup.cfg constraints.txt | $(BIN)/python
	$(PIP) -e ".[report]"
	touch $@

$(VENV)/docs.installed: setup.cfg constraints.txt | $(BIN)/python
	$(PIP) -e ".[docs]"
	touch $@

$(VENV)/fuzz.installed: setup.cfg constraints.txt | $(BIN)/python
	$(PIP) -e ".[fuzz]"
	touch $@

$(VENV)/dev.installed: setup.cfg constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
	touch $@

$(OLDEST)/bin/python:
	$(PYTHON) -m venv $(OLDEST)

$(OLDEST)/constraints.txt: setup.cfg | $(OLDEST)/bin/python
	sed -nE 's/^(.* )?([A-Za-z0-9_-]+)>=([0-9.]+)$$/\2==\3/p' setup.cfg > $@

$(OLDEST)/dev.installed: $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $< -e ".[dev]"
	touch $@
