PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test server stop bench clean

help:
	@echo "make demo     a guided run on two embedded PostgreSQL databases, from nothing"
	@echo "make test     lint, types, and all tests (installs what it needs into .venv)"
	@echo "make server   start the embedded server       make stop   stop it"
	@echo "make bench    the benchmarks                  make clean  remove all of the above"

demo:
	@$(PYTHON) demo/install.py demo
	@$(BIN)/python demo/run.py

test:
	@$(PYTHON) demo/install.py test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/python -m pytest -n auto --dist worksteal

server:
	@$(PYTHON) demo/install.py demo
	@$(BIN)/python demo/server.py start

stop:
	@$(PYTHON) demo/server.py stop

bench:
	@$(PYTHON) demo/install.py test
	@$(BIN)/python benchmarks/run.py

clean:
	@$(PYTHON) demo/server.py stop
	rm -rf .venv .embedded build dist reports .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		pyinfra-debug.log
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
