"""A JSON-RPC 2.0 server at the other end of a link: a gateway, or any that has values as docs/rpc.md does."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httpx

from gateway.bindings.context import Caller
from gateway.host import wit
from gateway.host.errors import Exhausted
from gateway.host.pieces import of_any_length
from gateway.host.values import Err, Ok
from gateway.http import call_chain
from gateway.http.request_id import HEADER as REQUEST_ID
from gateway.http.trace_context import TraceContext
from gateway.json.text import InvalidJson, dump_long, parse
from gateway.links.target import CallFailed, CallOutcome, LinkedCall, LinkMismatch, uncarried
from gateway.observe.telemetry import Tracer
from gateway.rpc import message
from gateway.rpc.json_values import Decode, InvalidValue, decoder, encoder
from gateway.wasm.version import split_version

__all__ = ["JsonRpcTarget"]

MAX_CONNECTIONS: Final = 64
"""Connections to one server at once; more calls wait for one. Threat: a thousand guests, each with a socket of its
own. Arbitrary: a call that does not wait for anything takes milliseconds."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for making a connection; the caller's deadline bounds all the rest. Arbitrary: a server that is there
needs a round trip or two."""

MAX_SAID: Final = 256
"""Characters of what a server says is wrong that are logged. Arbitrary: a line, not a document."""

_CODES: Final = {
    message.METHOD_NOT_FOUND: CallOutcome.NOT_FOUND,
    message.TRAP: CallOutcome.TRAPPED,
    message.DEADLINE: CallOutcome.LATE,
    message.BUSY: CallOutcome.BUSY,
}
"""What an error of the gateway's own says of a call; any other says that it failed."""

_STATUSES: Final[dict[int, CallOutcome]] = {
    HTTPStatus.NOT_FOUND: CallOutcome.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: CallOutcome.BUSY,
    HTTPStatus.SERVICE_UNAVAILABLE: CallOutcome.BUSY,
    HTTPStatus.GATEWAY_TIMEOUT: CallOutcome.LATE,
}
"""What a status says where there is no response of JSON-RPC."""

_WORDS: Final = {
    CallOutcome.NOT_FOUND: "has no such function",
    CallOutcome.TRAPPED: "has failed",
    CallOutcome.LATE: "took too long",
    CallOutcome.BUSY: "is busy",
    CallOutcome.FAILED: "gave no usable answer",
}
"""What the caller is told."""


