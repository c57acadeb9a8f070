# Two commands set everything up on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= results/fig5-gd

.PHONY: run test lint types unit install install-test clean

run: install
	$(BIN)/mcrelu run jobs/sweeps/fig5-gd.yaml --out $(OUT)

test: install-test lint types unit

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

unit:
	$(BIN)/pytest

install: .venv/.installed
install-test: .venv/.installed-test

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/.installed-test: .venv/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev,torch]'
	touch $@

clean:
	rm -rf .venv build ./*.egg-info
