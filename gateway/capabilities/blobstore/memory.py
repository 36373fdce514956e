"""Blobs in the memory of a worker: for tests, and for what may be lost."""

from __future__ import annotations

from itertools import islice
from time import time
from typing import Final, Self

from gateway.capabilities.backend import BackendError, check_memory
from gateway.capabilities.blobstore.store import (
    NO_CONTAINER,
    NO_OBJECT,
    ObjectInfo,
    Quota,
    check_size,
    check_sum,
)
from gateway.config.backend_url import BackendURL

__all__ = ["MAX_MEMORY", "MemoryStore"]

MAX_MEMORY: Final = 256 << 20
"""Bytes of a store, with what is being written to it. Arbitrary: what needs more has a folder."""

MAX_OBJECTS: Final = 100_000
MAX_CONTAINERS: Final = 1000
"""Of a store. Threat: empty ones without end. Arbitrary; the names of so many are listed in a millisecond, on the
event loop."""

_BLOCK: Final = 256 << 10


class _Object:
    """An object, which never changes."""

    __slots__ = ("chunks", "created_at", "size")

    def __init__(self, chunks: tuple[bytes, ...], size: int) -> None:
        self.chunks = chunks
        self.size = size
        self.created_at = int(time())


class _Container:
    """A container, and the bytes of its objects and their names."""

    __slots__ = ("_store", "created_at", "objects", "size")

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.created_at = int(time())
        self.objects: dict[str, _Object] = {}
        self.size = 0

    def put(self, name: str, new: _Object) -> None:
        """Add an object, whose name nothing has."""
        self._store.objects += 1
        self.objects[name] = new
        self.size += len(name.encode()) + new.size

    def discard(self, name: str) -> int:
        """Remove an object, if it is there; returns its size."""
        found = self.objects.pop(name, None)
        if found is None:
            return 0
        self._store.objects -= 1
        self.size -= len(name.encode()) + found.size
        return found.size

    def clear(self) -> int:
        """Remove all objects; returns the size of all of them."""
        size = sum(found.size for found in self.objects.values())
        self._store.objects -= len(self.objects)
        self.objects.clear()
        self.size = 0
        return size


