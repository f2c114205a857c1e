# make test    everything a developer or CI checks: environment, real GIMP 3, all tests
# make demo    the main job in real GIMP 3 on a bundled photo, pictures in build/demo
# make faults  every injected fault, and the table of them in docs/results.md
# make lint    formatting, lint, types
#
# Works as root and as an ordinary user, and starts at once when everything is there already.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENV_STAMP := $(VENV)/.sama-env

.PHONY: env gimp lint test faults demo clean distclean
.DELETE_ON_ERROR:

env: $(ENV_STAMP)

$(ENV_STAMP): pyproject.toml .ci/make_venv.py
	$(PYTHON) .ci/make_venv.py $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,train]'
	@echo "Compiling PyMatting's loops, once..."
	$(BIN)/python -c "from sama_core.inference import numba_cache; numba_cache.prepare(); import pymatting"
	touch $@

gimp:
	PYTHONPATH=tests/gimp $(PYTHON) -m sandbox

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYRIGHT_PYTHON_CACHE_DIR=$(CURDIR)/.cache/pyright $(BIN)/pyright

test: env gimp
	$(BIN)/python -m pytest

# All tests that inject a fault; what they saw goes into docs/results.md.
faults: env gimp
	$(BIN)/python -m pytest -m fault
	$(BIN)/python tests/insert_fault_table.py

demo: env gimp
	$(BIN)/python demo/run.py

clean:
	rm -rf build dist .pytest_cache .ruff_cache *.egg-info

# Also what takes minutes to make again.
distclean: clean
	rm -rf --one-file-system $(VENV) .cache
