"""The backends of one family of interfaces in a worker: one for each URL, for as long as a component has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from gateway.config.backend_url import BackendURL

__all__ = ["Backend", "BackendError", "BackendUnusable", "Backends", "Lease", "Opener"]


class BackendUnusable(ValueError):
    """A URL that names no backend which could be used. The message says why and what to do, without the URL."""


class BackendError(Exception):
    """A backend did not do what it was asked to.

    Attributes:
        message: what the guest is told: nothing of where the backend is, or of what others keep there.
        reason: what the log is told; None where it is the guest's own doing, and nobody else's business.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason


class Backend(Protocol):
    """What stands behind a capability."""

    @property
    def kind(self) -> str:
        """What it is, as a label of metrics and spans: `memory`, `sqlite`, `redis` ..."""

    @property
    def waits(self) -> bool:
        """Whether it may wait for something outside of this process, so that operations need a time limit."""

    async def aclose(self) -> None:
        """Close what it has open. Nothing is asked of it any more. Must not raise."""


B = TypeVar("B", bound=Backend)

Opener: TypeAlias = Callable[[BackendURL], B]
"""Makes a backend, in any thread and before there is an event loop: it connects when it is used.

Raises:
    BackendUnusable: what the URL says cannot be used.
"""


class Lease(Generic[B]):
    """A component's part in a backend, until it is closed.

    Attributes:
        backend: the backend.
    """

    def __init__(self, backend: B, backends: Backends[B], url: str) -> None:
        self.backend: Final = backend
        self._backends = backends
        self._url = url
        self._closed = False

    async def aclose(self) -> None:
        """Give it back, and close the backend if nobody else has it. May be called again."""
        if (backend := self.release()) is not None:
            await backend.aclose()

    def release(self) -> B | None:
        """Give it back; returns the backend if nobody else has it, which is to be closed if it was ever used."""
        if self._closed:
            return None
        self._closed = True
        return self._backends.give_back(self._url)


class Backends(Generic[B]):
    """Those of one family. They belong to the worker: a reload, which takes before it gives back, closes none.

    Args:
        openers: what makes one, by the scheme of its URL.
    """

    def __init__(self, openers: Mapping[str, Opener[B]]) -> None:
        self._openers = openers
        self._open: dict[str, tuple[B, int]] = {}
        self._lock = threading.Lock()  # components are put in service by threads

    def lease(self, url: BackendURL) -> Lease[B]:
        """Take part in the backend of a URL.

        Raises:
            BackendUnusable: there is none of that scheme, or what the URL says cannot be used.
        """
        opener = self._openers.get(url.scheme)
        if opener is None:
            known = ", ".join(f"{scheme}:" for scheme in sorted(self._openers))
            raise BackendUnusable(f'has the scheme "{url.scheme}:"; there are {known}')
        name = str(url)
        with self._lock:
            backend, count = self._open.get(name) or (opener(url), 0)
            self._open[name] = backend, count + 1
        return Lease(backend, self, name)

    def give_back(self, url: str) -> B | None:
        """Note that a lease has ended; returns the backend if that was the last."""
        with self._lock:
            backend, count = self._open.pop(url)
            if count == 1:
                return backend
            self._open[url] = backend, count - 1
            return None
