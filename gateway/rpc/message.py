"""JSON-RPC 2.0: what comes in and what goes out, as values.

A body is read in one step, `read`, into what there is to do: call a method, call many, or refuse. What the
specification leaves open is decided here:

- Further members of a request are ignored: section 4 lists members and excludes no others.
- A request that is not valid is refused with its id where it has a legal one (section 5: null is for an id that
  could not be detected), a notification that is not valid with null, as in the examples of section 7.
- An id may be a number with a fraction, which section 4 only advises against. It is sent back as the same double,
  an integer digit by digit.

Source: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from gateway.json.text import InvalidJson, dump, parse

__all__ = [
    "BUSY",
    "DEADLINE",
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "RESULT_TOO_LARGE",
    "RETURNED_ERR",
    "STOPPING",
    "TRAP",
    "Batch",
    "Error",
    "Id",
    "Invalid",
    "Request",
    "error_response",
    "read",
    "result_response",
    "result_text",
]

PARSE_ERROR: Final = -32700
"""The body is not JSON."""
INVALID_REQUEST: Final = -32600
"""It is JSON, and not a request."""
METHOD_NOT_FOUND: Final = -32601
"""There is no method of this name."""
INVALID_PARAMS: Final = -32602
"""The params are not values of the types of the method's parameters."""
INTERNAL_ERROR: Final = -32603
"""The gateway failed: neither the caller nor the component is at fault."""
TRAP: Final = -32000
"""The component stopped before the function had returned: it trapped or exited."""
DEADLINE: Final = -32001
"""The component was stopped because the function had not returned in the time that it is given, or to compute."""
BUSY: Final = -32002
"""The component has as many calls in progress as it may."""
STOPPING: Final = -32003
"""The component was stopped because the gateway goes out of service."""
RESULT_TOO_LARGE: Final = -32004
"""The function returned more than is sent."""
RETURNED_ERR: Final = 1
"""The function returned the `err` of its `result<T, E>`."""

# The first five as section 5.1 has them.
_MESSAGES: Final = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid Request",
    METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
    TRAP: "The component failed",
    DEADLINE: "The component took too long",
    BUSY: "Too many calls are in progress",
    STOPPING: "The server is stopping",
    RESULT_TOO_LARGE: "The result is too large",
    RETURNED_ERR: "The function returned an error",
}

Id: TypeAlias = str | int | float | None
"""What section 4 allows as an `id`. A float is finite; a bool is an int in Python, but no `Id`."""

_ID_TYPES: Final = frozenset((str, int, float, type(None)))


@dataclass(frozen=True, slots=True)
class Error:
    """Why there is no result: the error object of section 5.1.

    Attributes:
        code: one of the constants of this module.
        message: what the code means, the same in every occurrence.
        data: for `RETURNED_ERR` the E of `result<T, E>`, any JSON value; for every other code an object.
    """

    code: int
    message: str
    data: Any

    @classmethod
    def of(cls, code: int, **details: Any) -> Error:
        """The error of this code, any but `RETURNED_ERR`, with these members in its `data`."""
        return cls(code, _MESSAGES[code], details)

    @classmethod
    def returned(cls, err: Any) -> Error:
        """The error of a function that returned `err`, given in JSON's types."""
        return cls(RETURNED_ERR, _MESSAGES[RETURNED_ERR], err)

    def with_details(self, **details: Any) -> Error:
        """This error with more members in its `data`. What a function returned stays as it is."""
        if self.code == RETURNED_ERR:
            return self
        return replace(self, data={**self.data, **details})


@dataclass(frozen=True, slots=True)
class Request:
    """A call of a method.

    Attributes:
        method: its name. Names that begin with `gateway.rpc.method.RESERVED_PREFIX` are the protocol's.
        params: by position or by name, as parsed; an empty list if there are none.
        id: what the answer is to carry; None for null, and for a notification.
        is_notification: whether the request has no id at all: then it has no answer, not even an error.
    """

    method: str
    params: list[Any] | dict[str, Any]
    id: Id = None
    is_notification: bool = False


@dataclass(frozen=True, slots=True)
class Invalid:
    """What is no request, and is answered with an error.

    Attributes:
        error: what is wrong with it.
        id: the id it has nevertheless, else None.
    """

    error: Error
    id: Id = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that came together, and what stood among them without being one, in order. Never empty."""

    entries: tuple[Request | Invalid, ...]


def read(body: bytes, *, max_batch: int) -> Request | Invalid | Batch:
    """Tell what a body asks for.

    Args:
        body: the whole of it.
        max_batch: entries that a batch may have.

    Returns:
        `Invalid` if the body as a whole cannot be answered but with one error: it is no JSON, no request, an empty
        batch, or too large a batch.
    """
    try:
        value = parse(body)
    except InvalidJson as invalid:
        return Invalid(Error.of(PARSE_ERROR, detail=str(invalid)))
    if not isinstance(value, list):
        return _entry(value)
    if not value:
        return _invalid("a batch has at least one request")
    if len(value) > max_batch:
        return _invalid(f"a batch has at most {max_batch} requests here, and this one {len(value)}")
    return Batch(tuple(map(_entry, value)))


def result_response(request_id: Id, result: Any) -> dict[str, Any]:
    """The response object of a call that has a result (section 5).

    Args:
        request_id: the `id` of the request.
        result: what the method returned, in JSON's types.
    """
    return {"jsonrpc": "2.0", "result": result, "id": request_id}


def result_text(request_id: Id, result: bytes) -> bytes:
    """`result_response` of a result that is there as JSON."""
    return b'{"jsonrpc":"2.0","result":%b,"id":%b}' % (result, dump(request_id))


def error_response(request_id: Id, error: Error) -> dict[str, Any]:
    """The response object of a call that has none (section 5).

    Args:
        request_id: the `id` of the request, None if it could not be detected.
        error: why there is no result.
    """
    members = {"code": error.code, "message": error.message, "data": error.data}
    return {"jsonrpc": "2.0", "error": members, "id": request_id}


def _entry(value: Any) -> Request | Invalid:
    """A request outside of a batch, or what stands at one place in it."""
    if not isinstance(value, dict):
        return _invalid("a request is an object")
    request_id = value.get("id")
    if type(request_id) not in _ID_TYPES:
        return _invalid('"id" must be a string, a number or null')
    if value.get("jsonrpc") != "2.0":
        return _invalid('"jsonrpc" must be there, and the string "2.0"', request_id)
    method = value.get("method")
    if not isinstance(method, str):
        return _invalid('"method" must be there, and a string', request_id)
    params = value.get("params", [])
    if not isinstance(params, list | dict):
        return _invalid('"params" must be an array or an object, or left out', request_id)
    return Request(method, params, request_id, is_notification="id" not in value)


def _invalid(detail: str, request_id: Id = None) -> Invalid:
    return Invalid(Error.of(INVALID_REQUEST, detail=detail), request_id)
