"""Components that are compiled and linked once for the same content and keys, however often they are opened."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.config import ComponentConfig, ServerConfig
from gateway.host.component import read_file
from gateway.serving.admission import Admission
from gateway.serving.loaded import INSTANCES, Exports, Loaded
from gateway.serving.loading import Prepared

__all__ = ["LOADED", "MAX_KEPT", "SHELF", "Kept", "Shelf"]

LOADED: Final = Loaded(INSTANCES)
"""What is open in this process, on whichever loop, and the engines for it."""

MAX_KEPT: Final = 8
"""Components that stay compiled and linked when nobody has them open. Threat: memory. Arbitrary: a test run or a
job opens a few."""


@dataclass(eq=False, slots=True)
class Kept:
    """A component that was compiled and, where it has no links, linked.

    Attributes:
        digest: the SHA-256 of its content.
        config: with which keys, but for its place.
        server: ditto.
        admission: the places of its invocations.
        prepared: it itself, once it is ready.
        exports: it linked, where it has no links, for others to find.
        making: held by who makes it ready.
        users: how many have it open.
        loop: where they do.
    """

    digest: str
    config: ComponentConfig
    server: ServerConfig
    admission: Admission
    prepared: Prepared | None = None
    exports: Exports | None = None
    making: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    loop: weakref.ref[asyncio.AbstractEventLoop] | None = None

    @classmethod
    def of(cls, component: ComponentConfig, server: ServerConfig) -> Kept:
        """One of the present content and these keys, to be made."""
        try:
            data = read_file(component.source)
        except OSError:
            data = None  # which is told of when it is prepared
        return cls(
            hashlib.sha256(data or b"").hexdigest(),
            component.model_copy(update={"source": Path("component.wasm")}),
            server,
            Admission(min(component.max_concurrency, server.max_in_flight or sys.maxsize)),
        )


class Shelf:
    """What is open, and the last that was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Kept] = []

    def take(self, wanted: Kept, loop: asyncio.AbstractEventLoop) -> Kept:
        """Have a component of this content and these keys, made or to be made, until it is given back.

        One that is open on another loop is another, of the same code: a place of its admission belongs to one
        loop.
        """
        with self._lock:
            for found in self._kept:
                if (found.digest, found.config, found.server) == (
                    wanted.digest,
                    wanted.config,
                    wanted.server,
                ) and (not found.users or (found.loop is not None and found.loop() is loop)):
                    break
            else:
                found = wanted
            if found in self._kept:
                self._kept.remove(found)
            self._kept.append(found)
            found.users += 1
            found.loop = weakref.ref(loop)
            return found

    def give_back(self, kept: Kept) -> None:
        """Have it no more."""
        with self._lock:
            kept.users -= 1
            unused = [each for each in self._kept if not each.users]
            wanting = [each for each in unused if each.prepared is None]
            for each in (*wanting, *unused[: max(0, len(unused) - len(wanting) - MAX_KEPT)]):
                if each in self._kept:
                    self._kept.remove(each)


SHELF: Final = Shelf()
