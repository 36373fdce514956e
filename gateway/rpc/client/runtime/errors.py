"""What a generated client raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic

import httpx

from gateway.rpc.client.runtime.values import _E


class ClientError(Exception):
    """A call that gave no result, whatever the reason.

    Only when the gateway cannot be reached is it an `httpx.TransportError` instead.
    """


class CallError(ClientError, Generic[_E]):
    """The function returned the err side of its result.

    Attributes:
        value: what it returned.
    """

    def __init__(self, value: _E) -> None:
        super().__init__(value)
        self.value = value


class RpcError(ClientError):
    """The gateway answered with a JSON-RPC error.

    Attributes:
        code: its number.
        message: its text.
        request_id: what the log of the gateway has it under, if it was told.
        response: the HTTP response that had it.
    """

    def __init__(
        self,
        code: int,
        message: str,
        data: Mapping[str, Any],
        response: httpx.Response,
    ) -> None:
        self.code = code
        self.message = message
        self.response = response
        self._data = data
        self.request_id: str | None = data.get("request_id")
        of_request = f" (request {self.request_id})" if self.request_id else ""
        super().__init__(f"{message}{of_request}")


class MethodNotFound(RpcError):
    """The component that the gateway serves has no such function."""


class InvalidParams(RpcError):
    """The gateway refused the arguments.

    Attributes:
        pointer: where the value is that it refused, such as `/params/point/x`.
        expected: what it expected there, in words.
    """

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        self.pointer: str | None = self._data.get("pointer")
        self.expected: str | None = self._data.get("expected")
        if self.pointer is not None:
            self.args = (f"{self}, at {self.pointer}: expected {self.expected}",)


class GatewayFailed(RpcError):
    """The gateway failed, and not the component."""


class Trap(RpcError):
    """The component trapped or exited."""


class DeadlineExceeded(RpcError):
    """The component did not return in the time it has."""


class Busy(RpcError):
    """The gateway has too much to do; it has not started the call.

    Attributes:
        retry_after: seconds after which to try again, if it said so.
    """

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        seconds: str = self.response.headers.get("retry-after", "")
        self.retry_after = int(seconds) if seconds.isdecimal() else None


class ResultTooLarge(RpcError):
    """The function has returned more than the gateway sends."""


_RPC_ERRORS: Mapping[int, type[RpcError]] = {
    -32601: MethodNotFound,
    -32602: InvalidParams,
    -32603: GatewayFailed,
    -32000: Trap,
    -32001: DeadlineExceeded,
    -32002: Busy,
    -32004: ResultTooLarge,
}


class HttpError(ClientError):
    """An HTTP response that is none of JSON-RPC: there is no such component, perhaps.

    Attributes:
        status: its status code.
        type: what identifies the kind of problem, if there is a description (RFC 9457).
        title: the kind of problem in words, likewise.
        detail: what happened and what to do about it, likewise.
        request_id: what the log of the gateway has it under, likewise.
    """

    def __init__(self, response: httpx.Response) -> None:
        problem: Any = None
        if _media_type(response) == "application/problem+json":
            try:
                problem = response.json()
            except (ValueError, RecursionError):
                problem = None
        if not isinstance(problem, dict):
            problem = {}
        self.status = response.status_code
        self.type: str | None = problem.get("type")
        self.title: str | None = problem.get("title")
        self.detail: str | None = problem.get("detail")
        self.request_id: str | None = problem.get("request_id")
        title = self.title or response.reason_phrase
        text = f"HTTP {self.status} from {response.url}: {title}"
        super().__init__(f"{text}. {self.detail}" if self.detail else text)


class InvalidResponse(ClientError):
    """The answer is not what the component's types promise.

    The gateway may serve another version of the component than this module is for.
    """


def _media_type(response: httpx.Response) -> str:
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower()
