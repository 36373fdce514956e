"""The client that waits."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Self

import httpx

from gateway.rpc.client.runtime.messages import _Method
from gateway.rpc.client.runtime.values import _T


class Client:
    """The component, by way of a gateway that serves it.

    Leave it as a context manager, or close it. Threads may share it.

    Args:
        url: where the gateway answers calls to it, such as
            `http://localhost:8080/rpc/NAME`.
        headers: what to send with each call, such as
            `{"authorization": "Bearer ..."}`.
        timeout: seconds that it may take to connect, to send, to wait for an answer;
            None for any time.
        http: what to call with, instead of an `httpx.Client` of its own.
            It keeps its own timeouts and is not closed.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = 60.0,
        http: httpx.Client | None = None,
    ) -> None:
        self._connection = _Connection(url, headers, timeout, http)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the gateway."""
        self._connection.close()


class _Connection:
    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None,
        timeout: float | None,
        http: httpx.Client | None,
    ) -> None:
        self._url = url
        self._headers = httpx.Headers(headers)
        self._headers["content-type"] = "application/json"
        self._http = httpx.Client(timeout=timeout) if http is None else http
        self._owns_http = http is None
        self._numbers = itertools.count(1)

    def call(self, method: _Method[_T], *values: Any) -> _T:
        number = next(self._numbers)
        response = self._http.post(
            self._url,
            content=method.request(number, values),
            headers=self._headers,
        )
        return method.result(number, response)

    def close(self) -> None:
        if self._owns_http:
            self._http.close()
