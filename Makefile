# Two commands from a fresh clone, with Python and make alone:
#
#   make serve   build the example, again when it is edited, and serve it on http://127.0.0.1:8080
#   make test    build the guests and run the tests
#
# and: make check (style and types), make smoke (a part of the tests, on other versions of Python),
# make docs (the documentation as a site, in the folder site), make fuzz MINUTES=60 (attacks with generated input),
# make bench (how fast it is beside its peers), make clean (remove all that the others made).

HOST ?= 127.0.0.1
PORT ?= 8080

VENV := .venv
BIN := $(VENV)/bin
HELLO := examples/hello

# The first of these that is a version we support and can make virtual environments is used.
PYTHON ?= python3.14 python3.13 python3.12 python3.11 python3
SUITABLE := import ensurepip, sys, venv; v = sys.version_info; \
    sys.exit(not (3, 11) <= v < (3, 15) or v[:3] == (3, 14, 0))

# The versions that the smoke runs on, whatever this machine has: scripts/interpreters.py gets them.
PYTHONS ?= 3.12 3.13 3.14

# The tests start hundreds of gateways, each of which would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test check docs pythons smoke fuzz bench clean
.DELETE_ON_ERROR:

serve: $(VENV)/examples.stamp
	@echo
	@echo "  Once it says \"listening\":  curl 'http://$(HOST):$(PORT)/?name=you'"
	@echo
	@exec $(BIN)/gateway serve $(HELLO)/gateway.toml --watch --host $(HOST) --port $(PORT)

# Twice as many processes of tests as the processors that they are meant for: each waits a good part of its time.
test: $(VENV)/dev.stamp
	$(BIN)/python -m tests.guests.build
	$(BIN)/pytest --numprocesses 4 --dist worksteal $(ARGS)

pythons: $(PYTHONS:%=python-%)

python-%: $(VENV)/dev.stamp
	$(BIN)/python scripts/interpreters.py $*

smoke: $(PYTHONS:%=smoke-%)

smoke-%: python-%
	$(BIN)/python -m tests.guests.build
	.pythons/$*/bin/python -m pytest --smoke --numprocesses 3 --dist worksteal $(ARGS)

# Attacks with generated input: tests/hostile.
MINUTES ?= 10
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.guests.build
	$(BIN)/python -m tests.hostile $(if $(REPLAY),--replay $(REPLAY),--minutes $(MINUTES)) $(TARGET:%=--target %)

# Ten minutes of a quiet machine; ARGS=--short shows in three that it works: loadtests/bench.py.
bench: $(VENV)/dev.stamp
	$(BIN)/python -m tests.guests.build
	$(BIN)/python -m loadtests.bench $(ARGS)

check: $(VENV)/dev.stamp
	scripts/check

# Warnings are errors: links and places in pages that lead nowhere, pages that the navigation has not.
docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

clean:
	rm -rf $(VENV) .pythons site tests/hostile/findings $(HELLO)/hello.wasm tests/guests/build tests/guests/node_modules \
	    tests/capabilities/azurite/node_modules

# CI has uv do what pip does, in less time.
PIP ?= $(BIN)/python -m pip --quiet --disable-pip-version-check

# The stamp of what is installed in the environment: an extra of pyproject.toml.
$(VENV)/%.stamp: pyproject.toml | $(VENV)
	$(PIP) install --editable '.[$*]'
	@touch $@

$(VENV):
	@for python in $(PYTHON); do \
	    if $$python -c '$(SUITABLE)' 2>/dev/null; then \
	        echo "$$python -m venv $@"; \
	        $$python -m venv $@ && exit 0; \
	        rm -rf $@; exit 1; \
	    fi; \
	done; \
	echo "None of $(PYTHON) is a Python 3.11 to 3.14, 3.14.0 excepted, that can make virtual environments." >&2; \
	echo "Install one (Debian, Ubuntu: python3 and python3-venv), or: make PYTHON=/path/to/it" >&2; \
	exit 1
