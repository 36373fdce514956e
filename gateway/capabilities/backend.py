"""The backends of one family of interfaces in a worker: one for each URL, for as long as a component has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from gateway.config.backend_url import BackendURL

__all__ = [
    "Availability",
    "Backend",
    "BackendError",
    "BackendUnusable",
    "Backends",
    "Lease",
    "NoAnswer",
    "OnChange",
    "Opener",
    "Unavailable",
    "check_memory",
    "missing_extra",
    "refuse_bounds",
]


class BackendUnusable(ValueError):
    """A URL that names no backend which could be used. The message says why and what to do, without the URL."""


def refuse_bounds(store: str, instead: str, **bounds: int | None) -> None:
    """Refuse bounds of what a component keeps in a store that does not count that.

    Args:
        store: what the store is, for people.
        instead: what can be bounded in their place.
        bounds: they, by the keys of the configuration; None where there is none.

    Raises:
        BackendUnusable: there is one.
    """
    if any(bound is not None for bound in bounds.values()):
        raise BackendUnusable(
            f"is {store}, which does not count what a component has: leave {' and '.join(bounds)} out, and "
            f"bound {instead}"
        )


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


class Unavailable(BackendError):
    """A store cannot be used. Guests are told no more than that.

    Args:
        reason: what the log is told.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("the store is not available", reason)


class NoAnswer(BackendError):
    """What was asked for has not come in time: that of the backend, or that which the guest gave it."""


def missing_extra(extra: str) -> BackendUnusable:
    """Why a backend is unusable whose client is not installed."""
    return BackendUnusable(
        f"needs a package that is not installed: pip install 'component-gateway[{extra}]'"
    )


def check_memory(url: BackendURL) -> None:
    """Refuse a URL of a store in memory that says more than `memory:NAME`.

    Raises:
        BackendUnusable: it does.
    """
    if not url.rest.isalnum() and url.rest:
        raise BackendUnusable(
            'must be "memory:", or with a name of letters and digits "memory:NAME"'
        )


class Availability(Protocol):
    """Whether the server behind a backend can be used (`gateway.capabilities.availability`).

    Attributes:
        on_change: told when trouble, or a remark, begins or ends.
    """

    on_change: Callable[[], None] | None

    @property
    def trouble(self) -> str | None:
        """Why it cannot be used, for the operator; None while nothing is known against it."""

    @property
    def remark(self) -> str | None:
        """What else the operator should see to, where it can be used; None for nothing."""

    def begin(self) -> None:
        """Components are served from now on; on the event loop. May be called again."""

    def doubt(self) -> None:
        """Have somebody look whether it can be used, until it can; on the event loop."""


class Backend(Protocol):
    """What stands behind a capability."""

    @property
    def kind(self) -> str:
        """What it is, as a label of metrics and spans: `memory`, `sqlite`, `redis` ..."""

    @property
    def waits(self) -> bool:
        """Whether it may wait for something outside of this process, so that operations need a time limit."""

    @property
    def availability(self) -> Availability | None:
        """Whether its server can be used; None where there is none that could be away."""

    async def aclose(self) -> None:
        """Close what it has open. Nothing is asked of it any more. Must not raise."""


B = TypeVar("B", bound=Backend)

Opener: TypeAlias = Callable[[BackendURL], B]
"""Makes a backend, in any thread and before there is an event loop: it connects when it is used.

Raises:
    BackendUnusable: what the URL says cannot be used.
"""


OnChange: TypeAlias = Callable[[str, str, bool, bool], None]
"""Told of a family and a kind of backend whether all servers of it can be used, and whether there is something
else that the operator should see to. From any thread."""


