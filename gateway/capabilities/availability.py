"""Whether the server behind a backend can be used."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from gateway.capabilities.backend import BackendError, Unavailable
from gateway.capabilities.task import end

__all__ = ["LOOK_TIMEOUT", "MAX_PAUSE", "MIN_PAUSE", "Availability", "Known"]

LOOK_TIMEOUT: Final = 2.0
"""Seconds that a server has to answer when somebody looks. Arbitrary: one that answers a ping later than that
answers no operation in the time that most of them have."""

MIN_PAUSE: Final = 0.1
"""Seconds between the first two looks; each pause is twice as long as the one before, up to `MAX_PAUSE`."""

MAX_PAUSE: Final = 3.0
"""Seconds between two looks at most: so late is it noticed that a server is back. One ping of each worker in that
time is nothing to a server that starts."""


class Known:
    """What is known of a server, by those who use it all the time.

    Attributes:
        trouble: why it cannot be used, for the operator; None while nothing is known against it.
        remark: what else the operator should see to; None for nothing.
        on_change: told when either begins or ends.
    """

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.remark: str | None = None
        self.on_change: Callable[[], None] | None = None

    def note(self, trouble: str | None) -> None:
        """Take note of why it cannot be used; None where it can."""
        changed = (trouble is None) != (self.trouble is None)
        self.trouble = trouble
        if changed and self.on_change is not None:
            self.on_change()

    def say(self, remark: str | None) -> None:
        """Tell the operator what else to see to; None where there is nothing any more."""
        changed = (remark is None) != (self.remark is None)
        self.remark = remark
        if changed and self.on_change is not None:
            self.on_change()

    def begin(self) -> None:
        """Components are served from now on; on the event loop. May be called again."""
        if self.trouble is not None:
            self.doubt()

    def doubt(self) -> None:
        """Those look anyway."""


class Availability(Known):
    """Whether a server can be used, as operations and looks find out.

    Operations find out by what becomes of them, and of one that failed somebody looks after the server: is it only
    that one, nothing follows. Otherwise operations fail at once, in place of each waiting for its time limit,
    until one of the looks that follow, less and less often, finds the server there again.

    Args:
        look: asks the server for the least that it can do. It raises `BackendError` if that fails.
        on_begin: told when components begin to be served, and may be told again; on the event loop.
    """

    def __init__(
        self, look: Callable[[], Awaitable[None]], on_begin: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__()
        self._look = look
        self._on_begin = on_begin
        self._looking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look after a server that was away when a component was loaded: `Known.begin`."""
        super().begin()
        self._on_begin()

    def check(self) -> None:
        """Refuse an operation while the server cannot be used.

        Raises:
            BackendError: it cannot.
        """
        if self.trouble is not None:
            raise Unavailable(self.trouble)

    def watching(self, *failures: type[Exception]) -> AbstractContextManager[None]:
        """Surround an operation: see that it may begin, and doubt where it fails so or is cancelled.

        Args:
            failures: what is raised where the server may be away.

        Raises:
            BackendError: the server cannot be used.
        """
        self.check()
        return _Watching(self, failures)

    def doubt(self) -> None:
        """Have somebody look, since an operation has failed; on the event loop."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_after_it())

    async def aclose(self) -> None:
        """Look no more."""
        if (looking := self._looking) is not None:
            await end(looking)

    async def _look_after_it(self) -> None:
        pause = MIN_PAUSE
        try:
            while (trouble := await self._found()) is not None:
                self.note(trouble)
                # Not all workers at the same time.
                await asyncio.sleep(pause * random.uniform(0.75, 1.0))  # noqa: S311
                pause = min(2 * pause, MAX_PAUSE)
            self.note(None)
        finally:
            self._looking = None

    async def _found(self) -> str | None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self._look()
        except BackendError as error:
            return error.reason or error.message
        except TimeoutError:
            return f"no answer within {LOOK_TIMEOUT:g} s"
        return None


class _Watching(AbstractContextManager[None]):
    """What surrounds an operation. A class, since a generator takes thrice as long, for each."""

    __slots__ = ("_availability", "_failures")

    def __init__(self, availability: Availability, failures: tuple[type[Exception], ...]) -> None:
        self._availability = availability
        self._failures = failures

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A cancellation, maybe because there was no answer for long.
        if error is not None and isinstance(error, (*self._failures, asyncio.CancelledError)):
            self._availability.doubt()
