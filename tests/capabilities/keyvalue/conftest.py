"""The stores that the tests of this folder run on: each of them on each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.capabilities.keyvalue import OPENERS, Bucket, KeyValueStore, Quota
from gateway.config.backend_url import BackendURL

Open = Callable[..., Bucket]

QUOTA = Quota(1 << 20)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    return {"memory": "memory:", "sqlite": f"sqlite:{tmp_path}/store.db"}[request.param]


@pytest.fixture
async def store(url: str) -> AsyncIterator[KeyValueStore]:
    """That store."""
    parsed = BackendURL.parse(url)
    store = OPENERS[parsed.scheme](parsed)
    yield store
    await store.aclose()


@pytest.fixture
def bucket(store: KeyValueStore) -> Bucket:
    """All of it, with a quota that no test meets by chance."""
    return store.bucket("", QUOTA)
