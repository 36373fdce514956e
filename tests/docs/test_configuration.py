"""The documentation of the configuration: every key is there, and what is said of it holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.config import ComponentConfig, ServerConfig
from gateway.config.key import RESTART, flag_of
from gateway.config.values import table_of

GUIDE = Path(__file__).parents[2] / "docs" / "configuration.md"
LEAST: dict[str, Any] = {"name": "a", "source": Path("a.wasm")}


def rows(heading: str) -> dict[str, str]:
    """The keys of a table, and the cells of their defaults."""
    _, _, section = GUIDE.read_text().partition(f"\n## {heading}\n")
    section = re.split(r"^##", section, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^\| `(\w+)` *\| *(.*?) *\|", section, flags=re.MULTILINE)
    assert len(dict(found)) == len(found), "a key has two rows"
    return dict(found)


@pytest.mark.parametrize(
    ("heading", "model", "least"),
    [("`[server]`", ServerConfig, {}), ("`[[components]]`", ComponentConfig, LEAST)],
)
def test_every_key_is_there_with_its_default(
    heading: str, model: type[ServerConfig | ComponentConfig], least: dict[str, Any]
) -> None:
    documented = rows(heading)
    assert documented.keys() == model.model_fields.keys()
    for key, cell in documented.items():
        field = model.model_fields[key]
        if cell:
            value = tomllib.loads(f"value = {cell.strip('`')}")["value"]
            read = getattr(model.model_validate(least | {key: value}), key)
            assert read == field.get_default(call_default_factory=True, validated_data={}), key
        else:
            assert field.is_required() or field.default_factory or field.default is None, key


def named(beginning: str) -> list[str]:
    """The keys that a sentence names."""
    _, found, rest = GUIDE.read_text().partition(beginning)
    assert found
    return re.findall(r"`(\w+)`", re.split(r"\.\s", rest, maxsplit=1)[0])


def test_what_has_no_flag_is_told() -> None:
    without = {
        key
        for model in (ServerConfig, ComponentConfig)
        for key, field in model.model_fields.items()
        if flag_of(field) is None
        and not any(map(flag_of, getattr(table_of(field.annotation), "model_fields", {}).values()))
    }
    rest = {"source"}  # it has an argument
    assert sorted(named("There is no flag for ")) == sorted(without - rest | {"rpc", "log_level"})


def test_what_takes_a_restart_is_told() -> None:
    fixed = [key for key, field in ServerConfig.model_fields.items() if RESTART in field.metadata]
    assert named("A restart, not a [reload]") == fixed
