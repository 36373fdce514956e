"""Stores of blobs: what `wasi:blobstore` needs of one, and those that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.capabilities.backend import Opener, missing_extra
from gateway.capabilities.blobstore.store import (
    BlobStore,
    Names,
    ObjectInfo,
    Quota,
    Reader,
    Space,
    Writer,
)
from gateway.config.backend_url import BackendURL

__all__ = [
    "OPENERS",
    "BlobStore",
    "Names",
    "ObjectInfo",
    "Quota",
    "Reader",
    "Space",
    "Writer",
]


def _memory(url: BackendURL) -> BlobStore:
    from gateway.capabilities.blobstore.memory import MemoryStore  # noqa: PLC0415 - for those who use it

    return MemoryStore.open(url)


def _file(url: BackendURL) -> BlobStore:
    from gateway.capabilities.blobstore.file import FileStore  # noqa: PLC0415 - for those who use it

    return FileStore.open(url)


def _objects(url: BackendURL) -> BlobStore:
    try:
        from gateway.capabilities.blobstore.object_store import ObjectStore  # noqa: PLC0415 - for those who use it
    except ModuleNotFoundError:
        raise missing_extra("blob") from None
    return ObjectStore(url)


OPENERS: Final[Mapping[str, Opener[BlobStore]]] = {
    "az": _objects,
    "file": _file,
    "gs": _objects,
    "memory": _memory,
    "s3": _objects,
}
"""What opens a store, by the scheme of its URL."""
