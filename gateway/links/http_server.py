"""A server that calls by links are posted to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from importlib import import_module
from typing import Final

import httpx

from gateway.bindings.context import Caller
from gateway.http import call_chain
from gateway.http.request_id import HEADER as REQUEST_ID
from gateway.http.trace_context import TraceContext
from gateway.links.remote import CONNECT_TIMEOUT, MAX_CONNECTIONS, Reach, failed, unreachable
from gateway.links.target import CallOutcome

__all__ = ["HttpServer"]

_STATUSES: Final[Mapping[int, CallOutcome]] = {
    HTTPStatus.NOT_FOUND: CallOutcome.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: CallOutcome.BUSY,
    HTTPStatus.INTERNAL_SERVER_ERROR: CallOutcome.TRAPPED,
    HTTPStatus.SERVICE_UNAVAILABLE: CallOutcome.BUSY,
    HTTPStatus.GATEWAY_TIMEOUT: CallOutcome.LATE,
}
"""What a status says of a call where the content says nothing."""


_MAX_PIECES: Final = 16 << 10
"""Pieces of a response: chunks, or what comes at once of a longer one. Threat: a chunk for each byte, which takes
as long as one of a thousand. Arbitrary: with the most bytes that are taken by default, 256 in each."""

_MAX_SAID: Final = 64
"""Characters of a field that are logged."""

_AT_ONCE: Final = 64
"""Pieces that are read before others have their turn; each takes some 40 us."""


class HttpServer:
    """One server, and the connections to it.

    Args:
        url: where it is.
        media_type: of what it is sent.
        answers: whether a response has an answer as its content, by its status and headers.
        tls: what makes it trusted.
        max_response: bytes that a response may have.
    """

    def __init__(
        self,
        url: str,
        media_type: str,
        answers: Callable[[httpx.Response], bool],
        *,
        tls: ssl.SSLContext,
        max_response: int,
    ) -> None:
        self._url = url
        self._media_type = media_type
        self._answers = answers
        self._tls = tls
        self._max_response = max_response
        self._reach = Reach()
        self._client: httpx.AsyncClient | None = None
        # httpx and AnyIO do so in the first call otherwise, and everybody waits for a tenth of a second.
        with suppress(ImportError):
            import_module("httpcore")
            import_module("anyio._backends._asyncio")

    async def aclose(self) -> None:
        """Close the connections. May be called again."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def post(self, content: bytes, caller: Caller, trace: TraceContext | None) -> bytes:
        """Send a request, and give the content of its answer.

        Args:
            content: what is sent.
            caller: on whose behalf, which the server is told of.
            trace: the trace that it is part of.

        Raises:
            CallFailed: there is none.
        """
        self._reach.check()
        client = self._client
        if client is None:
            client = self._client = httpx.AsyncClient(
                verify=self._tls,
                trust_env=False,
                timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            )
        headers = self._headers(caller, trace)
        try:
            async with client.stream(
                "POST", self._url, content=content, headers=headers
            ) as response:
                if not self._answers(response):
                    outcome = _STATUSES.get(response.status_code, CallOutcome.FAILED)
                    raise failed(outcome, f"it answered with status {response.status_code}")
                return await self._content(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._reach.failed(error) from None
        except httpx.HTTPError as error:
            raise unreachable(error, begun=True) from None

    async def _content(self, response: httpx.Response) -> bytes:
        # None was asked for: a few bytes of one can stand for gigabytes.
        if coding := response.headers.get("content-encoding"):
            raise failed(CallOutcome.FAILED, f"its response is encoded ({coding[:_MAX_SAID]})")
        received = bytearray()
        pieces = 0
        async for piece in response.aiter_raw():
            received += piece
            pieces += 1
            if len(received) > self._max_response:
                reason = f"its response is larger than {self._max_response} bytes (rpc_max_result)"
                raise failed(CallOutcome.FAILED, reason)
            if pieces > _MAX_PIECES:
                raise failed(CallOutcome.FAILED, f"its response has more than {_MAX_PIECES} pieces")
            if not pieces % _AT_ONCE:
                await asyncio.sleep(0)
        return bytes(received)

    def _headers(self, caller: Caller, trace: TraceContext | None) -> dict[str, str]:
        headers = {
            "content-type": self._media_type,
            "accept": self._media_type,
            "accept-encoding": "identity",
            REQUEST_ID.decode(): caller.request_id,
        }
        told = call_chain.fields(caller.depth + 1, caller.remaining)
        if trace is not None:
            told += trace.fields()
        return headers | {field.decode(): value.decode() for field, value in told}