class JsonRpcTarget:
    """A server that has the functions of an interface as methods, named `interface#function` in full.

    Each call is one POST. It is never made twice, for nobody knows what the first has done.

    Args:
        url: where it is.
        tls: what makes it trusted.
        max_response: bytes that a response may have.
        tracer: what is told of calls that are part of a trace, if anything is.
    """

    kind = "json-rpc"

    def __init__(
        self, url: str, *, tls: ssl.SSLContext, max_response: int, tracer: Tracer | None
    ) -> None:
        self.name = url
        self._tls = tls
        self._max_response = max_response
        self._tracer = tracer
        self._client: httpx.AsyncClient | None = None

    def calls(self, name: str, interface: wit.Interface) -> Mapping[str, LinkedCall]:
        """`Target.calls`: what the server has is seen when it is called."""
        wrong = [
            f"{function}: {why}"
            for function, ty in interface.functions.items()
            if (why := uncarried(ty)) is not None
        ]
        if wrong:
            raise LinkMismatch("\n".join(wrong))
        return {
            function: partial(self._call, _Method(name, function, ty))
            for function, ty in interface.functions.items()
        }

    async def aclose(self) -> None:
        """`Target.aclose`."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _call(self, method: _Method, caller: Caller, args: Sequence[Any]) -> Any:
        trace, span = caller.trace, None
        if trace is not None and self._tracer is not None:
            span = self._tracer.operation(trace, method.interface, method.function, self.kind)
            trace = span.trace
        failed: str | None = CallOutcome.CANCELLED.value
        try:
            content = await of_any_length(partial(method.request, args))
            response = await self._post(content, _headers(caller, trace))
            result = await of_any_length(partial(method.result, response))
            failed = None
        except CallFailed as failure:
            failed = failure.outcome.value
            raise
        except Exhausted as error:
            failed = CallOutcome.BUSY.value
            raise CallFailed(
                CallOutcome.BUSY, "the gateway has no room for its values", str(error)
            ) from None
        finally:
            if span is not None:
                span.end(error=failed)
        return result

    async def _post(self, content: bytes, headers: dict[str, str]) -> bytes:
        """Send a request, and give the response, which is JSON at least in name.

        Raises:
            CallFailed: there is none.
        """
        client = self._client
        if client is None:
            client = self._client = httpx.AsyncClient(
                verify=self._tls,
                trust_env=False,
                timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            )
        received = bytearray()
        try:
            async with client.stream(
                "POST", self.name, content=content, headers=headers
            ) as response:
                if not response.headers.get("content-type", "").startswith("application/json"):
                    outcome = _STATUSES.get(response.status_code, CallOutcome.FAILED)
                    raise _failed(outcome, f"it answered with status {response.status_code}")
                async for piece in response.aiter_bytes():
                    received += piece
                    if len(received) > self._max_response:
                        reason = f"its response is larger than {self._max_response} bytes (rpc_max_result)"
                        raise _failed(CallOutcome.FAILED, reason)
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__}: {error}"
            raise CallFailed(CallOutcome.FAILED, "its server cannot be reached", reason) from None
        return bytes(received)


class _Method:
    """A function as a method with JSON.

    Attributes:
        interface: the interface that has it, without its version.
        function: its name there.
    """

    def __init__(self, interface: str, function: str, ty: wit.Function) -> None:
        self.interface = split_version(interface)[0]
        self.function = function
        self._name = f"{interface}#{function}"
        self._encoders = [encoder(param) for _, param in ty.params]
        self._fallible = isinstance(ty.result, wit.Result)
        ok, err = ty.result, None
        if isinstance(ty.result, wit.Result):
            ok, err = ty.result.ok, ty.result.err
        self._ok, self._err = _optional(ok), _optional(err)

    def request(self, args: Sequence[Any]) -> bytes:
        """The request object of a call."""
        params = [encode(value) for encode, value in zip(self._encoders, args, strict=True)]
        return dump_long({"jsonrpc": "2.0", "method": self._name, "params": params, "id": 1})

    def result(self, response: bytes) -> Any:
        """What the response object says that it returned.

        Raises:
            CallFailed: it says that it did not, or nothing that can be understood.
        """
        try:
            body = parse(response)
        except InvalidJson as error:
            raise _failed(CallOutcome.FAILED, f"its response is not JSON: {error}") from None
        if not isinstance(body, dict) or body.keys().isdisjoint(("result", "error")):
            raise _failed(CallOutcome.FAILED, "its response is none of JSON-RPC 2.0")
        failure = body.get("error")
        if not isinstance(failure, dict | None):
            raise _failed(CallOutcome.FAILED, "its response has an error that is no object")
        try:
            if failure is None:
                value = self._ok(body.get("result"))
                return Ok(value) if self._fallible else value
            if failure.get("code") == message.RETURNED_ERR and self._fallible:
                return Err(self._err(failure.get("data")))
        except InvalidValue as invalid:
            expected = f"expected {invalid.expected} at {invalid.pointer or 'its root'}"
            raise _failed(
                CallOutcome.FAILED, f"its result is of another type: {expected}"
            ) from None
        code = failure.get("code")
        outcome = _CODES.get(code) if isinstance(code, int) else None
        said = f"{_cut(code)}: {_cut(failure.get('message'))}"
        raise _failed(outcome or CallOutcome.FAILED, f"it answered with error {said}")


def _headers(caller: Caller, trace: TraceContext | None) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        REQUEST_ID.decode(): caller.request_id,
    }
    told = call_chain.fields(caller.depth + 1, caller.remaining)
    if trace is not None:
        told += trace.fields()
    return headers | {field.decode(): value.decode() for field, value in told}


def _optional(ty: wit.Type | None) -> Decode:
    return _nothing if ty is None else decoder(ty)


def _nothing(value: Any) -> None:
    if value is not None:
        raise InvalidValue("null")


def _failed(outcome: CallOutcome, reason: str) -> CallFailed:
    return CallFailed(outcome, f"the callee {_WORDS[outcome]}", reason)


def _cut(value: object) -> str:
    return str(value)[:MAX_SAID]
