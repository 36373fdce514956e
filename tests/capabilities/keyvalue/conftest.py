"""The stores that the tests of this folder run on: each of them on each."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from gateway.capabilities.backend import Opener
from gateway.capabilities.keyvalue import OPENERS, Bucket, KeyValueStore, Quota
from gateway.config.backend_url import BackendURL
from gateway.testing import KeyValue
from tests.capabilities.servers import Nats, Redis

DOCS = Path(__file__).parents[3] / "docs" / "backends.md"

QUOTA = Quota(1 << 20)


_numbers = itertools.count()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """An empty store there."""
    number = next(_numbers) % 64
    with redis.Redis(port=redis_server.port, db=number) as client:
        client.flushdb()
    return f"{redis_server.url}/{number}"


@pytest.fixture
def nats_url(nats_server: Nats) -> str:
    """An empty store there."""
    return f"{nats_server.url}-{next(_numbers)}"


@pytest.fixture(params=["memory", "sqlite", "redis", "nats", "dict", "testing"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store; `dict:` is that of the documentation, `testing:` that of `gateway.testing`."""
    match request.param:
        case "sqlite":
            return f"sqlite:{tmp_path}/store.db"
        case "redis" | "nats" as server:
            found: str = request.getfixturevalue(f"{server}_url")
            return found
    return f"{request.param}:"


def documented() -> Opener[KeyValueStore]:
    """The class of stores that the documentation shows."""
    (program,) = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102 - the documentation is ours
    store: Opener[KeyValueStore] = names["DictStore"]
    return store


def _testing(_url: BackendURL) -> KeyValue:
    return KeyValue()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[KeyValueStore]:
    """The store of a URL."""
    parsed = BackendURL.parse(url)
    openers = {**OPENERS, "dict": documented(), "testing": _testing}
    store = openers[parsed.scheme](parsed)
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture
async def store(url: str) -> AsyncIterator[KeyValueStore]:
    """That store."""
    async with opened(url) as store:
        yield store


@pytest.fixture
def bucket(store: KeyValueStore) -> Bucket:
    """All of it, with a quota that no test meets by chance."""
    return store.bucket("", QUOTA)
