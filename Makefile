# Two commands for a fresh clone:
#   make demo    NetCDF of embeddings, importance, attention and an attribution, and figures, in demo-output/
#   make test    ruff, mypy and the tests
# And for releases:
#   make test-min      the tests on the oldest versions that are allowed (constraints-min.txt), without optional extras
#   make test-latest   the tests on the newest versions that pip finds
#   make coverage      the tests, and which lines and branches they run
#   make audit         pinned packages: installed as pinned, compatible, under permissive licences; needs no network
#   make mutation      changes a module in small ways, one at a time, and sees whether the tests notice
#   make release-check wheel and sdist in dist/: metadata, content, equal hashes of two builds, the demo from the wheel
#   make linkcheck     links of the documentation to other sites; needs the internet
#   make bench         all benchmarks, which write the pages of docs/reference; takes hours (make bench-speed: some)
# Each makes its own virtual environment in .venv, once. Variables that may be given:
#   PYTHON=python3.12           the interpreter that the environment is made from
#   VENV=/path/to/environment   another place for it
#   VENV_ARGS=--system-site-packages   see the packages of that interpreter, an installed torch among them
#   CONSTRAINTS=                take versions that are there, such as that torch, instead of the pinned ones
#   PIP_ARGS="--extra-index-url URL"   further arguments of pip install, such as the index of torch builds for CPU

PYTHON ?= python3
VENV ?= .venv
VENV_ARGS ?=
CONSTRAINTS ?= constraints.txt
PIP_ARGS ?=
WORKERS ?= 2

RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
INSTALL := $(RUN) -m pip install --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) $(PIP_ARGS)
# The slowest files come first (tests/conftest.py), and who is done takes from who is not.
TESTS := -m pytest -n $(WORKERS) --dist worksteal
# One thread per worker: two workers with two threads each would fight for two cores.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: demo test test-min test-latest coverage mutation fuzz audit lint mypy docs linkcheck bench bench-speed \
	release-check clean

demo: $(READY)
	$(RUN) -m xfaconv.demo

test: lint
	$(ONE_THREAD) $(RUN) $(TESTS)

# Lines and branches of the package that the tests run; fails below 95 percent.
coverage: $(READY)
	$(ONE_THREAD) $(RUN) $(TESTS) --cov=xfaconv --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=95

# Small changes of the code, one at a time, and whether the tests notice: docs/developer/tests.md. The room and its tests
# stand in pyproject.toml; MUTANTS names some of its modules or functions, because all of a room takes hours.
MUTANTS ?= xfaconv.adapt.plausible*
mutation: $(READY)-dev
	$(ONE_THREAD) $(RUN) -m mutmut run --max-children $(WORKERS) $(MUTANTS)
	$(RUN) -m mutmut results | grep -v 'not checked' || true

# Ten thousand new cases of odd data and arguments, as many of model files and cards, which takes a while, and new cases of every property test; `make test`
# runs the same cases every time.
FUZZ ?= 10000
fuzz: $(READY)
	XFACONV_FUZZ=$(FUZZ) $(ONE_THREAD) $(RUN) $(TESTS) -q tests/trust/test_fuzz.py tests/models/test_fuzz.py
	XFACONV_FUZZ=500 $(ONE_THREAD) $(RUN) $(TESTS) -q --timeout=3600 $$(grep -rlE "^@given" tests)

audit: $(READY)
	$(RUN) -m pip check
	$(RUN) -m pip install --disable-pip-version-check --quiet --dry-run --no-index -c constraints.txt "xfaconv[test]"
	$(RUN) -m piplicenses --packages $$(sed -n 's/==.*//p' constraints.txt)

test-min: $(VENV)-min/.ready
	$(ONE_THREAD) $(VENV)-min/bin/python $(TESTS)

test-latest: $(VENV)-latest/.ready
	$(ONE_THREAD) $(VENV)-latest/bin/python $(TESTS)

lint: $(READY)
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

mypy: $(READY)
	$(RUN) -m mypy

docs: $(READY)-docs
	$(RUN) -m sphinx -W --keep-going -b html docs docs/_build/html

# Links to other sites too, which needs the internet.
linkcheck: $(READY)-docs
	$(RUN) -m sphinx --keep-going -b linkcheck docs docs/_build/linkcheck

# Those of speed and of data with known links need nothing; those of skill read the training data in the folder DATA.
DATA ?= ../shared/data
bench-speed: $(READY)-bench
	for name in attribution engine layer planted worlds; do $(RUN) benchmarks/$$name.py || exit 1; done

bench: bench-speed
	for name in skill inference_skill hidden_areas ablation table1 probes; do $(RUN) benchmarks/$$name.py --data $(DATA) || exit 1; done

# Wheel and sdist in dist/, checked, built twice with equal hashes, and the demo run from the wheel alone.
release-check: $(READY)-dev
	$(RUN) scripts/release_check.py --pip-args "$(PIP_ARGS)"

clean:
	rm -rf demo-output build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find xfaconv tests -name __pycache__ -type d -exec rm -rf {} +
	@echo "The environment in $(VENV) is kept; remove it yourself to make a new one."

$(READY): pyproject.toml constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV_ARGS) $(VENV)
	$(INSTALL) -e ".[test]"
	touch $@

$(READY)-%: $(READY)
	$(INSTALL) -e ".[$*]"
	touch $@

$(VENV)-min/.ready: pyproject.toml constraints-min.txt
	test -x $(VENV)-min/bin/python || $(PYTHON) -m venv $(VENV_ARGS) $(VENV)-min
	$(VENV)-min/bin/python -m pip install --disable-pip-version-check -c constraints-min.txt $(PIP_ARGS) -e ".[test-core]"
	touch $@

$(VENV)-latest/.ready: pyproject.toml
	test -x $(VENV)-latest/bin/python || $(PYTHON) -m venv $(VENV_ARGS) $(VENV)-latest
	$(VENV)-latest/bin/python -m pip install --disable-pip-version-check --upgrade $(PIP_ARGS) -e ".[test]"
	touch $@
