# One verb per target. Every target makes and reuses .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Training frees and asks again for large blocks at every step; kept, a step takes up to half the time.
KEEP_MEMORY := MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000

NODE_NEEDED := Node.js 20.19, 22.12 or later
HAS_NODE := node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null && npm --version >/dev/null 2>&1
PAGE := service/static/index.html
NODE_MODULES := web/node_modules/.package-lock.json
PAGE_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/e2e -prune -o -type f -print)

.PHONY: install hooks demo serve web wheel e2e test faults lint lint-page bench bench-gpu load demo-model style-model translator-model features-model thorax-model docker-check clean

$(INSTALLED): pyproject.toml setup.py constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Voxelsmith needs Python >= 3.11 (set PYTHON=...)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==$(shell sed -n 's/^torch==//p' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# Said where it was asked for by name; voxelsmith is then found as the docs have it.
HOW_TO_CALL = printf '%s\n' "Installed. Type this once in each new shell, and voxelsmith is found:" "    source $(BIN)/activate"
install: $(INSTALLED)
	@$(if $(filter install,$(MAKECMDGOALS)),$(HOW_TO_CALL),:)

# Lint and the house rules before every commit of this clone
hooks:
	git config core.hooksPath .githooks

# At a terminal the service stays at the end, with the page to look at what was made; a script gets its prompt back.
demo: install
	@if $(HAS_NODE); then $(MAKE) --no-print-directory web || echo "The page could not be built; all else works without it."; \
	else echo "The page is not built, for that needs $(NODE_NEEDED); all else works without it."; fi
	keep=$$(test -t 0 && test -t 1 && echo --keep); $(BIN)/voxelsmith demo --out demo-output $$keep

# The page that the service shows at /, into service/static
web: $(PAGE)

$(PAGE): $(PAGE_SOURCES) $(NODE_MODULES)
	cd web && npm run build
	touch $@

$(NODE_MODULES): web/package-lock.json
	@$(HAS_NODE) || { echo "The page needs $(NODE_NEEDED) with npm (https://nodejs.org); the service works without it." >&2; exit 1; }
	cd web && npm ci --no-audit --no-fund
	touch $@

# dist/voxelsmith-*.whl, with the page and the models that ship. build/ goes first: setuptools packs what it left there before.
wheel: install web
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

# The page in a real browser against the real service: needs Node.js and Chromium (CHROMIUM=/path/to/it, else from PATH)
e2e: install web
	cd web && npm test && npm run e2e

serve: install
	$(BIN)/voxelsmith serve

# In two processes; TEST_PROCESSES=0 runs them in one, and TEST_OPTIONS are pytest's. Faults, and what takes long for what it adds, are left to `make faults`.
TEST_PROCESSES ?= 2
PYTEST = $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal $(TEST_OPTIONS)
test: install
	$(PYTEST) -m 'not slow and not fault'

# Every fault of docs/reliability.md, with the sweeps over all points at which a process can be killed; and the long tests
faults: install
	$(PYTEST) -m 'fault or slow'

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if $(HAS_NODE); then $(MAKE) --no-print-directory lint-page; else echo "The page is not looked at, for that needs $(NODE_NEEDED)."; fi

lint-page: $(NODE_MODULES)
	cd web && npm run lint

bench: install
	$(BIN)/python -m benchmarks

# The same on the first CUDA device; says so where there is none.
bench-gpu: install
	$(BIN)/python -m benchmarks --device cuda:0

# The real stack on a tiny model under 200 clients for 5 minutes, then 2,000 jobs in a row
load: install
	$(BIN)/python -m benchmarks.load --record

# Retrains the shipped demo model from a folder of head scans: make demo-model DATA=/path/to/scans
demo-model: install
	$(KEEP_MEMORY) $(BIN)/python -m training.demo.brain_demo_256 --data $(DATA) --out runs/brain-demo-256

# Retrains the shipped style model from a folder of head scans
style-model: install
	$(KEEP_MEMORY) $(BIN)/python -m training.demo.head_style_128 --data $(DATA) --out runs/head-style-128

# The build steps of the API image in a clean folder, without an engine
docker-check:
	docker/check.sh api

clean:
	rm -rf $(VENV) build dist demo-output service/static web/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# Trains the translator of heads from a folder of head scans
translator-model: install
	$(KEEP_MEMORY) $(BIN)/python -m training.demo.head_t1_128 --data $(DATA) --out runs/head-t1-128

# Retrains the feature network that ships from a folder of head scans
features-model: install
	$(KEEP_MEMORY) $(BIN)/python -m training.demo.distortion_features --data $(DATA) --out runs/distortion

# Retrains the shipped thorax model; it needs no data, for it makes the phantoms that it learns from
thorax-model: install
	$(KEEP_MEMORY) $(BIN)/python -m training.demo.thorax_demo_128 --out runs/thorax-demo-128
