"""Secrets in files, as Docker, Kubernetes and systemd (`$CREDENTIALS_DIRECTORY`) have them: `file:PATH`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from gateway.capabilities.backend import BackendError, BackendUnusable
from gateway.capabilities.secrets.source import GONE, MAX_SECRET, check_size
from gateway.config.backend_url import BackendURL
from gateway.host.files import open_regular

__all__ = ["Files"]

_READERS: Final = 2
"""Threads that read them. Arbitrary: such files are small, and in memory mostly."""


class Files:
    """A file that is the secret, whatever that is called; or a folder of files with the names of secrets.

    Args:
        url: it names the file or folder.

    Raises:
        BackendUnusable: it names none.
    """

    kind: Final = "file"
    waits: Final = True
    availability: Final = None

    def __init__(self, url: BackendURL) -> None:
        path = url.rest.removeprefix("//")
        if not path:
            raise BackendUnusable('must name a file or a folder, such as "file:/run/secrets"')
        self._path = Path(path)
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="secrets")

    def check(self, name: str) -> None:
        """See that its file can be read: `SecretSource.check`."""
        try:
            self._read(name)
        except BackendError as error:
            raise BackendUnusable(str(error.reason)) from None

    async def read(self, name: str) -> bytes:
        """What its file has: `SecretSource.read`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, name)

    async def aclose(self) -> None:
        """End the threads: `Backend.aclose`."""
        self._threads.shutdown(wait=False)

    def _read(self, name: str) -> bytes:
        path = self._path
        try:
            if path.is_dir():
                if name in {"", ".", ".."} or "/" in name or "\0" in name:
                    raise BackendError(GONE, f"{path}: no file there can be called {name!r}")
                path /= name
            with open_regular(path) as file:
                value = file.read(MAX_SECRET + 1)
        except OSError as error:
            raise BackendError(GONE, f"{path}: {error.strerror}") from None
        return check_size(value, str(path))
