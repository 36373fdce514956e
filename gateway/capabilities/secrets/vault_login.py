"""How one is let in to Vault: by a token of the operator's, or by logging in for one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import Any, Final

from gateway.capabilities.backend import BackendError, BackendUnusable
from gateway.capabilities.secrets.environment import Environment
from gateway.capabilities.secrets.file import Files
from gateway.capabilities.secrets.source import GONE
from gateway.config.backend_url import BackendURL

__all__ = ["Login", "Post"]

Post = Callable[[str, dict[str, str]], Awaitable[Any]]
"""Sends an object to a path of the server, and gives the one that it answers with.

Raises:
    BackendError: it does not do what it was asked to.
"""

_METHODS: Final = {
    "role_id": ("approle", "secret_id", ""),
    "role": ("kubernetes", "jwt", "file:/var/run/secrets/kubernetes.io/serviceaccount/token"),
}
"""By the option that says who logs in: where that is done, and what proves it, with where it is by default."""

_USED: Final = 0.9
"""The part of its time for which a token is used. Arbitrary; what is read with it takes seconds."""

_YOUNG: Final = 60.0
"""Seconds for which a token that was never good for anything is not replaced. Threat: a policy that forbids what a
busy component asks for, and a server that keeps each token for an hour. Arbitrary."""


class Login:
    """A token, and how to come by the next.

    Args:
        options: those of the URL; it takes out of it what it knows.

    Attributes:
        again: whether it may log in again; otherwise the token is the operator's.
        latest: the token that was used last; "" for none yet.

    Raises:
        BackendUnusable: they do not say how, or there is nothing where they say.
    """

    def __init__(self, options: dict[str, str]) -> None:
        self._path: str | None = None
        self._who: dict[str, str] = {}
        who = next((name for name in _METHODS if name in options), None)
        if who is None:
            self._proof, where = "token", "env:VAULT_TOKEN"
        else:
            mount, self._proof, where = _METHODS[who]
            self._who[who] = options.pop(who)
            self._path = f"auth/{options.pop('auth', mount)}/login"
        self.again: Final = self._path is not None
        self.latest = ""
        self._source = _source(self._proof, options.pop(self._proof, where))
        self._token = ""
        self._good = False
        self._since = 0.0
        self._until = -inf

    async def token(self, post: Post) -> str:
        """The token to use. One call at a time.

        Raises:
            BackendError: there is none.
        """
        self.latest = await self._current(post)
        return self.latest

    async def current(self) -> str:
        """The token to use, or "" where it would have to log in for it.

        Raises:
            BackendError: there is none.
        """
        return self._token if self.again else await self._read()

    def renewed(self, token: str, until: float) -> None:
        """Note that a token lives on.

        Args:
            token: which.
            until: when it ends, by the monotonic clock.
        """
        if token == self._token:
            now = monotonic()
            self._until = now + (until - now) * _USED

    async def _current(self, post: Post) -> str:
        if self._path is None:
            return await self._read()
        if not self._token or monotonic() >= self._until:
            answer = await post(self._path, {**self._who, self._proof: await self._read()})
            try:
                token, seconds = answer["auth"]["client_token"], answer["auth"]["lease_duration"]
                self._until = monotonic() + (seconds * _USED or inf)
            except (KeyError, TypeError):
                raise BackendError(GONE, f"{self._path} gives no token") from None
            self._token, self._good, self._since = _printable(token, self._path), False, monotonic()
        return self._token

    def worked(self, token: str) -> None:
        """Note that a token is good."""
        self._good = self._good or token == self._token

    def replaces(self, token: str) -> bool:
        """Whether there is another to try, now that one is good for nothing."""
        if self._path is None:
            return False  # it was read just now
        if token == self._token:
            if not self._good and monotonic() < self._since + _YOUNG:
                return False
            self._token = ""
        return True

    async def aclose(self) -> None:
        """Close what it is read from."""
        await self._source.aclose()

    async def _read(self) -> str:
        value = await self._source.read("")
        return _printable(value.decode(errors="replace").strip(), self._proof)


def _printable(value: Any, what: str) -> str:
    """See that something can be sent; what it is said nowhere.

    Raises:
        BackendError: it cannot.
    """
    if not isinstance(value, str) or not re.fullmatch("[!-~]+", value):
        raise BackendError(GONE, f"what is read for {what} is not one line of printable characters")
    return value


def _source(option: str, where: str) -> Environment | Files:
    """Where something secret is.

    Raises:
        BackendUnusable: it is not there, or in the URL itself.
    """
    kind, _, rest = where.partition(":")
    url = BackendURL(kind, rest)
    source: Environment | Files
    if kind == "env":
        source = Environment(url)
    elif kind == "file" and rest.startswith("/"):
        source = Files(url)
    else:
        raise BackendUnusable(
            f'must say where {option} is, such as "{option}=env:VARIABLE" or "{option}=file:/PATH"; what is '
            "secret has no place in a URL"
        )
    source.check("")
    return source
