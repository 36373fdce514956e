"""The documentation as a site: it is built without a warning, tells of all there is, and asks no other site.

A link or a place in a page that leads nowhere is a warning, and a page that the navigation has not.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.admin.endpoints import ENDPOINTS
from gateway.cli import app
from gateway.config.gateway import TABLES
from gateway.config.key import flag_name, flag_of
from gateway.config.values import Table, table_of
from gateway.observe.metrics import Metrics

pytest.importorskip("mkdocs")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def page(site: Path, name: str) -> str:
    return (site / "reference" / name / "index.html").read_text()


def sections(text: str) -> dict[str, str]:
    """What a page has below each of its headings, by what these say."""
    _, *parts = re.split(r"<h2 id=\"[^\"]*\">(.*?)<a class=", text)
    names = [html.unescape(re.sub(r"<.*?>", "", name)) for name in parts[::2]]
    return dict(zip(names, parts[1::2], strict=True))


def tables(path: str, table: type[Table]) -> Iterator[tuple[str, type[Table]]]:
    """A table and those within it, by what their sections are called."""
    yield path, table
    for key, field in table.model_fields.items():
        if (inner := table_of(field.annotation)) is not None:
            yield from tables(f"{path.strip('[]')}.{field.alias or key}", inner)


def test_every_key_is_there(site: Path) -> None:
    told = sections(page(site, "keys"))
    expected = {
        name: table
        for key, table in TABLES.items()
        for name, table in tables("[[components]]" if key == "components" else f"[{key}]", table)
    }
    assert told.keys() == expected.keys()
    for name, table in expected.items():
        rows = re.findall(r"<tr>\s*<td><code>(\w+)</code>", told[name])
        assert rows == [field.alias or key for key, field in table.model_fields.items()], name


def test_every_command_is_there_with_its_flags(site: Path) -> None:
    told = sections(page(site, "commands"))
    for command in app.app.registered_commands:
        assert command.callback is not None
        name = (command.name or command.callback.__name__).replace("_", "-")
        assert f"Usage: gateway {name}" in told[f"gateway {name}"], name
    assert "gateway keys generate" in told
    flags = {
        flag_name(key, field)
        for key, field in (
            TABLES["server"].model_fields | TABLES["components"].model_fields
        ).items()
        if flag_of(field) is not None
    }
    assert len(flags) > 40
    assert flags <= set(re.findall(r"--[\w-]+", told["gateway serve"]))


def test_every_metric_is_there_with_its_labels(site: Path) -> None:
    told = page(site, "metrics")
    rows = re.findall(r"<tr>\s*<td><code>(\w+)</code></td>\s*<td>\w+</td>\s*<td>(.*?)</td>", told)
    labels = {name: re.findall(r"<code>(\w+)</code>", cell) for name, cell in rows}
    known = {family.name for family in Metrics().registry.collect()}
    assert {name.removesuffix("_total").removesuffix("_info") for name in labels} == known
    assert labels["gateway_invocations_total"] == ["component", "kind", "outcome"]


def test_every_request_of_the_admin_api_is_there(site: Path) -> None:
    told = sections(page(site, "admin-api"))
    assert list(told) == [f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS]


def test_nothing_is_loaded_from_other_sites(site: Path) -> None:
    pages = [*site.glob("**/*.html")]
    assert len(pages) > 25
    for path in pages:
        text = re.sub(r'<link rel="(canonical|prev|next)"[^>]*>', "", path.read_text())
        loaded = re.findall(
            r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"([^\"]*)", text
        )
        assert loaded
        assert [each for each in loaded if re.match(r"(\w+:)?//", each)] == [], path
    for path in site.glob("**/*.css"):
        assert re.findall(r"url\(['\"]?(?:https?:)?//|@import", path.read_text()) == [], path
