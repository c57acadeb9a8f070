# Two commands set everything up on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
LOWEST := .venv-lowest
AUDIT := .venv-audit
OUT ?= results/fig5-fig6-gd
WORKERS ?= 2

.PHONY: run test test-lowest lint types unit audit docs install install-test install-docs clean

run: install
	$(BIN)/mcrelu run jobs/sweeps/fig5-fig6-gd.yaml --out $(OUT)

test: install-test lint types unit

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

unit:
	$(BIN)/pytest --numprocesses $(WORKERS)

# Whether vulnerabilities are known of anything in .venv.
audit: install-test install-docs $(AUDIT)/.installed
	.ci/audit $(AUDIT)/bin/pip-audit .venv/lib/python*/site-packages

# The documentation as a site, build/site/index.html; whatever Sphinx warns of is an error.
docs: install-docs
	$(BIN)/sphinx-build -W --keep-going -E -q -d build/doctrees -c docs . build/site

# The quick tests with the lowest version of every dependency that pyproject.toml allows; without
# torch, which takes gigabytes. Old versions may use what is deprecated in newer ones. Kernels have a
# cache of their own: numba's does not keep those of two versions.
test-lowest: $(LOWEST)/.installed
	NUMBA_CACHE_DIR=$(CURDIR)/$(LOWEST)/kernels $(LOWEST)/bin/python -m pytest \
		--numprocesses $(WORKERS) -W ignore::DeprecationWarning

install: .venv/.installed
install-test: .venv/.installed-test
install-docs: .venv/.installed-docs

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/.installed-test: .venv/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev,torch,keras]'
	touch $@

.venv/.installed-docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

$(AUDIT)/.installed: constraints.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --constraint constraints.txt pip-audit
	touch $@

# The package's own lowest versions are constraints, since the tests' tools ask for newer ones.
$(LOWEST)/.installed: .venv/.installed-test
	$(BIN)/uv venv --quiet --clear --python 3.11 $(LOWEST)
	$(BIN)/uv pip compile --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --no-deps \
		--no-annotate --no-header --output-file $(LOWEST)/constraints.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		--constraint $(LOWEST)/constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv $(LOWEST) $(AUDIT) build ./*.egg-info
