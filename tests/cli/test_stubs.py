"""`gateway stubs`: where the module goes, what an object of it does, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import run
from tests.guests.toolchains import GUESTS
from tests.harness import GuestPath
from tests.links.relays import OUTCOMES, TYPES


@pytest.mark.parametrize("options", [[], ["--async"]])
def test_the_module_is_written_or_printed(
    guest: GuestPath, tmp_path: Path, options: list[str]
) -> None:
    module = tmp_path / "provider.py"
    written = run("stubs", guest("c/relay"), OUTCOMES, "-o", module, *options)
    assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
    assert run("stubs", guest("c/relay"), OUTCOMES, *options).stdout == module.read_text()
    define = "async def" if options else "def"
    assert f"    {define} wait(self, milliseconds: int) -> None:\n" in module.read_text()


@pytest.mark.parametrize(
    ("interface", "why"),
    [
        ("a:b/c", f"does not import a:b/c (it imports {TYPES}, {OUTCOMES})"),
        (TYPES.replace("types", "typed"), f'typed@1.2.3; did you mean "{TYPES}"?'),
    ],
)
def test_an_import_that_there_is_none_of(guest: GuestPath, interface: str, why: str) -> None:
    done = run("stubs", guest("c/relay"), interface)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr


def test_a_component_of_wasi_0_3_has_stubs_too(tmp_path: Path) -> None:
    imported = '(import "test:other/api" (instance (export "now" (func (result u32)))))'
    text = (GUESTS / "wat/wasi-0-3.wat").read_text()
    component = tmp_path / "component.wat"
    component.write_text(text.replace("(component\n", f"(component {imported}\n", 1))
    written = run("stubs", component, "test:other/api")
    assert (written.returncode, written.stderr) == (0, "")
    assert "    def now(self) -> int:\n" in written.stdout


def test_a_resource_is_a_class_of_its_own(guest: GuestPath) -> None:
    written = run("stubs", guest("c/tally"), "test:counters/api@1.0.0", "--async")
    assert (written.returncode, written.stderr) == (0, "")
    for line in (
        "class Counter(ABC):",
        "    def __init__(self, start: int) -> None:",
        "    async def open(cls, name: str) -> Counter:",
        "    async def beyond(self, other: Counter) -> bool:",
        "class CounterOpenError(CallError[str]):",
        "    counter: type[Counter]",
        "    async def split(self, it: Counter, parts: int) -> list[Counter]:",
    ):
        assert f"\n{line}\n" in written.stdout


def test_what_no_object_could_provide_is_told(guest: GuestPath) -> None:
    done = run("stubs", guest("c/hello"), "wasi:io/streams@0.2.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "takes or gives the resource pollable, which such a link does not carry" in done.stderr


PROVIDER = """
from api import Outcomes

class Mine(Outcomes):
    def settle_ok(self, outcome):
        return 42

Mine.__abstractmethods__ = frozenset()
mine = Mine()
"""


def test_an_object_is_found_where_the_program_is_started(guest: GuestPath, tmp_path: Path) -> None:
    assert run("stubs", guest("c/relay"), OUTCOMES, "-o", tmp_path / "api.py").returncode == 0
    (tmp_path / "provider.py").write_text(PROVIDER)
    program = Path(sys.executable).with_name("gateway")
    done = subprocess.run(
        [
            *(program, "call", guest("c/relay"), "outcomes.settle-ok", '[{"err": null}]'),
            *("--link", f"{OUTCOMES}=provider:mine"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, 42), done.stderr
