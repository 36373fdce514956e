"""The table of limits: its keys are those of the configuration, its metrics those that are scraped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import ComponentConfig, ServerConfig
from gateway.config.values import Table, table_of
from gateway.observe.metrics import Metrics

GUIDE = Path(__file__).parents[2] / "docs" / "production.md"

LIMITS = re.compile(r"(_?timeout|_grace)$|^(log_)?max_|_max_|^backlog$")
"""The keys that limit something, by their names."""


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    """The cells of each row."""
    _, _, section = GUIDE.read_text().partition("\n## Limits\n")
    lines = re.findall(r"^\|.*\|$", section.partition("\n## ")[0], flags=re.MULTILINE)
    _header, _rule, *table = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return table


def keys(*models: type[Table]) -> Iterator[str]:
    """Those of models, and of the tables within them."""
    for model in models:
        yield from filter(LIMITS.search, model.model_fields)
        inner = (table_of(field.annotation) for field in model.model_fields.values())
        yield from keys(*filter(None, inner))


def test_every_row_has_all_cells(rows: list[list[str]]) -> None:
    assert len(rows) > 50
    assert {len(row) for row in rows} == {6}


def test_every_key_that_limits_something_is_there(rows: list[list[str]]) -> None:
    named = set(re.findall(r"`(\w+)`", " ".join(" ".join(row) for row in rows)))
    assert set(keys(ServerConfig, ComponentConfig)) - named == set()


def test_every_metric_is_one(rows: list[list[str]]) -> None:
    known = {family.name.removeprefix("gateway_") for family in Metrics().registry.collect()}
    named = {name for row in rows for name in re.findall(r"`(\w+)(?:\{.*?\})?`", row[5])}
    assert {name.removesuffix("_total") for name in named} - known == set()
