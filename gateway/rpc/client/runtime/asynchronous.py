"""The client for `async` code."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Self

import httpx

from gateway.rpc.client.runtime.messages import _Method
from gateway.rpc.client.runtime.values import _T


class AsyncClient:
    """The component, by way of a gateway that serves it.

    Leave it as an asynchronous context manager, or close it. Tasks may share it.

    Args:
        url: where the gateway answers calls to it, such as
            `http://localhost:8080/rpc/NAME`.
        headers: what to send with each call, such as
            `{"authorization": "Bearer ..."}`.
        timeout: seconds that it may take to connect, to send, to wait for an answer;
            None for any time.
        http: what to call with, instead of an `httpx.AsyncClient` of its own.
            It keeps its own timeouts and is not closed.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = 60.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._connection = _Connection(url, headers, timeout, http)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to the gateway."""
        await self._connection.aclose()


class _Connection:
    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None,
        timeout: float | None,
        http: httpx.AsyncClient | None,
    ) -> None:
        self._url = url
        self._headers = httpx.Headers(headers)
        self._headers["content-type"] = "application/json"
        self._http = httpx.AsyncClient(timeout=timeout) if http is None else http
        self._owns_http = http is None
        self._numbers = itertools.count(1)

    async def call(self, method: _Method[_T], *values: Any) -> _T:
        number = next(self._numbers)
        response = await self._http.post(
            self._url,
            content=method.request(number, values),
            headers=self._headers,
        )
        return method.result(number, response)

    async def aclose(self) -> None:
        if self._owns_http:
            await self._http.aclose()
