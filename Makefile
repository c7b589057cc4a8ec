# One verb per target. Every target makes and reuses .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Training frees and asks again for large blocks at every step; kept, a step takes up to half the time.
KEEP_MEMORY := MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000

.PHONY: install demo serve test lint bench bench-gpu demo-model style-model docker-check clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Voxelsmith needs Python >= 3.11 (set PYTHON=...)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==$(shell sed -n 's/^torch==//p' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

install: $(INSTALLED)

demo: install
	$(BIN)/voxelsmith demo --out demo-output

serve: install
	$(BIN)/voxelsmith serve

# In two processes; TEST_PROCESSES=0 runs them in one.
TEST_PROCESSES ?= 2
test: install
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks

# The same on the first CUDA device; says so where there is none.
bench-gpu: install
	$(BIN)/python -m benchmarks --device cuda:0

# Retrains the shipped demo model from a folder of head scans: make demo-model DATA=/path/to/scans
demo-model: install
	$(KEEP_MEMORY) $(BIN)/python -m training.demo_model --data $(DATA) --out runs/brain-demo-256

# Retrains the shipped style model from a folder of head scans
style-model: install
	$(KEEP_MEMORY) $(BIN)/python -m training.style_model --data $(DATA) --out runs/head-style-64

# The build steps of the API image in a clean folder, without an engine
docker-check:
	docker/check.sh api

clean:
	rm -rf $(VENV) build dist demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
