"""What `wasi:blobstore` needs of a store. Each backend implements these protocols.

A store has containers, and a container has objects. A component sees a part of a store, its `Space`: the
containers that its operator has granted it there. An object is read in blocks, and written in blocks to where
nobody sees it, before it takes the place of what had its name.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, Protocol

from gateway.capabilities.backend import Backend, BackendError

__all__ = [
    "MAX_CONTAINER",
    "MAX_NAME",
    "NO_CONTAINER",
    "NO_OBJECT",
    "BlobStore",
    "Names",
    "ObjectInfo",
    "Quota",
    "Reader",
    "Space",
    "Writer",
    "check_size",
    "check_sum",
    "transfer",
]

MAX_NAME: Final = 1024
"""Bytes of the name of an object in UTF-8. S3 has as much, with what the name of the container takes of it."""

MAX_CONTAINER: Final = 255
"""Bytes of the name of a container in UTF-8. Arbitrary: most file systems have as much for a folder's."""

NO_CONTAINER: Final = "container does not exist"
"""What a guest is told of a container that is missing; wasmCloud has the same words."""

NO_OBJECT: Final = "object does not exist"
"""And of an object."""


class Quota(NamedTuple):
    """How much a component may keep in its space.

    Attributes:
        max_object: bytes of one object; None for no bound.
        max_objects: how many objects; None for no bound.
        max_bytes: bytes of all objects and their names; None for no bound.
    """

    max_object: int | None = None
    max_objects: int | None = None
    max_bytes: int | None = None

    @property
    def counts(self) -> bool:
        """Whether what is there has to be counted."""
        return (self.max_objects, self.max_bytes) != (None, None)


class ObjectInfo(NamedTuple):
    """What is known of an object.

    Attributes:
        size: its bytes.
        created_at: when it was written, in seconds since 1970.
    """

    size: int
    created_at: int


class Reader(Protocol):
    """An object that is read. What is written to its name later does not change what is read."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def block(self) -> int:
        """How many bytes are best read at once."""

    async def read(self, offset: int, size: int) -> bytes:
        """Read so many bytes, all of which are there; at most `block`.

        Raises:
            BackendError: the store cannot be used, or has lost what was there.
        """

    def close(self) -> None:
        """Let go of it, once no `read` is under way. Must not raise, and may be called again."""


class Writer(Protocol):
    """An object that is written. Its methods are called one after the other."""

    async def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            BackendError: the store cannot be used, or a quota is exceeded.
        """

    async def commit(self) -> None:
        """Give the object its name, whole, in place of what has it.

        Raises:
            BackendError: the store cannot be used, a quota is exceeded, or there is no such container any more.
        """

    async def abort(self) -> None:
        """Remove all of it, unless it was committed, be it after a call that was cancelled or failed.

        Must not raise, and may be called again.

        """


class Names(Protocol):
    """The names of the objects of a container, each once. What is there all along is among them."""

    async def next(self, count: int) -> list[str]:
        """Some more of them, at most so many; none at the end.

        Raises:
            BackendError: the store cannot be used.
        """

    def close(self) -> None:
        """Let go of it, once no `next` is under way. Must not raise, and may be called again."""


class Space(Protocol):
    """The containers of a store that a component may use, by the names that it knows them by.

    Each method raises `BackendError` where the store cannot be used, or there is no such container or object.
    """

    async def create(self, container: str) -> None:
        """Make a container; one that is there already is an error."""

    async def exists(self, container: str) -> bool:
        """Whether a container is there."""

    async def created_at(self, container: str) -> int:
        """When it was made, in seconds since 1970."""

    async def remove(self, container: str) -> None:
        """Remove a container with its objects, if it is there."""

    async def clear(self, container: str) -> None:
        """Remove all of its objects."""

    async def names(self, container: str) -> Names:
        """The names of its objects."""

    async def has(self, container: str, name: str) -> bool:
        """Whether an object is there."""

    async def info(self, container: str, name: str) -> ObjectInfo:
        """What is known of an object."""

    async def read(self, container: str, name: str) -> Reader:
        """Begin to read an object."""

    async def write(self, container: str, name: str) -> Writer:
        """Begin to write an object."""

    async def delete(self, container: str, names: list[str]) -> None:
        """Remove objects, as far as they are there."""

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """Copy an object: containers and names."""

    async def move(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """Give an object another name, be it in another container."""


class BlobStore(Backend, Protocol):
    """A store, for all components of a worker that name its URL."""

    def space(self, prefix: str, only: str | None, quota: Quota) -> Space:
        """The part of the store that a component may use.

        Args:
            prefix: what the names of its containers begin with in there, where the store is shared; "" for no
                prefix.
            only: the one container that it has there, as it knows it; None for all with the prefix.
            quota: how much it may keep.

        Raises:
            BackendUnusable: the store cannot keep to the quota.
        """


def check_size(size: int, quota: Quota) -> None:
    """Refuse an object that is too large.

    Raises:
        BackendError: it is.
    """
    if quota.max_object is not None and size > quota.max_object:
        raise BackendError(
            f"the object has more than the {quota.max_object} bytes that it may have"
        )


def check_sum(objects: int, size: int, quota: Quota) -> None:
    """Refuse what would make a space have too much.

    Args:
        objects: how many objects it would have.
        size: the bytes of them and their names.
        quota: what it may have.

    Raises:
        BackendError: it is too much.
    """
    if quota.max_objects is not None and objects > quota.max_objects:
        raise BackendError(
            f"the store has {quota.max_objects} objects already, which is all that it may have"
        )
    if quota.max_bytes is not None and size > quota.max_bytes:
        raise BackendError(
            f"the store would have more than the {quota.max_bytes} bytes it may have"
        )


async def transfer(
    source: Space, source_object: tuple[str, str], target: Space, target_object: tuple[str, str]
) -> None:
    """Copy an object from one space to another, block by block.

    Raises:
        BackendError: a store cannot be used, a quota is exceeded, or there is no such container or object.
    """
    reader = await source.read(*source_object)
    try:
        writer = await target.write(*target_object)
        try:
            offset = 0
            while offset < reader.size:
                data = await reader.read(offset, min(reader.block, reader.size - offset))
                await writer.write(data)
                offset += len(data)
                await asyncio.sleep(0)  # two stores in memory would never give the loop back
            await writer.commit()
        finally:
            await writer.abort()
    finally:
        reader.close()
