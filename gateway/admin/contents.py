"""Components that the admin API is sent: a file for each, in a folder that the operator has chosen for them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import IO, Final

__all__ = ["Contents"]

_PIECE: Final = 1 << 20
"""Bytes that are written at once, in a thread: what comes of a connection comes in small parts. Arbitrary."""

_MAX_AT_ONCE: Final = 2
"""How many are received at once. Threat: each may have 512 MiB of the disk before anything is known of it."""

_SENT: Final = re.compile(r"(.+)-[0-9a-f]{64}\.wasm")
"""The file of a component that was sent: its name and its digest."""


class Contents:
    """The folder. A file is named by its component and its digest, so that what is served is never written over.

    Args:
        folder: the folder, which is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turns = asyncio.Semaphore(_MAX_AT_ONCE)
        self._lock = asyncio.Lock()
        self._used: Counter[Path] = Counter()

    @asynccontextmanager
    async def kept(self, name: str, parts: AsyncGenerator[bytes, None]) -> AsyncIterator[Path]:
        """Write a component, whole or not at all; gives its file, which nobody removes meanwhile.

        Args:
            name: the component's name.
            parts: its content. What these raise is raised.

        Raises:
            OSError: it cannot be written.
        """
        path = await self._keep(name, parts)
        try:
            yield path
        finally:
            self._used[path] -= 1

    async def remove(self, name: str, path: Path) -> None:
        """Remove the file of a component which is not served from it any more.

        It stays where it is not one that was sent for this component, and where it was sent again.
        """
        own = _SENT.fullmatch(path.name)
        if own is None or own[1] != name or path.parent != self._folder:
            return
        async with self._lock:
            if not self._used[path]:
                del self._used[path]
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(path.unlink)

    async def _keep(self, name: str, parts: AsyncGenerator[bytes, None]) -> Path:
        async with self._turns:
            descriptor, temporary = await asyncio.to_thread(
                tempfile.mkstemp, dir=self._folder, prefix=".", suffix=".tmp"
            )
            try:
                with os.fdopen(descriptor, "wb") as file:
                    digest = await _written(file, parts)
                path = self._folder / f"{name}-{digest}.wasm"
                async with self._lock:
                    await asyncio.to_thread(Path(temporary).replace, path)
                    self._used[path] += 1
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)  # at once: who is cancelled waits for nothing
                raise
        return path


async def _written(file: IO[bytes], parts: AsyncGenerator[bytes, None]) -> str:
    """Write parts to a file; returns the SHA-256 of all of them, in hexadecimal."""
    digest = hashlib.sha256()
    waiting = bytearray()

    def write() -> None:
        digest.update(waiting)
        file.write(waiting)

    async with aclosing(parts):
        async for part in parts:
            waiting += part
            if len(waiting) >= _PIECE:
                await asyncio.to_thread(write)
                waiting.clear()
    await asyncio.to_thread(write)
    await asyncio.to_thread(file.flush)
    return digest.hexdigest()