class MemoryStore:
    """A store in memory, which ends with this object.

    Attributes:
        kind: `memory`.
        waits: never.
        availability: None, for it is always there.
        containers: all of it, by name.
        objects: how many objects it has.
        free: bytes of content that it may still have.
    """

    kind: Final = "memory"
    waits: Final = False
    availability: Final = None

    def __init__(self) -> None:
        self.containers: dict[str, _Container] = {}
        self.free = MAX_MEMORY
        self.objects = 0

    @classmethod
    def open(cls, url: BackendURL) -> Self:
        """The store of `memory:` or `memory:NAME`.

        Raises:
            BackendUnusable: it says something else.
        """
        check_memory(url)
        return cls()

    def space(self, prefix: str, only: str | None, quota: Quota) -> MemorySpace:
        """Some of the containers: `BlobStore.space`."""
        return MemorySpace(self, prefix, only, quota)

    async def aclose(self) -> None:
        """Forget all: `Backend.aclose`."""
        self.containers.clear()

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            BackendError: there is no room for them.
        """
        if size > self.free:
            raise BackendError("the store is full")
        self.free -= size


class MemoryReader:
    """An object that is read: a `Reader`."""

    block: Final = _BLOCK

    def __init__(self, found: _Object) -> None:
        self.size: Final = found.size
        self._chunks = found.chunks

    async def read(self, offset: int, size: int) -> bytes:
        """`Reader.read`."""
        # All chunks but the last have the same length.
        index, begin = divmod(offset, _BLOCK)
        data = self._chunks[index][begin : begin + size]
        if len(data) < size:
            data += self._chunks[index + 1][: size - len(data)]
        return data

    def close(self) -> None:
        """`Reader.close`."""


class MemoryWriter:
    """An object that is written: a `Writer`."""

    def __init__(self, space: MemorySpace, container: str, name: str) -> None:
        self._space = space
        self._where = container, name
        self._chunks: list[bytes] = []
        self._rest = bytearray()
        self._size = 0
        self._taken = 0

    async def write(self, data: bytes) -> None:
        """`Writer.write`."""
        self._space.check_object(*self._where, self._size + len(data))
        self._space.store.take(len(data))
        self._size += len(data)
        self._taken += len(data)
        rest = self._rest
        rest += data
        while len(rest) >= _BLOCK:
            self._chunks.append(bytes(rest[:_BLOCK]))
            del rest[:_BLOCK]

    async def commit(self) -> None:
        """`Writer.commit`."""
        if self._rest:
            self._chunks.append(bytes(self._rest))
        self._space.put(*self._where, _Object(tuple(self._chunks), self._size))
        self._taken = 0

    async def abort(self) -> None:
        """`Writer.abort`."""
        self._space.store.free += self._taken
        self._taken = 0
        self._chunks.clear()
        self._rest.clear()


class MemoryNames:
    """The names of a container: `Names`."""

    def __init__(self, names: list[str]) -> None:
        self._names = iter(names)

    async def next(self, count: int) -> list[str]:
        """`Names.next`."""
        return list(islice(self._names, count))

    def close(self) -> None:
        """`Names.close`."""
        self._names = iter(())


class MemorySpace:
    """Some of the containers of a store: a `Space`."""

    def __init__(self, store: MemoryStore, prefix: str, only: str | None, quota: Quota) -> None:
        self.store: Final = store
        self._prefix = prefix
        self._only = only
        self._quota = quota

    async def create(self, container: str) -> None:
        """`Space.create`."""
        key = self._prefix + container
        if key in self.store.containers:
            raise BackendError("container exists already")
        if len(self.store.containers) >= MAX_CONTAINERS:
            raise BackendError(f"the store has {MAX_CONTAINERS} containers already")
        self.store.containers[key] = _Container(self.store)

    async def exists(self, container: str) -> bool:
        """`Space.exists`."""
        return self._prefix + container in self.store.containers

    async def created_at(self, container: str) -> int:
        """`Space.created_at`."""
        return self._container(container).created_at

    async def remove(self, container: str) -> None:
        """`Space.remove`."""
        if await self.exists(container):
            await self.clear(container)
            del self.store.containers[self._prefix + container]

    async def clear(self, container: str) -> None:
        """`Space.clear`."""
        self.store.free += self._container(container).clear()

    async def names(self, container: str) -> MemoryNames:
        """`Space.names`."""
        return MemoryNames(list(self._container(container).objects))

    async def has(self, container: str, name: str) -> bool:
        """`Space.has`."""
        return name in self._container(container).objects

    async def info(self, container: str, name: str) -> ObjectInfo:
        """`Space.info`."""
        found = self._object(container, name)
        return ObjectInfo(found.size, found.created_at)

    async def read(self, container: str, name: str) -> MemoryReader:
        """`Space.read`."""
        return MemoryReader(self._object(container, name))

    async def write(self, container: str, name: str) -> MemoryWriter:
        """`Space.write`."""
        self.check_object(container, name, 0)
        return MemoryWriter(self, container, name)

    async def delete(self, container: str, names: list[str]) -> None:
        """`Space.delete`."""
        deleted = self._container(container)
        for name in names:
            self.store.free += deleted.discard(name)

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """`Space.copy`."""
        found = self._object(*source)
        if source == target:
            return
        self.store.take(found.size)
        try:
            self.put(*target, _Object(found.chunks, found.size))
        except BackendError:
            self.store.free += found.size
            raise

    async def move(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """`Space.move`."""
        found = self._object(*source)
        self._container(source[0]).discard(source[1])
        try:
            self.put(*target, found)
        except BackendError:
            self._container(source[0]).put(source[1], found)
            raise

    def check_object(self, container: str, name: str, size: int) -> None:
        """Refuse an object that may not be there.

        Raises:
            BackendError: there is no such container, or a quota would be exceeded.
        """
        replaced = self._container(container).objects.get(name)
        check_size(size, self._quota)
        if replaced is None and self.store.objects >= MAX_OBJECTS:
            raise BackendError(f"the store has {MAX_OBJECTS} objects already")
        if self._quota.counts:
            containers = self._containers()
            objects = sum(len(each.objects) for each in containers) + (replaced is None)
            added = size + len(name.encode()) if replaced is None else size - replaced.size
            check_sum(objects, sum(each.size for each in containers) + added, self._quota)

    def put(self, container: str, name: str, new: _Object) -> None:
        """Have an object in place of what has its name; the store has counted its content before.

        Raises:
            BackendError: there is no such container, or a quota would be exceeded.
        """
        self.check_object(container, name, new.size)
        into = self._container(container)
        self.store.free += into.discard(name)
        into.put(name, new)

    def _containers(self) -> list[_Container]:
        """Those of the space."""
        if self._only is not None:
            found = self.store.containers.get(self._prefix + self._only)
            return [] if found is None else [found]
        return [
            container
            for name, container in self.store.containers.items()
            if name.startswith(self._prefix)
        ]

    def _container(self, container: str) -> _Container:
        found = self.store.containers.get(self._prefix + container)
        if found is None:
            raise BackendError(NO_CONTAINER)
        return found

    def _object(self, container: str, name: str) -> _Object:
        found = self._container(container).objects.get(name)
        if found is None:
            raise BackendError(NO_OBJECT)
        return found
