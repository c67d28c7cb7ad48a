# One command per job. `make setup` first; every other target runs it when needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := .setup-stamp
LOWEST := .venv-lowest
ARGS ?=
# Tests of a file are independent, and every server they start takes a port of the system's choosing.
PARALLEL ?= -n auto --maxprocesses 4 --dist worksteal

.PHONY: setup demo test test-lowest servers check bench bench-websocket clean

setup: $(STAMP)

# The stamp makes a second `make setup` immediate; a change of the dependencies makes it run again.
$(STAMP): setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make setup: Python 3.11 or newer is needed: try make setup PYTHON=python3.11 (apt-get install python3.11 python3.11-venv)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "make setup: no virtual environment could be made: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 \
		|| { echo "make setup: $(VENV) has no pip: rm -r $(VENV); apt-get install python3-venv; make setup"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@command -v wrk >/dev/null || echo "make setup: make bench will need wrk: apt-get install wrk"
	@command -v nghttp >/dev/null || echo "make setup: tests and benchmarks of HTTP/2 want nghttp and h2load: apt-get install nghttp2-client"
	@touch $@

demo: setup
	$(BIN)/python examples/search_cluster/demo.py $(ARGS)

test: setup servers
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# The suite with exactly the lowest versions that setup.py allows, in an environment of its own.
test-lowest: setup servers
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(BIN)/python tools/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/constraints.txt -e '.[test]'
	$(LOWEST)/bin/python -m pytest $(PARALLEL) $(ARGS)

# The servers that the tests start themselves. Root gets what is missing installed, others are told what to install;
# SKITAI_TEST_PG and SKITAI_TEST_REDIS may name servers that run elsewhere. MongoDB has a double, or SKITAI_TEST_MONGO.
servers:
	@missing=""; \
	test -n "$$SKITAI_TEST_PG" || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
		|| missing="$$missing postgresql"; \
	test -n "$$SKITAI_TEST_REDIS" || command -v redis-server >/dev/null || command -v valkey-server >/dev/null \
		|| missing="$$missing redis-server"; \
	test -z "$$missing" || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "make test: installing$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq$$missing >/dev/null; \
	else echo "make test: apt-get install$$missing"; exit 1; fi

check: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q tests/test_layers.py

bench: setup
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-websocket: setup
	$(BIN)/python benchmarks/websocket.py --output benchmarks/RESULTS-websocket.md $(ARGS)

clean:
	rm -rf $(STAMP) $(LOWEST) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
