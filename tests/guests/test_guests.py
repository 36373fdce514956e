"""The guests themselves: each is used, and each is built once."""

import ast
from pathlib import Path

import pytest

from tests.guests import build
from tests.guests.toolchains import BuildFailed, Wat
from tests.harness import GuestPath

TESTS = Path(__file__).parents[1]


def strings(module: Path) -> set[str]:
    """Every string literal of a Python source."""
    nodes = ast.walk(ast.parse(module.read_text()))
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_guest_is_named_by_a_test() -> None:
    # A guest that no test asks for by its name proves nothing, and nobody would see it rot.
    modules = {*TESTS.glob("**/test_*.py"), *TESTS.glob("**/conftest.py")} - {Path(__file__)}
    named = {literal for module in modules for literal in strings(module)}
    assert sorted(set(build.ALL) - named) == []


def test_a_build_is_kept(guest: GuestPath) -> None:
    built = guest("wat/hello")
    before = built.stat()
    assert guest("wat/hello") == built
    after = built.stat()  # but for when another test has read it
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_source_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "broken.wat"
    source.write_text("(component (export")
    with pytest.raises(BuildFailed, match=r"broken\.wat"):
        Wat().compile(source, tmp_path / "broken.wasm")
    assert list(tmp_path.iterdir()) == [source]
