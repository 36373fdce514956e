"""The backends of one family of interfaces in a worker: one for each URL, for as long as a component has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
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

    Other packages may have more: an entry point of the group `component_gateway.FAMILY` has the scheme as its
    name, and is an `Opener`.

    Args:
        family: its name, as the key of a component's configuration.
        openers: what makes one, by the scheme of its URL.
    """

    def __init__(self, family: str, openers: Mapping[str, Opener[B]]) -> None:
        self._group = f"component_gateway.{family}"
        self._openers = openers
        self._open: dict[str, tuple[B, int]] = {}
        self._lent: list[str] = []
        self._lock = threading.Lock()  # components are put in service by threads

    def lease(self, url: BackendURL) -> Lease[B]:
        """Take part in the backend of a URL.

        Raises:
            BackendUnusable: there is none of that scheme, or what the URL says cannot be used.
        """
        name = str(url)
        with self._lock:
            backend, count = self._open.get(name) or (self._opener(url.scheme)(url), 0)
            self._open[name] = backend, count + 1
        return Lease(backend, self, name)

    def lend(self, scheme: str, backend: B) -> None:
        """Let components use a backend by the URL `scheme:`. It stays its owner's, who closes it.

        Raises:
            ValueError: there is one of that scheme, or it is no scheme.
        """
        name = str(BackendURL.parse(f"{scheme}:"))
        with self._lock:
            if scheme in self._openers or name in self._open:
                raise ValueError(f"{self._group} has {name} already")
            self._open[name] = backend, 1
            self._lent.append(scheme)

    def _opener(self, scheme: str) -> Opener[B]:
        if (opener := self._openers.get(scheme)) is not None:
            return opener
        for point in entry_points(group=self._group, name=scheme):
            try:
                found: Opener[B] = point.load()
            except Exception as error:
                raise BackendUnusable(
                    f'has the scheme "{scheme}:", whose {point.value} cannot be loaded: {error}'
                ) from error
            return found
        installed = (point.name for point in entry_points(group=self._group))
        known = ", ".join(f"{each}:" for each in sorted({*self._openers, *self._lent, *installed}))
        raise BackendUnusable(f'has the scheme "{scheme}:"; there are {known}')

    def give_back(self, url: str) -> B | None:
        """Note that a lease has ended; returns the backend if that was the last."""
        with self._lock:
            backend, count = self._open.pop(url)
            if count == 1:
                return backend
            self._open[url] = backend, count - 1
            return None
