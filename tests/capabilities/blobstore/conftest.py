"""The stores that the tests of this folder run on: each of them on each."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from gateway.capabilities.blobstore import OPENERS, BlobStore, Quota, Space
from gateway.config.backend_url import BackendURL
from tests.capabilities.servers import Azurite, Moto, ObjectServer

NO_QUOTA = Quota()


OBJECT_SERVERS: Final[Mapping[str, type[ObjectServer]]] = {"s3": Moto, "az": Azurite}
"""By the schemes of their URLs."""

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """A server for tests that leave it as it is."""
    with Moto(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def az_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """Another."""
    with Azurite(tmp_path_factory.mktemp("az")) as server:
        yield server


@pytest.fixture(scope="session", params=OBJECT_SERVERS)
def object_server(request: pytest.FixtureRequest) -> ObjectServer:
    """Each of them."""
    found: ObjectServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def object_url(object_server: ObjectServer) -> str:
    """An empty store there."""
    return object_server.part(f"{next(_numbers)}")


@pytest.fixture(params=["memory", "file", *OBJECT_SERVERS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param in OBJECT_SERVERS:
        server: ObjectServer = request.getfixturevalue(f"{request.param}_server")
        return server.part(f"{next(_numbers)}")
    return {"memory": "memory:", "file": f"file:{tmp_path}"}[request.param]


@pytest.fixture
async def store(url: str) -> AsyncIterator[BlobStore]:
    """That store."""
    parsed = BackendURL.parse(url)
    store = OPENERS[parsed.scheme](parsed)
    yield store
    await store.aclose()


@pytest.fixture
async def space(store: BlobStore) -> Space:
    """All of it, with a container "c", and no quota."""
    space = store.space("", None, NO_QUOTA)
    await space.create("c")
    return space


async def write(space: Space, name: str, content: bytes, container: str = "c") -> None:
    """Write an object."""
    writer = await space.write(container, name)
    try:
        view = memoryview(content)
        for begin in range(0, len(content), 64 << 10):
            await writer.write(bytes(view[begin : begin + (64 << 10)]))
        await writer.commit()
    finally:
        await writer.abort()


async def read(space: Space, name: str, container: str = "c") -> bytes:
    """All of an object."""
    reader = await space.read(container, name)
    try:
        blocks = [
            await reader.read(offset, min(reader.block, reader.size - offset))
            for offset in range(0, reader.size, reader.block)
        ]
    finally:
        reader.close()
    return b"".join(blocks)


async def listed(space: Space, container: str = "c", count: int = 1000) -> list[str]:
    """The names of the objects of a container, sorted."""
    names = await space.names(container)
    found: list[str] = []
    try:
        while more := await names.next(count):
            assert len(more) <= count
            found += more
    finally:
        names.close()
    return sorted(found)
