"""Servers that a test stands in for: requests of components are recorded, and have canned answers."""

from __future__ import annotations

import json as json_
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.bindings.http.outbound import OutboundFailure
from gateway.host.values import Variant

__all__ = ["Outbound", "SentRequest"]


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request that a component has sent.

    Attributes:
        method: its method.
        url: where to, with the query.
        headers: its headers.
        body: its body, whole.
    """

    method: str
    url: str
    headers: Headers
    body: bytes

    def json(self) -> Any:
        """The body, which is JSON."""
        return json_.loads(self.body)


class Outbound(Mapping[str, ASGIApp]):
    """The servers that components talk to, by name: as `hosts` of `gateway.open`, in the place of real ones.

    A request to a name for which there is no answer at all goes where it would go, and so nowhere unless that is
    granted. One to a name that has answers, but none to this method and URL, is refused as by a server that is not
    there.

    Attributes:
        requests: what components have sent here, in order.
    """

    def __init__(self) -> None:
        self.requests: list[SentRequest] = []
        self._answers: dict[tuple[str, str], list[Response | str]] = {}
        self._hosts: set[str] = set()

    def answer(
        self,
        method: str,
        url: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: str | bytes = b"",
        json: Any = None,
    ) -> None:
        """Answer a request so. Several answers to the same come in this order, the last of them from then on.

        Args:
            method: the request's method.
            url: where to: with scheme and host, and with a query if one is sent.
            status: the status code.
            headers: more headers.
            body: the body.
            json: a value that is the body, as JSON.
        """
        if json is not None:
            body = json_.dumps(json)
            headers = {"content-type": "application/json", **(headers or {})}
        self._add(method, url, Response(body, status, headers))

    def fail(self, method: str, url: str, error: str = "connection-refused") -> None:
        """Have a request fail.

        Args:
            method: as of `answer`.
            url: ditto.
            error: a case of `error-code` of `wasi:http/types` that has no payload.
        """
        self._add(method, url, error)

    def _add(self, method: str, url: str, canned: Response | str) -> None:
        host = urlsplit(url).hostname
        if not host:
            raise ValueError(f"{url} has no host: write it like https://api.example.com/items")
        self._hosts.add(host)
        self._answers.setdefault((method.upper(), _normal(url)), []).append(canned)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        url = _normal(str(request.url))
        body = await request.body()
        self.requests.append(SentRequest(request.method, url, request.headers, body))
        answers = self._answers.get((request.method, url))
        if answers is None:
            said = f"the test has no answer to {request.method} {url}"
            raise OutboundFailure(Variant("connection-refused"), said)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            raise OutboundFailure(Variant(answer), "as the test has it")
        await answer(scope, receive, send)

    def __getitem__(self, host: str) -> ASGIApp:
        if host not in self._hosts:
            raise KeyError(host)
        return self._serve

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)


def _normal(url: str) -> str:
    """A URL as it is compared: without the default port, and with a path."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in {None, default} else f":{parts.port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path or '/'}{query}"
