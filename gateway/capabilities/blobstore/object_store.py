"""Blobs in an object store: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.

A container is the first part of its objects' keys, in a bucket that is there already, and an object of its own
that marks it. (What others have put below that prefix makes a container too.)

An object is read by requests for one block each, all of the same version, so no connection is held while a guest
takes its time, and none is busy for longer than one operation may take. It is written in parts that nobody sees
before the last of them, of which one is sent while the next is filled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PreconditionError,
    UnknownConfigurationKeyError,
)
from obstore.store import from_url

from gateway.capabilities.availability import LOOK_TIMEOUT, Availability
from gateway.capabilities.backend import BackendError, BackendUnusable, Unavailable, refuse_bounds
from gateway.capabilities.blobstore.object_key import AZURE_KEYS, PLAIN_KEYS, Keys
from gateway.capabilities.blobstore.store import (
    MAX_NAME,
    NO_CONTAINER,
    NO_OBJECT,
    ObjectInfo,
    Quota,
    check_size,
)
from gateway.config.backend_url import BackendURL

__all__ = ["MAX_REQUESTS", "MAX_WRITERS", "ObjectStore"]

T = TypeVar("T")

MAX_REQUESTS: Final = 32
"""Requests that one grant of a component has under way in a worker. Threat: a component that asks for all at once
and leaves others no connection. Arbitrary."""

MAX_WRITERS: Final = 16
"""Objects that one grant of a component writes at the same time in a worker. Threat: each has two parts in
memory."""

PART: Final = 5 << 20
"""Bytes of a part of an object that is written: the least that S3 takes. It takes 10,000 parts, so 48 GiB."""

BLOCK: Final = 1 << 20
"""Bytes that are read at once. Arbitrary: large enough that the way there and back counts for little."""

_MARK: Final = "%container"
"""The key of what marks a container. No name is encoded so."""

_RETRY: Final[Any] = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=5),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1)},
}


class Missing(Unavailable):
    """What was asked for is not there."""


class ObjectStore:
    """A bucket, or the part of one with a prefix.

    Args:
        url: `s3://BUCKET[/PREFIX]`, `gs://BUCKET[/PREFIX]` or `az://CONTAINER[/PREFIX]`; a query has options
            of the client by their names there, beside those of the environment.

    Attributes:
        kind: `s3`, `gs` or `az`.
        waits: that it may wait.
        availability: whether the server can be used.
        client: the client.
        key_form: the keys that it may have.

    Raises:
        BackendUnusable: the URL says something else.
    """

    waits: Final = True

    def __init__(self, url: BackendURL) -> None:
        self.kind: Final = url.scheme
        self.client: Final = _client(url)
        self.key_form: Final[Keys] = AZURE_KEYS if url.scheme == "az" else PLAIN_KEYS
        self.availability: Final = Availability(self._look)

    def space(self, prefix: str, only: str | None, quota: Quota) -> ObjectSpace:  # noqa: ARG002
        """Some of the containers: `BlobStore.space`."""
        refuse_bounds(
            "an object store",
            "the bucket",
            max_objects=quota.max_objects,
            max_bytes=quota.max_bytes,
        )
        return ObjectSpace(self, prefix, quota)

    async def aclose(self) -> None:
        """Look after the server no more: `Backend.aclose`."""
        await self.availability.aclose()

    async def _look(self) -> None:
        try:
            await obstore.head_async(self.client, _MARK)
        except (BaseError, OSError) as error:
            # Whatever it says of that object, it is there.
            if isinstance(error, GenericError):
                raise _failure(error) from error


def _client(url: BackendURL) -> Any:
    address, _, query = f"{url.scheme}:{url.rest}".partition("?")
    options: Any = dict(parse_qsl(query, keep_blank_values=True))
    client_options: Any = {"connect_timeout": timedelta(seconds=LOOK_TIMEOUT)}
    if options.get("endpoint", "").startswith("http://"):
        client_options["allow_http"] = True
    if "@" in options.get("endpoint", ""):
        raise BackendUnusable(
            "has an endpoint with credentials in it, which the client would tell in its errors: give them as "
            "options of their own"
        )
    try:
        return from_url(address, config=options, client_options=client_options, retry_config=_RETRY)
    except UnknownConfigurationKeyError:
        raise BackendUnusable("has an option in its query that its client does not know") from None
    except (BaseError, ValueError) as error:
        reason = _reason(error)
        for value in filter(None, options.values()):
            reason = reason.replace(value, "...")  # of a secret, maybe
        raise BackendUnusable(f"names no bucket that could be used: {reason}") from None
    except BaseException as error:
        # The client panics over options of connections, which it takes elsewhere; its panics are no `Exception`.
        if type(error).__name__ != "PanicException":
            raise
        raise BackendUnusable("has an option in its query that its client does not know") from None


class ObjectReader:
    """An object that is read: a `Reader`."""

    block: Final = BLOCK

    def __init__(self, space: ObjectSpace, key: str, found: Mapping[str, Any]) -> None:
        self._space = space
        self._key = key
        self._version = found["e_tag"]
        self.size: Final[int] = found["size"]

    async def read(self, offset: int, size: int) -> bytes:
        """`Reader.read`."""
        options: Any = {"range": (offset, offset + size), "if_match": self._version}

        async def get() -> bytes:
            found = await obstore.get_async(self._space.client, self._key, options=options)
            return bytes(await found.bytes_async())

        try:
            return await self._space.perform(get)
        except (PreconditionError, Missing):
            raise BackendError("the object was replaced or removed while it was read") from None

    def close(self) -> None:
        """`Reader.close`."""


class ObjectWriter:
    """An object that is written: a `Writer`."""

    def __init__(self, space: ObjectSpace, container: str, key: str) -> None:
        self._space = space
        self._container = container
        self._size = 0
        self._open = True
        self._committed = False
        self._writer = obstore.open_writer_async(
            space.client, key, buffer_size=PART, max_concurrency=1
        )

    async def write(self, data: bytes) -> None:
        """`Writer.write`."""
        self._size += len(data)
        check_size(self._size, self._space.quota)
        await self._space.perform(lambda: self._writer.write(data))

    async def commit(self) -> None:
        """`Writer.commit`."""
        await self._space.require(self._container)
        await self._space.perform(self._writer.close)
        self._committed = True

    async def abort(self) -> None:
        """`Writer.abort`."""
        if not self._open:
            return
        self._open = False
        try:
            if not self._committed:
                # This is how the client is told to give up the parts that it has sent.
                given_up = asyncio.CancelledError()
                async with asyncio.timeout(LOOK_TIMEOUT):
                    await self._writer.__aexit__(type(given_up), given_up, None)
        except (BaseError, OSError, TimeoutError):
            return  # what is left of them is for the bucket's own rules
        finally:
            self._space.writers.release()


class ObjectNames:
    """The names of a container: `Names`."""

    def __init__(self, space: ObjectSpace, container: str) -> None:
        self._space = space
        self._keys = space.keys(container)
        self._found: list[str] = []

    async def next(self, count: int) -> list[str]:
        """`Names.next`."""
        while not self._found:
            keys = await self._space.perform(lambda: anext(self._keys, None))
            if keys is None:
                return []
            self._found = [
                name for key in keys if (name := self._space.key_form.original(key)) is not None
            ]
        some, self._found = self._found[:count], self._found[count:]
        return some

    def close(self) -> None:
        """`Names.close`."""
        self._found = []


class ObjectSpace:
    """Some of the containers of a store: a `Space`.

    Attributes:
        client: the store's.
        key_form: the keys that it may have.
        quota: how much it may keep.
        writers: the places of objects that are being written.
    """

    def __init__(self, store: ObjectStore, prefix: str, quota: Quota) -> None:
        self.client: Final = store.client
        self.key_form: Final = store.key_form
        self.quota: Final = quota
        self.writers: Final = asyncio.Semaphore(MAX_WRITERS)
        self._requests = asyncio.Semaphore(MAX_REQUESTS)
        self._availability = store.availability
        self._prefix = prefix

    async def create(self, container: str) -> None:
        """`Space.create`."""
        if await self.exists(container):
            raise BackendError("container exists already")
        key = self._key(container, _MARK)
        try:
            await self.perform(lambda: obstore.put_async(self.client, key, b"", mode="create"))
        except AlreadyExistsError:
            raise BackendError("container exists already") from None

    async def exists(self, container: str) -> bool:
        """`Space.exists`."""
        return await self._found(container) is not None

    async def created_at(self, container: str) -> int:
        """`Space.created_at`."""
        found = await self._found(container)
        if found is None:
            raise BackendError(NO_CONTAINER)
        return int(found["last_modified"].timestamp())

    async def remove(self, container: str) -> None:
        """`Space.remove`."""
        await self._remove(container)
        await self._delete([self._key(container, _MARK)])

    async def clear(self, container: str) -> None:
        """`Space.clear`."""
        await self.require(container)
        await self._remove(container)

    async def names(self, container: str) -> ObjectNames:
        """`Space.names`."""
        await self.require(container)
        return ObjectNames(self, container)

    async def has(self, container: str, name: str) -> bool:
        """`Space.has`."""
        if await self._head(self._object_key(container, name)) is not None:
            return True
        await self.require(container)
        return False

    async def info(self, container: str, name: str) -> ObjectInfo:
        """`Space.info`."""
        found = await self._object(container, name)
        return ObjectInfo(found["size"], int(found["last_modified"].timestamp()))

    async def read(self, container: str, name: str) -> ObjectReader:
        """`Space.read`."""
        found = await self._object(container, name)
        return ObjectReader(self, self._object_key(container, name), found)

    async def write(self, container: str, name: str) -> ObjectWriter:
        """`Space.write`."""
        key = self._object_key(container, name)
        await self.require(container)
        await self.writers.acquire()
        return ObjectWriter(self, container, key)

    async def delete(self, container: str, names: list[str]) -> None:
        """`Space.delete`."""
        await self.require(container)
        await self._delete([self._object_key(container, name) for name in names])

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """`Space.copy`."""
        found = await self._object(*source)
        check_size(found["size"], self.quota)
        await self.require(target[0])
        if source != target:
            old, new = self._object_key(*source), self._object_key(*target)
            try:
                await self.perform(lambda: obstore.copy_async(self.client, old, new))
            except Missing:
                raise BackendError(NO_OBJECT) from None

    async def move(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """`Space.move`: a copy, and then it is removed."""
        await self.copy(source, target)
        if source != target:
            await self._delete([self._object_key(*source)])

    async def require(self, container: str) -> None:
        """See that a container is there.

        Raises:
            BackendError: it is not.
        """
        if not await self.exists(container):
            raise BackendError(NO_CONTAINER)

    async def keys(self, container: str) -> AsyncIterator[list[str]]:
        """The keys of a container's objects, below the container's own; some at a time."""
        start = self._key(container, "")
        async for found in obstore.list(self.client, start, chunk_size=1000):
            keys = [each["path"].removeprefix(start) for each in found]
            yield [key for key in keys if key != _MARK]

    async def perform(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something that takes one connection at a time.

        Raises:
            BackendError: it failed.
            Missing: there is no such object, or no such bucket.
            AlreadyExistsError: there is one, and should be none.
            PreconditionError: it is not as it was.
        """
        try:
            with self._availability.watching(GenericError):
                async with self._requests:
                    return await work()
        except (AlreadyExistsError, PreconditionError):
            raise
        except FileNotFoundError as error:
            raise Missing(_reason(error)) from error
        except (BaseError, OSError, ValueError) as error:
            raise _failure(error) from error

    async def _found(self, container: str) -> Any:
        """What marks a container, or something in it; None where it is not there."""
        mark = await self._head(self._key(container, _MARK))
        if mark is not None:
            return mark
        some = obstore.list(self.client, self._key(container, ""), chunk_size=1)
        found = await self.perform(lambda: anext(aiter(some), None))
        return found[0] if found else None

    async def _object(self, container: str, name: str) -> Any:
        found = await self._head(self._object_key(container, name))
        if found is None:
            await self.require(container)
            raise BackendError(NO_OBJECT)
        return found

    async def _head(self, key: str) -> Any:
        try:
            return await self.perform(lambda: obstore.head_async(self.client, key))
        except Missing:
            return None

    async def _remove(self, container: str) -> None:
        keys = self.keys(container)
        while (found := await self.perform(lambda: anext(keys, None))) is not None:
            await self._delete([self._key(container, key) for key in found])

    async def _delete(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        try:
            await self.perform(lambda: obstore.delete_async(self.client, keys))
        except Missing:
            if len(keys) > 1:  # of one of them; some stores say so, and delete no more
                for key in keys:
                    await self._delete([key])

    def _object_key(self, container: str, name: str) -> str:
        return self._key(container, self.key_form.of_object(name))

    def _key(self, container: str, key: str) -> str:
        whole = f"{self.key_form.of_container(self._prefix + container)}/{key}"
        if len(whole.encode()) > MAX_NAME:
            raise BackendError("the name is too long for this store, with that of the container")
        return whole


def _failure(error: Exception) -> BackendError:
    return Unavailable(_reason(error))


def _reason(error: Exception) -> str:
    """The first line of what a client says: the rest is its view of itself."""
    return (str(error).partition("\n")[0] or type(error).__name__)[:500]