class Lease(Generic[B]):
    """A component's part in a backend, until it is closed.

    Attributes:
        backend: the backend.
    """

    def __init__(self, backend: B, backends: Backends[B], url: BackendURL) -> None:
        self.backend: Final = backend
        self._backends = backends
        self._url = url
        self._closed = False

    async def aclose(self) -> None:
        """Give it back, and close the backend if nobody else has it. May be called again."""
        if (backend := self._given_back()) is not None:
            await backend.aclose()

    def abandon(self) -> None:
        """Give it back, in any thread. Of the last who have it, `Backends.close_abandoned` closes the backend."""
        if (backend := self._given_back()) is not None:
            self._backends.abandoned.append(backend)

    def _given_back(self) -> B | None:
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
        on_change: told of the family and a kind of backend whether all servers behind those of it can be used, and
            whether the operator should see to one, when one is opened and whenever that may have changed.

    Attributes:
        abandoned: those that nobody has any more, and that are still to be closed.
    """

    def __init__(
        self,
        family: str,
        openers: Mapping[str, Opener[B]],
        on_change: OnChange | None = None,
    ) -> None:
        self._family = family
        self._group = f"component_gateway.{family}"
        self._openers = openers
        self._on_change = on_change
        self._open: dict[BackendURL, tuple[B, int]] = {}
        self._lent: list[str] = []
        self.abandoned: Final[list[B]] = []
        self._lock = threading.Lock()  # components are put in service by threads

    def lease(self, url: BackendURL) -> Lease[B]:
        """Take part in the backend of a URL.

        Raises:
            BackendUnusable: there is none of that scheme, or what the URL says cannot be used.
        """
        with self._lock:
            backend, count = self._open.get(url) or (self._made(url), 0)
            self._open[url] = backend, count + 1
        if count == 0:
            self._watch(backend)
        return Lease(backend, self, url)

    def lend(self, scheme: str, backend: B) -> None:
        """Let components use a backend by the URL `scheme:`. It stays its owner's, who closes it.

        Raises:
            ValueError: there is one of that scheme, or it is no scheme.
        """
        url = BackendURL.parse(f"{scheme}:")
        with self._lock:
            if scheme in self._openers or url in self._open:
                raise ValueError(f"{self._group} has {url} already")
            self._open[url] = backend, 1
            self._lent.append(scheme)
        self._watch(backend)

    def _made(self, url: BackendURL) -> B:
        """What its opener makes of a URL; whatever goes wrong there makes it unusable."""
        opener = self._opener(url.scheme)
        try:
            return opener(url)
        except BackendUnusable:
            raise
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BackendUnusable(f"cannot be used: {reason}") from None
        except Exception as error:
            # Its message may quote the URL, and so a password; what it was raised from, too.
            raise BackendUnusable(
                f'is not one that "{url.scheme}:" can be opened by ({type(error).__name__}): see whether each '
                "special character in there is written as %XX"
            ) from None

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

    def give_back(self, url: BackendURL) -> B | None:
        """Note that a lease has ended; returns the backend if that was the last."""
        with self._lock:
            backend, count = self._open.pop(url)
            if count > 1:
                self._open[url] = backend, count - 1
                return None
        if backend.availability is not None:
            backend.availability.on_change = None
            self._changed(backend.kind)
        return backend

    async def close_abandoned(self) -> None:
        """Close what was left by components that were refused; others may have used it meanwhile."""
        while self.abandoned:
            await self.abandoned.pop().aclose()

    def look(self) -> None:
        """Begin to look after servers, on the event loop."""
        for _, availability in self._availabilities():
            availability.begin()

    def troubles(self) -> list[str]:
        """What to see to at each server: the family, its URL without secrets, and what is wrong."""
        return [
            f"{self._family} {url!r}: {told}"
            for url, availability in self._availabilities()
            if (told := availability.trouble or availability.remark) is not None
        ]

    def _watch(self, backend: B) -> None:
        if backend.availability is not None:
            backend.availability.on_change = partial(self._changed, backend.kind)
            self._changed(backend.kind)

    def _changed(self, kind: str) -> None:
        if self._on_change is not None:
            ours = [availability for _, availability in self._availabilities(kind)]
            up = all(availability.trouble is None for availability in ours)
            degraded = any(availability.remark is not None for availability in ours)
            self._on_change(self._family, kind, up, degraded)

    def _availabilities(self, kind: str | None = None) -> list[tuple[BackendURL, Availability]]:
        with self._lock:
            return [
                (url, backend.availability)
                for url, (backend, _) in self._open.items()
                if backend.availability is not None and kind in {None, backend.kind}
            ]
