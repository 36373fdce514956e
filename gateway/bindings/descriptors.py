"""The file descriptors of this process that guests may hold, divided among the components.

A process has so many and no more (`RLIMIT_NOFILE`). Where they are used up nothing can be accepted: health checks
fail with everything else, and the guests that hold them need not even have done wrong. So what is opened for a
guest (a connection, a socket, a file or directory, the lookup of a name) takes a place first, and half of the
places that there could be are left to the connections of clients.

Among themselves the components share what is left. Each has a part that nobody can take from it, half of an equal
share, and the rest goes to who comes first; so one that opens all it can leaves the others something to work with,
and one that is alone has all of it.

No place is an `OSError` with `EMFILE`, as if the system itself had refused, so each interface tells its guest in
its own words: `new-socket-limit`, `connection-limit-reached`, `insufficient-memory`.
"""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Final, Self
from weakref import WeakValueDictionary

import structlog

__all__ = ["UNCOUNTED", "Descriptors", "Place", "Share"]

RESERVE: Final = 64
"""Descriptors that are for the process itself: the loop, listeners, pipes to other processes, the log, mounted
folders, files that are loaded. A worker that serves has some 25 of them; a quarter of the limit where that is
less. The number is arbitrary."""

CALM: Final = 10.0
"""Seconds without a refusal after which the next place that is given ends the shortage, for the log. Threat: at
the limit each place that is given back is taken again, and every time would be a line. Arbitrary."""

_SHORT: Final = frozenset((errno.EMFILE, errno.ENFILE))

_log = structlog.get_logger("gateway.descriptors")


class Descriptors:
    """The places of one process.

    Any thread may call its methods, and those of its shares and places.

    Args:
        places: how many there are; None for any number.
        on_refused: told the name of a component that was refused one. Must not raise.

    Attributes:
        places: the same.
        used: how many are taken.
    """

    def __init__(
        self,
        places: int | None,
        *,
        on_refused: Callable[[str], None] = lambda _component: None,
    ) -> None:
        self.places: Final = places
        self.used = 0
        # Its holder may take it again: the garbage collector may run anywhere, and close a socket that is lost.
        self.lock: Final = RLock()
        self.on_refused: Final = on_refused
        self._shares: WeakValueDictionary[str, Share] = WeakValueDictionary()

    @classmethod
    def of_process(cls, on_refused: Callable[[str], None] = lambda _component: None) -> Self:
        """Those that the limit of this process leaves."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY:
            return cls(None, on_refused=on_refused)
        return cls(max(1, limit // 2 - min(RESERVE, limit // 4)), on_refused=on_refused)

    def share(self, component: str) -> Share:
        """The share of a component, the same for all of its versions that are at work."""
        share = self._shares.get(component)
        if share is None:
            share = self._shares[component] = Share(self, component)
        return share

    def has_place(self, asking: Share) -> bool:
        """Whether a component may have one more. To be called with the lock."""
        if self.places is None:
            return True
        if self.used >= self.places:
            return False
        shares = list(self._shares.values())
        own = self.places // (2 * len(shares))
        if asking.used < own:
            return True
        kept = sum(max(0, own - share.used) for share in shares if share is not asking)
        return self.used + kept < self.places


class Place:
    """A place for one file descriptor. One that is lost, with what it was for, gives itself back."""

    __slots__ = ("_share",)

    def __init__(self, share: Share) -> None:
        self._share: Share | None = share

    def release(self) -> None:
        """Give it back. May be called again."""
        share, self._share = self._share, None
        if share is not None:
            share.give_back()

    def __del__(self) -> None:
        self.release()


class Share:
    """What one component has of the places.

    Args:
        descriptors: all of them.
        component: its name, for the log.

    Attributes:
        used: how many places it has.
    """

    def __init__(self, descriptors: Descriptors, component: str) -> None:
        self.used = 0
        self._descriptors = descriptors
        self._component = component
        self._refused = 0
        self._refused_at = 0.0

    @property
    def has_place(self) -> bool:
        """Whether there is one to be had now."""
        with self._descriptors.lock:
            return self._descriptors.has_place(self)

    def take(self) -> Place:
        """Take a place.

        Raises:
            OSError: `EMFILE`: there is none for this component.
        """
        descriptors = self._descriptors
        with descriptors.lock:
            granted = descriptors.has_place(self)
            if granted:
                descriptors.used += 1
                self.used += 1
        if not granted:
            raise self._refuse(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
        if self._refused and time.monotonic() - self._refused_at > CALM:
            refused, self._refused = self._refused, 0
            _log.info(
                "file descriptors available again", component=self._component, refused=refused
            )
        return Place(self)

    def give_back(self) -> None:
        """Give a place back: for `Place.release`."""
        with self._descriptors.lock:
            self._descriptors.used -= 1
            self.used -= 1

    @contextmanager
    def opening(self) -> Iterator[Place]:
        """Take a place for what is opened in the block, and give it back if that fails.

        Raises:
            OSError: `EMFILE`: there is none for this component; or what the block raises.
        """
        place = self.take()
        try:
            yield place
        except OSError as error:
            place.release()
            if error.errno in _SHORT:
                self._refuse(error)
            raise
        except BaseException:
            place.release()
            raise

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Have a place for as long as the block takes.

        Raises:
            OSError: `EMFILE`: there is none for this component; or what the block raises.
        """
        with self.opening() as place:
            yield
        place.release()

    def _refuse(self, error: OSError) -> OSError:
        """Count and tell that something could not be opened."""
        first = not self._refused
        self._refused += 1
        self._refused_at = time.monotonic()
        if first:
            _log.warning(
                "file descriptors exhausted",
                component=self._component,
                reason=error.strerror,
                used=self.used,
                used_by_all=self._descriptors.used,
                limit=self._descriptors.places,
                effect="what it opens is refused; raise the limit of open files (ulimit -n, LimitNOFILE)",
            )
        self._descriptors.on_refused(self._component)
        return error


UNCOUNTED: Final = Descriptors(None).share("")
"""A share of which everything can be had, for what is opened where nobody counts."""
