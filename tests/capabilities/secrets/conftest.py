"""The places that the tests of this folder keep secrets in: each of them in each."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.capabilities.secrets import OPENERS, SecretSource
from gateway.config.backend_url import BackendURL
from tests.capabilities.servers import OpenBao


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """A server for tests that leave it as it is, but for secrets of their own."""
    with OpenBao(tmp_path_factory.mktemp("openbao")) as server:
        yield server


_numbers = itertools.count()


@pytest.fixture
def vault_url(openbao: OpenBao, monkeypatch: pytest.MonkeyPatch) -> str:
    """A secret there, with fields that a test may set."""
    monkeypatch.setenv("VAULT_TOKEN", openbao.root)
    return f"{openbao.url}-{next(_numbers)}"


class Place(NamedTuple):
    """Where one secret may be.

    Attributes:
        url: that of its source.
        put: sets it.
        remove: removes it.
    """

    url: str
    put: Callable[[str], None]
    remove: Callable[[], None]


NAME = "api-key"
"""What it is called there."""


@pytest.fixture(params=["env", "file", "folder", "vault"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place that has it not."""
    match request.param:
        case "env":
            variable = "SECRET_OF_A_TEST"
            monkeypatch.delenv(variable, raising=False)
            return Place(
                f"env:{variable}",
                lambda value: monkeypatch.setenv(variable, value),
                lambda: monkeypatch.delenv(variable),
            )
        case "file" | "folder" as kind:
            file = tmp_path / NAME
            return Place(
                f"file:{file if kind == 'file' else tmp_path}",
                lambda value: void(file.write_text(value)),
                file.unlink,
            )
    server: OpenBao = request.getfixturevalue("openbao")
    url: str = request.getfixturevalue("vault_url")
    path = url.rpartition("/")[2]
    return Place(
        url,
        lambda value: server.put(path, other="1", **{NAME: value}),
        lambda: server.put(path, other="1"),
    )


def void(_: object) -> None:
    """Nothing of it."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SecretSource]:
    """The source of a URL."""
    parsed = BackendURL.parse(url)
    source = OPENERS[parsed.scheme](parsed)
    try:
        yield source
    finally:
        await source.aclose()
