# How the examples in C are built. The tools, a C compiler and wasm-tools, are those of requirements.txt, in an environment
# that the examples share; with BIN=/other/bin they are taken from there.
BIN ?= ../common/.venv/bin
CC := $(BIN)/python -m ziglang cc
CFLAGS := -std=gnu17 -O2 -Wall -Wextra -D_GNU_SOURCE -I../common

# A core module that carries its world: the gateway makes a component of it, and of WASI preview 1, which the C library
# calls, what it calls WASI 0.2.
%.wasm: %.c ../common/abi.h ../common/http.h $(wildcard wit/*.wit wit/deps/*.wit) $(BIN)/wasm-tools
	mkdir -p .build
	$(CC) -target wasm32-wasi -mexec-model=reactor $(CFLAGS) $< -o .build/$@
	$(BIN)/wasm-tools component embed wit .build/$@ --world $* -o $@

../common/.venv/bin/wasm-tools: ../common/requirements.txt
	python3 -m venv ../common/.venv
	../common/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.DELETE_ON_ERROR:
