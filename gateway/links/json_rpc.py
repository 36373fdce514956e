"""A JSON-RPC 2.0 server at the other end of a link: a gateway, or any that has values as docs/rpc.md does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx

from gateway.bindings.context import Caller
from gateway.host import wit
from gateway.host.values import Err, Ok
from gateway.http.trace_context import TraceContext
from gateway.json.text import InvalidJson, dump_long, parse
from gateway.links.http_server import HttpServer
from gateway.links.remote import Means, RemoteTarget, failed
from gateway.links.target import CallOutcome, LinkedCall
from gateway.links.whole import whole_calls
from gateway.rpc import message
from gateway.rpc.json_values import Decode, InvalidValue, decoder, encoder

__all__ = ["JsonRpcTarget"]

MAX_SAID: Final = 256
"""Characters of what a server says is wrong that are logged. Arbitrary: a line, not a document."""

_JSON: Final = "application/json"

_CODES: Final = {
    message.METHOD_NOT_FOUND: CallOutcome.NOT_FOUND,
    message.TRAP: CallOutcome.TRAPPED,
    message.DEADLINE: CallOutcome.LATE,
    message.BUSY: CallOutcome.BUSY,
}
"""What an error of the gateway's own says of a call; any other says that it failed."""


class JsonRpcTarget(RemoteTarget["_Method", bytes]):
    """A server that has the functions of an interface as methods, named `interface#function` in full.

    Args:
        url: where it is.
        means: what calls take.
    """

    kind = "json-rpc"

    def __init__(self, url: str, means: Means) -> None:
        super().__init__(url, means)
        self._server = HttpServer(
            url, _JSON, _is_json, tls=means.tls, max_response=means.max_result
        )

    def calls(self, name: str, interface: wit.Interface) -> Mapping[str, LinkedCall]:
        """`RemoteTarget.calls`."""
        return whole_calls(super().calls(name, interface), interface)

    def function(self, interface: str, name: str, ty: wit.Function) -> _Method:
        """`RemoteTarget.function`."""
        return _Method(f"{interface}#{name}", wit.carried(ty))

    async def exchange(
        self, _function: _Method, request: bytes, caller: Caller, trace: TraceContext | None
    ) -> bytes:
        """`RemoteTarget.exchange`."""
        return await self._server.post(request, caller, trace)

    async def aclose(self) -> None:
        """`Target.aclose`."""
        await self._server.aclose()


class _Method:
    """A function as a method of this name."""

    def __init__(self, name: str, ty: wit.Function) -> None:
        self._name = name
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
            raise failed(CallOutcome.FAILED, f"its response is not JSON: {error}") from None
        if not isinstance(body, dict) or body.keys().isdisjoint(("result", "error")):
            raise failed(CallOutcome.FAILED, "its response is none of JSON-RPC 2.0")
        failure = body.get("error")
        if not isinstance(failure, dict | None):
            raise failed(CallOutcome.FAILED, "its response has an error that is no object")
        try:
            if failure is None:
                value = self._ok(body.get("result"))
                return Ok(value) if self._fallible else value
            if failure.get("code") == message.RETURNED_ERR and self._fallible:
                return Err(self._err(failure.get("data")))
        except InvalidValue as invalid:
            expected = f"expected {invalid.expected} at {invalid.pointer or 'its root'}"
            raise failed(CallOutcome.FAILED, f"its result is of another type: {expected}") from None
        code = failure.get("code")
        outcome = _CODES.get(code) if isinstance(code, int) else None
        said = f"{_cut(code)}: {_cut(failure.get('message'))}"
        raise failed(outcome or CallOutcome.FAILED, f"it answered with error {said}")


def _optional(ty: wit.Type | None) -> Decode:
    return _nothing if ty is None else decoder(ty)


def _nothing(value: Any) -> None:
    if value is not None:
        raise InvalidValue("null")


def _is_json(response: httpx.Response) -> bool:
    return bool(response.headers.get("content-type", "").startswith(_JSON))


def _cut(value: object) -> str:
    return str(value)[:MAX_SAID]
