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
from gateway.wasm import wasip3
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


def named(interface: HostInterface) -> str:
    """The name of an interface as the table has it: "wasi:http/types@0.3" for one of WASI 0.3."""
    name, version = interface.name, interface.version or ""
    return f"{name}@0.3" if name.startswith("wasi:") and version.startswith("0.3.") else name


def functions(interface: HostInterface) -> set[str]:
    """The functions of an interface, those of the adapter of WASI 0.3 among them."""
    return {*interface.functions, *wasip3.supplied(interface.name, interface.version)}


def interfaces() -> Iterable[HostInterface]:
    """What the modules of `gateway.bindings` declare, but for what no guest imports."""
    for module in pkgutil.iter_modules(gateway.bindings.__path__):
        family = importlib.import_module(f"gateway.bindings.{module.name}")
        for interface in getattr(family, "INTERFACES", ()):
            if not interface.name.startswith(wasip3.ADAPTERS):
                yield interface


@pytest.fixture(scope="module")
def documented() -> dict[str, list[str]]:
    """The functions of the table, by interface."""
    found = list(sections())
    assert len(dict(found)) == len(found), "an interface has two tables"
    return dict(found)


def test_the_table_names_what_is_provided_and_nothing_else(
    documented: dict[str, list[str]],
) -> None:
    declared = {named(each): sorted(map(plain, functions(each))) for each in interfaces()}
    assert {name: sorted(told) for name, told in documented.items()} == declared


def test_no_function_has_two_rows(documented: dict[str, list[str]]) -> None:
    for interface, told in documented.items():
        repeated = [name for name, count in Counter(told).items() if count > 1]
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
        name: sorted(used - set(documented.get(name, ())))
        for name, used in imported.items()
        if name not in documented or not used <= set(documented[name])
    }
    assert missing == {}
