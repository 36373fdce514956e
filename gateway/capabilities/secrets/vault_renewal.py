"""The token that secrets of Vault are read with, which is renewed for as long as a worker has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, Final, NamedTuple, Self

from gateway.capabilities.availability import MAX_PAUSE, MIN_PAUSE, Availability
from gateway.capabilities.backend import BackendError, Unavailable
from gateway.capabilities.secrets.source import GONE
from gateway.capabilities.secrets.vault_login import Login
from gateway.capabilities.task import end

__all__ = ["Renewal"]

RENEWED: Final = 0.5
"""The part of its time after which a token is renewed. Arbitrary: as much is left for a server that is away."""

LOOK: Final = 15.0
"""Seconds until it is seen that a token was replaced by one that nobody has used yet. Arbitrary."""

MAX_REFUSED_PAUSE: Final = 60.0
"""Seconds between two tries to renew a token that the server does not renew, at most. Threat: an audit log full
of them. Arbitrary: a token that is replaced is seen before."""

Ask = Callable[[str, str, str], Awaitable[Any]]
"""Sends a request to the server: the method, the path, and the token that it is made with. Gives the answer.

Raises:
    BackendError: it does not do what it was asked to.
"""


class Renewal:
    """What keeps a token alive: each worker that serves secrets of a URL has one, in a task.

    Args:
        login: gives the token.
        ask: asks the server.
        availability: told what the operator should see to.
    """

    def __init__(self, login: Login, ask: Ask, availability: Availability) -> None:
        self._login = login
        self._ask = ask
        self._availability = availability
        self._token = ""
        self._lease = _Lease(False, inf)
        self._used = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin, on the event loop. May be called again."""
        if self._task is None or self._task.done():
            self._used = asyncio.Event()  # which belongs to the loop
            self._task = asyncio.create_task(self._stay())

    def used(self) -> None:
        """Note that a secret was read, maybe with a token that is not known here yet."""
        if self._login.latest != self._token:
            self._used.set()

    async def aclose(self) -> None:
        """End."""
        if self._task is not None:
            await end(self._task)
        self._availability.say(None)

    async def _stay(self) -> None:
        token = ""
        while True:
            token = await self._keep(token)

    async def _keep(self, token: str) -> str:
        """Renew a token until there is another; gives that."""
        self._token = token
        self._availability.say(None)
        step, pause = self._look_up, MIN_PAUSE
        at = monotonic() if token else inf
        while (another := await self._another(at)) is None:
            try:
                at = await step()
            except BackendError as error:
                self._say(str(error.reason))
                longest = MAX_REFUSED_PAUSE
                if isinstance(error, Unavailable):
                    self._availability.doubt()
                    longest = MAX_PAUSE
                at, pause = monotonic() + pause, min(2 * pause, longest)
            else:
                step, pause = self._renew, MIN_PAUSE
        return another

    async def _another(self, at: float) -> str | None:
        """Wait for another token, until a moment; None if there is none then."""
        while True:
            self._used.clear()
            with suppress(BackendError):  # as those who read secrets are told
                if (token := await self._login.current()) not in {"", self._token}:
                    return token
            if (left := at - monotonic()) <= 0:
                return None
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK)):
                    await self._used.wait()

    async def _look_up(self) -> float:
        """Learn how long the token lives; gives when to renew it."""
        path = "auth/token/lookup-self"
        self._lease = _Lease.read(await self._ask("GET", path, self._token), path, "data", "ttl")
        self._availability.say(None)
        return self._lease.renew_at

    async def _renew(self) -> float:
        """Renew it; gives when to do so again."""
        before = self._lease
        if not before.renewable:
            self._say("it is not renewable, and ends soon")
            return inf
        path = "auth/token/renew-self"
        answer = await self._ask("POST", path, self._token)
        self._lease = _Lease.read(answer, path, "auth", "lease_duration")
        if self._lease.ends < before.ends + 1:  # of whole seconds
            self._say("it ends soon, since it has lived for as long as it may")
            return inf
        self._login.renewed(self._token, self._lease.ends)
        self._availability.say(None)
        return self._lease.renew_at

    def _say(self, reason: str) -> None:
        if not self._login.again:  # who logs in does so once more before the token ends
            self._availability.say(f"the token is not renewed: {reason}")


class _Lease(NamedTuple):
    """How long a token lives.

    Attributes:
        renewable: whether that may be changed.
        ends: when, by the monotonic clock; infinity for never.
        renew_at: when to do something about it; likewise.
    """

    renewable: bool
    ends: float
    renew_at: float = inf

    @classmethod
    def read(cls, answer: Any, path: str, part: str, duration: str) -> Self:
        """Read it in an answer of the server.

        Raises:
            BackendError: it is not there.
        """
        try:
            renewable, seconds = bool(answer[part]["renewable"]), float(answer[part][duration])
        except (KeyError, TypeError, ValueError):
            raise BackendError(GONE, f"{path} is answered with something else") from None
        if seconds <= 0:
            return cls(False, inf)
        now = monotonic()
        return cls(renewable, now + seconds, now + seconds * RENEWED)
