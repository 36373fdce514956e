"""Secrets in HashiCorp Vault or OpenBao, in the engine KV 2: `vault+https://HOST:PORT/MOUNT/PATH#FIELD`.

A secret of the server has named fields, each of which is a secret of ours. To reveal one is a request of its own:
nothing is kept here but the token.

A server that is away does not keep a component from being loaded: its secrets are read when they are revealed, and
the server may be back by then. One that answers, and has no such secret, or does not let us read it, does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

import httpcore
import structlog

from gateway.capabilities.availability import LOOK_TIMEOUT, Availability
from gateway.capabilities.backend import BackendError, BackendUnusable, Unavailable
from gateway.capabilities.secrets.source import GONE, check_size
from gateway.capabilities.secrets.vault_renewal import Renewal
from gateway.capabilities.secrets.vault_url import Place
from gateway.config.backend_url import BackendURL

__all__ = ["CHECK_TIMEOUT", "MAX_CONNECTIONS", "Vault"]

MAX_CONNECTIONS: Final = 16
"""Connections of a worker to one server, for one URL. Arbitrary; as many as to other servers."""

CHECK_TIMEOUT: Final = 5.0
"""Seconds that a server has to answer when a component is loaded. As many as to reveal a secret has by default."""

MAX_ANSWER: Final = 1 << 20
"""Bytes of an answer. Threat: a secret with thousands of large fields, which is read on the event loop. The server
itself keeps no more in one by default."""

_log = structlog.get_logger("gateway.capabilities")

_FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,
)


class Vault:
    """A secret of a server, whose fields are secrets here.

    Args:
        url: see `Place.parse`.

    Attributes:
        kind: `vault`.
        waits: that it may wait.
        availability: whether the server can be used.

    Raises:
        BackendUnusable: the URL says something else, or what one is let in with is missing.
    """

    kind: Final = "vault"
    waits: Final = True

    def __init__(self, url: BackendURL) -> None:
        self._url = url
        self._place = Place.parse(url)
        self._session = Session(self._place)
        self.availability: Final = Availability(self._look, self._begin)
        self._renewal = Renewal(self._place.login, self._ask_as, self.availability)

    def check(self, name: str) -> None:
        """See that it has the field, if the server answers: `SecretSource.check`."""
        if self.availability.trouble is not None:
            return
        try:
            # Of its own, since there may be an event loop in this one.
            with ThreadPoolExecutor(1, thread_name_prefix="secrets") as thread:
                thread.submit(asyncio.run, self._check(name)).result()
        except Unavailable as error:
            self.availability.note(error.reason)
            _log.warning(
                "secret not checked", url=repr(self._url), secret=name, reason=error.reason
            )
        except BackendError as error:
            raise BackendUnusable(str(error.reason)) from None

    async def read(self, name: str) -> bytes:
        """What the field has: `SecretSource.read`."""
        with self.availability.watching(BackendError):
            fields = await self._session.read()
        self._renewal.begin()
        self._renewal.used()
        return self._value(name, fields)

    async def aclose(self) -> None:
        """Close the connections: `Backend.aclose`."""
        await self._renewal.aclose()
        await self.availability.aclose()
        await self._session.aclose()
        await self._place.login.aclose()

    async def _check(self, name: str) -> None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT), _session(self._place) as session:
                self._value(name, await session.read())
        except TimeoutError:
            raise Unavailable(f"no answer within {CHECK_TIMEOUT:g} s") from None

    async def _look(self) -> None:
        # By a connection of its own, so as not to wait for those who wait for the server.
        async with _session(self._place) as session:
            await session.read()

    def _begin(self) -> None:
        self._renewal.begin()

    async def _ask_as(self, method: str, path: str, token: str) -> Any:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT), _session(self._place) as session:
                return await session.ask(method, path, token)
        except TimeoutError:
            raise Unavailable(f"no answer within {LOOK_TIMEOUT:g} s") from None

    def _value(self, name: str, fields: Mapping[str, Any] | None) -> bytes:
        path = self._place.path
        if fields is None:
            raise BackendError(GONE, f"nothing is at {path}, or no KV 2 engine is mounted there")
        value = fields.get(name)
        if value is None:
            raise BackendError(GONE, f'{path} has no field "{name}"')
        text = value if isinstance(value, str) else json.dumps(value)
        # JSON may have halves of surrogate pairs, which nobody can be given.
        return check_size(text.encode(errors="replace"), f'{path}, field "{name}",')


class Session:
    """Connections to a server, on one event loop.

    Args:
        place: what is read there.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pool = httpcore.AsyncConnectionPool(
            place.tls, max_connections=MAX_CONNECTIONS, keepalive_expiry=_KEPT
        )
        # Nobody waits in the pool, which has a connection for each place.
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._logging_in = asyncio.Lock()

    async def read(self) -> Mapping[str, Any] | None:
        """The fields of the secret; None where there is none.

        Raises:
            Unavailable: the server cannot be used.
            BackendError: it does not let us have them, or answers with something else.
        """
        login, path = self._place.login, self._place.path
        async with self._places:
            while True:
                async with self._logging_in:
                    token = await login.token(self._log_in)
                status, answer = await self._ask("GET", path, {"X-Vault-Token": token})
                if status != _FORBIDDEN or not login.replaces(token):
                    break
        if status in _REFUSED:
            raise BackendError(
                GONE, f"{path} may not be read with this token, or that is not valid ({status})"
            )
        login.worked(token)
        if status == _MISSING:
            return None
        try:
            fields = answer["data"]["data"]
        except (KeyError, TypeError):
            fields = None
        if not isinstance(fields, dict):
            raise BackendError(GONE, f"{path} is no secret of a KV 2 engine")
        return fields

    async def ask(self, method: str, path: str, token: str) -> Any:
        """What the server answers to who has a token.

        Raises:
            Unavailable: it cannot be used.
            BackendError: it does not let us, or answers with something else.
        """
        status, answer = await self._ask(method, path, {"X-Vault-Token": token})
        if answer is None:
            raise BackendError(GONE, f"{path} is refused ({status})")
        return answer

    async def aclose(self) -> None:
        """Close them."""
        await self._pool.aclose()

    async def _log_in(self, path: str, body: dict[str, str]) -> Any:
        status, answer = await self._ask("POST", path, {}, json.dumps(body).encode())
        if answer is None:
            raise BackendError(GONE, f"{path} does not let us in ({status})")
        return answer

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[int, Any]:
        """The status of an answer, and what it says if that is 200."""
        headers["X-Vault-Request"] = "true"  # which its agent may want, against forged requests
        if self._place.namespace:
            headers["X-Vault-Namespace"] = self._place.namespace
        content = bytearray()
        try:
            request = self._pool.stream(
                method, self._place.url(path), headers=list(headers.items()), content=body
            )
            async with request as response:
                async for part in response.aiter_stream():
                    content += part
                    if len(content) > MAX_ANSWER:
                        raise BackendError(GONE, f"{path} has more than {MAX_ANSWER} bytes")
        except _FAILURES as error:
            raise Unavailable(str(error) or type(error).__name__) from error
        if response.status in {_MISSING, *_REFUSED}:
            return response.status, None
        if response.status != 200:
            sealed = ", sealed or not ready" if response.status == 503 else ""
            raise Unavailable(f"the server answers {response.status}{sealed}")
        try:
            return 200, json.loads(content)
        except (ValueError, RecursionError):
            raise BackendError(GONE, f"{path} is answered with something else than JSON") from None


@asynccontextmanager
async def _session(place: Place) -> AsyncIterator[Session]:
    session = Session(place)
    try:
        yield session
    finally:
        await session.aclose()


_FORBIDDEN: Final = 403
_MISSING: Final = 404
_REFUSED: Final = (_FORBIDDEN, 400, 401)

_KEPT: Final = 30.0
"""Seconds for which a connection that nobody uses is kept. Arbitrary; the server keeps them for minutes."""
