"""Backends are shared by URL, and closed with the last who has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.capabilities.backend import Backends, BackendUnusable
from gateway.capabilities.keyvalue import OPENERS, KeyValueStore, Quota
from gateway.config.backend_url import BackendURL

pytestmark = pytest.mark.anyio

QUOTA = Quota(1024)


def lease(backends: Backends[KeyValueStore], url: str) -> object:
    return backends.lease(BackendURL.parse(url))


async def test_one_url_is_one_backend() -> None:
    backends: Backends[KeyValueStore] = Backends(OPENERS)
    first, second = (backends.lease(BackendURL.parse("memory:")) for _ in range(2))
    other = backends.lease(BackendURL.parse("memory:other"))
    assert first.backend is second.backend is not other.backend
    await first.backend.bucket("", QUOTA).set("key", b"1")
    await first.aclose()
    await first.aclose()
    assert await second.backend.bucket("", QUOTA).get("key") == b"1"
    assert await other.backend.bucket("", QUOTA).get("key") is None
    await second.aclose()
    await other.aclose()
    again = backends.lease(BackendURL.parse("memory:"))
    assert await again.backend.bucket("", QUOTA).get("key") is None
    await again.aclose()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nothing:", 'has the scheme "nothing:"; there are memory:, sqlite:'),
        ("memory:a/b", 'must be "memory:", or with a name of letters and digits "memory:NAME"'),
        ("sqlite:", 'must name a file, such as "sqlite:app.db"'),
        ("sqlite:/nowhere/app.db", "names a file in a folder that is not there: make the folder"),
        ("sqlite:/usr", "names a folder, and must name a file, such as app.db in there"),
    ],
)
def test_what_cannot_be_used_is_refused_early(url: str, reason: str) -> None:
    backends: Backends[KeyValueStore] = Backends(OPENERS)
    with pytest.raises(BackendUnusable) as refused:
        lease(backends, url)
    assert str(refused.value) == reason


@pytest.mark.parametrize("text", ["", "memory", "/srv/x", "Memory:", "memory:\0"])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a URL"):
        BackendURL.parse(text)


def test_credentials_are_not_shown() -> None:
    url = BackendURL.parse("redis://user:secret@host:6379/1?password=secret")
    assert "secret" not in repr(url)
    assert repr(url) == "redis://host:6379/1"
    assert str(url) == "redis://user:secret@host:6379/1?password=secret"


async def test_a_file_is_made_when_it_is_used(tmp_path: Path) -> None:
    backends: Backends[KeyValueStore] = Backends(OPENERS)
    taken = backends.lease(BackendURL.parse(f"sqlite:{tmp_path}/a.db"))
    assert os.listdir(tmp_path) == []
    await taken.backend.bucket("", QUOTA).set("key", b"1")
    assert "a.db" in os.listdir(tmp_path)
    await taken.aclose()
