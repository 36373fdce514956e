"""The documentation of WASI names what the gateway provides: all of it, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import gateway.bindings
from gateway.bindings import provided
from gateway.host import wit
from gateway.host.binding import HostInterface
from gateway.wasm.version import split_version
from tests.compiled import compiled
from tests.harness import GuestPath

TABLE = Path(__file__).parents[2] / "docs" / "wasi.md"


def plain(function: str) -> str:
    """A function's name as the table has it: "[method]descriptor.read" is "descriptor.read"."""
    kind, bracket, name = function.removeprefix("[").partition("]")
    if not bracket:
        return function
    return f"{name}.constructor" if kind == "constructor" else name


def sections() -> Iterator[tuple[str, list[str]]]:
    """Each interface of the table, and the functions in the first cells of its rows."""
    _, *parts = re.split(r"^### `(.*)`$", TABLE.read_text(), flags=re.MULTILINE)
    for interface, text in zip(parts[::2], parts[1::2], strict=True):
        cells = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
        yield interface, [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def interfaces() -> Iterable[HostInterface]:
    """What the modules of `gateway.bindings` declare."""
    for module in pkgutil.iter_modules(gateway.bindings.__path__):
        family = importlib.import_module(f"gateway.bindings.{module.name}")
        yield from getattr(family, "INTERFACES", ())


@pytest.fixture(scope="module")
def documented() -> dict[str, list[str]]:
    """The functions of the table, by interface."""
    found = list(sections())
    assert len(dict(found)) == len(found), "an interface has two tables"
    return dict(found)


def test_the_table_names_what_is_provided_and_nothing_else(
    documented: dict[str, list[str]],
) -> None:
    declared = {each.name: sorted(map(plain, each.functions)) for each in interfaces()}
    assert {name: sorted(functions) for name, functions in documented.items()} == declared


def test_no_function_has_two_rows(documented: dict[str, list[str]]) -> None:
    for interface, functions in documented.items():
        repeated = [name for name, count in Counter(functions).items() if count > 1]
        assert repeated == [], interface


def test_what_is_declared_is_provided() -> None:
    for interface in interfaces():
        version = "" if interface.version is None else f"@{interface.version}"
        assert provided().interface(interface.name + version) is interface


def test_the_table_names_all_that_a_guest_of_the_whole_world_imports(
    guest: GuestPath, documented: dict[str, list[str]]
) -> None:
    component = compiled(guest("python/probe"))
    imported = {
        split_version(name)[0]: set(map(plain, item.functions))
        for name, item in component.imports.items()
        if isinstance(item, wit.Interface)
    }
    assert len(imported) == len(component.imports)
    missing = {
        name: sorted(functions - set(documented.get(name, ())))
        for name, functions in imported.items()
        if name not in documented or not functions <= set(documented[name])
    }
    assert missing == {}
