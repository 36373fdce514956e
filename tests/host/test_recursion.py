"""Recursion on the stacks that guests and host functions share.

Host functions run on the stack of a guest's fiber, whose end is the end of the process: a recursion must end in a
`RecursionError` before that, whatever the version of Python counts or measures.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.host.engine import Engine
from tests.host.guests import call_now, guest, host, load_component

PRELUDE = """
import asyncio, json, pickle, sys
from pathlib import Path
from gateway.host.engine import Engine
from tests.host.guests import call, call_now, guest, host, load_component

DEPTH = 100_000
engine = Engine(concurrent=sys.argv[2] == 'True')

def nested():
    value = []
    for _ in range(DEPTH):
        value = [value]
    return value

class Endless:
    def __lt__(self, other):
        return sorted([Endless(), Endless()])

    def __repr__(self):
        return repr([Endless()])

    def __getattr__(self, name):
        return getattr(self, name + "x")

def load(body, **functions):
    return load_component(engine, guest(body, *functions), Path(sys.argv[1]), host(**functions))

RECURSIONS = {
    "comparisons": lambda: sorted([Endless(), Endless()]),
    "attributes": lambda: Endless().a,
    "repr": lambda: repr(Endless()),
    "repr-in-c": lambda: repr(nested()),
    "equality": lambda: nested() == nested(),
    "json-read": lambda: json.loads("[" * DEPTH),
    "json-written": lambda: json.dumps(nested()),
    "pickle": lambda: pickle.dumps(nested()),
}

def refused(name):
    try:
        RECURSIONS[name]()
    except RecursionError:
        print(name)
"""

KINDS = re.findall('"(.*)": lambda', PRELUDE)

AT_ONCE = """
for name in RECURSIONS:
    call_now(load("(call $f)", f=lambda _data: refused(name)))
    refused(name)  # on the stack of the thread, whose bounds are others
"""

IN_TURNS = """
async def wait(_data):
    refused("json-read")
    await asyncio.sleep(0.001)

async def many():
    text = "(call $f) (call $g) (call $f) (call $g)"
    linked = load(text, f=wait, g=lambda _data: refused("json-read"))
    await asyncio.gather(*(call(linked) for _ in range(4)))

asyncio.run(many())
"""


def in_a_process_of_its_own(script: str, folder: Path, *, concurrent: bool = False) -> list[str]:
    """The lines that a script prints; the process must end well."""
    command = [sys.executable, "-uc", PRELUDE + script, str(folder), str(concurrent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("concurrent", [False, True])
def test_a_recursion_in_a_host_function_is_refused(tmp_path: Path, concurrent: bool) -> None:
    """Through Python, through C, and through both."""
    lines = in_a_process_of_its_own(AT_ONCE, tmp_path, concurrent=concurrent)
    assert lines[::2] == lines[1::2] == KINDS


def test_a_recursion_is_refused_in_every_turn_of_every_guest(tmp_path: Path) -> None:
    assert in_a_process_of_its_own(IN_TURNS, tmp_path) == ["json-read"] * 16


def test_a_guest_cannot_take_the_stack_of_host_functions(engine: Engine, tmp_path: Path) -> None:
    depth: list[int] = []

    def deep(_data: Any) -> None:
        def down(level: int) -> None:
            depth.append(level)
            down(level + 1)

        with pytest.raises(RecursionError):
            down(0)

    recurse = """
      (func $down (param i32)
        (if (local.get 0)
          (then (call $down (i32.sub (local.get 0) (i32.const 1))))
          (else (call $deep))))
    """
    text = guest("(call $down (i32.const 5000))", "deep", module=recurse)
    assert call_now(load_component(engine, text, tmp_path, host(deep=deep))) is None
    assert len(depth) > 100
