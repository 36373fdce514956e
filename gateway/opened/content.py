"""What a component is opened from."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypeAlias

from gateway.host.component import MAX_SIZE
from gateway.host.errors import ComponentError

__all__ = ["Content", "content_of"]

_PIECE: Final = 1 << 20
"""Bytes that are read of a file at once. Arbitrary."""


class AsyncFile(Protocol):
    """What is read by awaiting, such as an upload of Starlette."""

    async def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes; none at the end."""


Content: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | AsyncFile
    | AsyncIterable[bytes]
)
"""Where a component comes from: a path, its bytes, or what these are read from."""


async def content_of(source: Content) -> Path | bytes:
    """A path, or all that a source has.

    Raises:
        ComponentError: that is too much.
        TypeError: it is none of those that can be opened.
    """
    if isinstance(source, str | os.PathLike):
        return Path(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    data = bytearray()
    async for piece in _pieces(source):
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise TypeError(f"a component is bytes, and {source!r} gives {type(piece).__name__}")
        data += piece
        if len(data) > MAX_SIZE:
            raise ComponentError(
                f"{source!r}: larger than {MAX_SIZE >> 20} MiB, the most that is loaded."
            )
    return bytes(data)


async def _pieces(source: Any) -> AsyncIterator[Any]:
    if hasattr(source, "read"):
        waits = inspect.iscoroutinefunction(source.read)
        while piece := await (
            source.read(_PIECE) if waits else asyncio.to_thread(source.read, _PIECE)
        ):
            yield piece
    elif hasattr(source, "__aiter__"):
        async for piece in source:
            yield piece
    else:
        raise TypeError(
            f"a component is opened from a path, bytes, a file or an asynchronous stream, not {source!r}"
        )
