"""JSON-RPC 2.0 as a generated client speaks it, without the transport."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, NoReturn

import httpx

from gateway.rpc.client.runtime.codecs import _Codec
from gateway.rpc.client.runtime.errors import (
    _RPC_ERRORS,
    CallError,
    HttpError,
    InvalidResponse,
    RpcError,
    _media_type,
)
from gateway.rpc.client.runtime.values import _T


class _Method(Generic[_T]):
    """A function of the component: what to ask for it, and how to read the answer.

    Args:
        name: its full name.
        params: how its parameters are written, by name, in order.
        result: how its result is read.
        error: what is raised when it returns err, if it can, and how that is read.
    """

    def __init__(
        self,
        name: str,
        params: Mapping[str, _Codec[Any]],
        result: _Codec[_T],
        error: tuple[type[CallError[Any]], _Codec[Any]] | None = None,
    ) -> None:
        self._name = name
        self._params = params
        self._result = result
        self._error = error

    def request(self, number: int, values: tuple[Any, ...]) -> bytes:
        pairs = zip(self._params.items(), values, strict=True)
        params = {name: codec.encode(value) for (name, codec), value in pairs}
        message = {
            "jsonrpc": "2.0",
            "id": number,
            "method": self._name,
            "params": params,
        }
        return json.dumps(message, allow_nan=False).encode()

    def result(self, number: int, response: httpx.Response) -> _T:
        if _media_type(response) != "application/json":
            raise HttpError(response)
        try:
            message = json.loads(response.content)
        except (ValueError, RecursionError) as error:
            raise InvalidResponse("the answer is not JSON") from error
        match message:
            case {"jsonrpc": "2.0", "id": int(answered), "result": result}:
                if answered == number:
                    return self._result.decode(result, "/result")
            case {"jsonrpc": "2.0", "id": None | int() as answered, "error": error}:
                if answered in (number, None):
                    self._fail(error, response)
        raise InvalidResponse("the answer is none of JSON-RPC 2.0 to this request")

    def _fail(self, error: Any, response: httpx.Response) -> NoReturn:
        match error:
            case {"code": 1} if self._error is not None:
                kind, codec = self._error
                raise kind(codec.decode(error.get("data"), "/error/data"))
            case {"code": int(code), "message": str(message)}:
                data = error.get("data")
                details = data if isinstance(data, dict) else {}
                raise _RPC_ERRORS.get(code, RpcError)(
                    code,
                    message,
                    details,
                    response,
                )
        raise InvalidResponse("the error of the answer is none of JSON-RPC 2.0")
