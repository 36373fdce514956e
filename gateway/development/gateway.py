"""A gateway whose answers say what went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping
from typing import Any, Final, NamedTuple, cast

from starlette.types import Message, Receive, Scope, Send

from gateway.app import Gateway
from gateway.config import GatewayConfig
from gateway.development.page import CONTENT_TYPE, FIELDS, page
from gateway.development.told import Told
from gateway.http import problem
from gateway.http.accept import VARY, prefers
from gateway.http.field_lines import FieldLines
from gateway.http.media_type import JSON
from gateway.http.request_id import HEADER as REQUEST_ID
from gateway.lifecycle.builds import Builds

__all__ = ["BUILD_FAILED", "DevelopmentGateway"]

BUILD_FAILED: Final = b"gateway-build-failed"
"""The field of each response that names the components whose last build failed."""

_MEMBER: Final = "development"

_NOT_BUILT: Final = {
    "type": "urn:component-gateway:problem:not-built",
    "title": "The component is not built",
    "status": 503,
    "detail": "A build failed, and there is nothing from before. It begins again when the sources change.",
}
"""What takes the place of `problem.NO_ROUTE` where a component is missing."""


class DevelopmentGateway(Gateway):
    """A gateway that adds to its problem documents, and to errors of JSON-RPC, what the log has of the request.

    Args:
        config: what to serve.
        told: has what the log was told.
        builds: has the builds that failed.
    """

    def __init__(self, config: GatewayConfig, *, told: Told, builds: Builds) -> None:
        super().__init__(config, modular=True)
        self._told = told
        self._builds = builds
        self._rpc_prefix = config.server.rpc_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] == "http":
            calls = scope["path"].startswith(f"{self._rpc_prefix}/") and scope["method"] == "POST"
            held = (problem.MEDIA_TYPE, JSON) if calls else (problem.MEDIA_TYPE,)
            lines = FieldLines(scope["headers"])
            as_page = prefers(lines, b"text/html", to=problem.MEDIA_TYPE)
            why = _Why(self._told, self._builds, self._served)
            send = _Answer(send, held, why, as_page=as_page).send
        await super().__call__(scope, receive, send)

    def _served(self) -> dict[str, list[str]]:
        """Where each component is asked, for who has asked elsewhere."""
        return {
            service.name: [
                *map(str, service.routes),
                *([f"{self._rpc_prefix}/{service.name} (JSON-RPC)"] if service.procedures else []),
            ]
            for service in self.services
        }


class _Why(NamedTuple):
    """Tells why an answer is what it is.

    Attributes:
        told: as of `DevelopmentGateway`; likewise `builds`.
        served: gives where each component is asked.
    """

    told: Told
    builds: Builds
    served: Callable[[], Mapping[str, Any]]

    def of(self, request_id: str) -> dict[str, Any]:
        """What is to be said to all failures of a request."""
        why = self.told.of(request_id)
        if failures := self.builds.failures:
            why["builds"] = {
                name: {"reason": str(failure), "output": failure.output.splitlines()}
                for name, failure in failures.items()
            }
        return why


class _Answer:
    """A response on its way: one that the gateway may have given itself is held until it is whole, others pass.

    Args:
        send: where it goes.
        held: the media types of those.
        why: tells why.
        as_page: whether the client would rather have a page than a problem document.
    """

    def __init__(
        self, send: Send, held: Container[bytes], why: _Why, *, as_page: bool = False
    ) -> None:
        self._send = send
        self._held = held
        self._why = why
        self._as_page = as_page
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        """Take a message of it."""
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if failed := self._why.builds.failures:
                headers.append((BUILD_FAILED, ", ".join(sorted(failed)).encode()))
            message = {**message, "headers": headers}
            if dict(headers).get(b"content-type") in self._held:
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body", False):
                return
            start, self._start = self._start, None
            await self._send_whole(start, self._body)
            return
        await self._send(message)

    async def _send_whole(self, start: Message, body: bytes) -> None:
        headers = dict(start["headers"])
        document = self._explained(headers.get(REQUEST_ID, b"").decode(), body)
        if document is not None:
            of_problem = isinstance(document, dict) and "jsonrpc" not in document
            if of_problem:
                start["status"] = document.get("status", start["status"])
            if of_problem and self._as_page:
                body = page(document, document.get(_MEMBER, {}))
                headers |= {b"content-type": CONTENT_TYPE, **dict([VARY, *FIELDS])}
            else:
                text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
                body = text.encode() + b"\n"
            headers[b"content-length"] = b"%d" % len(body)
            start["headers"] = list(headers.items())
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _explained(self, request_id: str, body: bytes) -> Any:
        """What the gateway says of a failure, and why; None for what is none of the gateway's."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):  # of a response to HEAD, or of a component's own
            return None
        why = self._why.of(request_id)
        entries = document if isinstance(document, list) else [document]
        told = False
        for entry in entries:
            if (place := _place(entry, request_id)) is None:
                continue
            if place.get("type") == problem.NO_ROUTE.type:
                if self._why.builds.missing:
                    place |= _NOT_BUILT
                elif served := self._why.served():
                    why["served"] = served
            if why:
                place[_MEMBER] = why
            told = True
        return document if told else None


def _place(entry: Any, request_id: str) -> dict[str, Any] | None:
    """Where a failure of the gateway's own has room for more: its problem document, or the data of its error."""
    match entry:
        case {"type": str(), "request_id": identity} if identity == request_id:
            return cast("dict[str, Any]", entry)
        case {"error": {"data": {"request_id": identity} as data}} if identity == request_id:
            return cast("dict[str, Any]", data)
    return None
