"""The floors of docs/architecture.md: those that are kept, each with the words of its package."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_floors_are_those_that_are_kept() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [it["layers"] for it in settings["contracts"] if it["type"] == "layers"]
    packages = [name for layer in layers for name in layer.split(" | ")]
    assert table() == [(name, sentence(name)) for name in packages]


def test_every_file_that_it_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:gateway/)?[a-z_0-9]+/[a-z_0-9/]+\.py)`", text))
    assert len(named) > 10
    for name in named:
        assert (ROOT / "gateway" / name.removeprefix("gateway/")).is_file(), name


def table() -> list[tuple[str, str]]:
    text = (ROOT / "docs" / "architecture.md").read_text()
    _, _, section = text.partition("\n## The floors\n")
    return re.findall(r"^\| `(\w+)` \| (.*) \|$", section.partition("\n## ")[0], re.MULTILINE)


def sentence(name: str) -> str:
    """The first line of a module's docstring, read without running it."""
    spec = importlib.util.find_spec(f"gateway.{name}")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text().removeprefix('"""').partition("\n")[0].rstrip('"')
