# make test    everything a developer or CI checks: environment, real GIMP 3, all tests
# make demo    the main job in real GIMP 3 on a bundled photo, pictures in build/demo
# make faults  every injected fault, and the table of them in docs/results.md
# make audit   what the engine is made of, against requirements.lock and, where it can be reached, what is known of it
# make dist    the wheel, the sdist and the archive that people download, into dist/
# make lint    formatting, lint, types
#
# Works as root and as an ordinary user, and starts at once when everything is there already.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENV_STAMP := $(VENV)/.sama-env

.PHONY: env gimp lint audit lock test faults demo dist clean distclean
.DELETE_ON_ERROR:

env: $(ENV_STAMP)

$(ENV_STAMP): pyproject.toml requirements.lock .ci/make_venv.py .ci/constraints.py
	$(PYTHON) .ci/make_venv.py $(VENV)
	$(BIN)/python .ci/constraints.py > $(VENV)/constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(VENV)/constraints.txt -e '.[dev,train]'
	@echo "Compiling PyMatting's loops, once..."
	$(BIN)/python -c "from sama_core.inference import compile_caches; compile_caches.prepare_numba(); import pymatting"
	touch $@

gimp:
	PYTHONPATH=tests/gimp $(PYTHON) -m sandbox

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYRIGHT_PYTHON_CACHE_DIR=$(CURDIR)/.cache/pyright $(BIN)/pyright

# Known weaknesses of what the engine is made of, where they can be looked up, and whether this environment is the locked one.
audit: env
	$(BIN)/python .ci/audit.py

# The lock anew, with the newest versions; needs uv.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate --upgrade --output-file requirements.lock

# A test file is one process's: what it sets up once is not set up twice.
test: env gimp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# All tests that inject a fault; what they saw goes into docs/results.md.
faults: env gimp
	rm -f build/faults.md
	$(BIN)/python -m pytest -m fault
	$(BIN)/python tests/insert_fault_table.py

demo: env gimp
	$(BIN)/python demo/run.py

dist: env
	$(BIN)/python release/build.py dist

clean:
	rm -rf build dist .pytest_cache .ruff_cache *.egg-info

# Also what takes minutes to make again.
distclean: clean
	rm -rf --one-file-system $(VENV) .cache
