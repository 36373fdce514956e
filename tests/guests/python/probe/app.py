"""Probe: runs the Python source that a request carries, inside a guest.

A conformance test is a snippet that calls the host as it likes and leaves what it saw in `result`.

The source is the body of the request; or it is in the header `probe-source`, base64, which leaves the
body for the source to read. The names it finds are the modules of the bindings, each under the name of
its interface (`types` is that of `wasi:http`, `filesystem_types` the other), `Ok`, `Err`, `Some`, and
`request` and `response_out`, the arguments of the handler.

The answer is JSON: `{"ok": result}`, or `{"error": {"type", "message"}}` for an exception that the
source let out, with `payload` when it is the error of a WIT `result`. `to_json` says what values
become. Source that answers by itself sets `response_set = True`; an exception then goes to stderr.
"""

import base64
import dataclasses
import enum
import importlib
import json
import pkgutil
import traceback
from typing import Any

import wit_world.imports
from componentize_py_types import Err, Ok, Some
from wit_world import exports
from wit_world.imports import streams
from wit_world.imports import wasi_http_types as types

NAMES: dict[str, Any] = {"Err": Err, "Ok": Ok, "Some": Some}

# `types` is the name of an interface of both wasi:http and wasi:filesystem.
for module in pkgutil.iter_modules(wit_world.imports.__path__):
    name = module.name.removeprefix("wasi_http_").removeprefix("wasi_")
    NAMES[name] = importlib.import_module(f"wit_world.imports.{module.name}")

# Only what is imported while the component is built is there when it runs.
for name in ("asyncio", "hashlib", "os", "pathlib", "socket", "sys", "time"):
    importlib.import_module(name)

# What a source leaves behind stays reachable until the instance is gone. Otherwise Python would drop
# handles in an order that no source asked for, a parent before its children, and the host would trap.
KEPT: list[Any] = []


class IncomingHandler(exports.IncomingHandler):
    """The export `wasi:http/incoming-handler`."""

    def handle(self, request: types.IncomingRequest, response_out: types.ResponseOutparam) -> None:
        """Runs one source."""
        source = source_of(request)
        names = NAMES | {"request": request, "response_out": response_out}
        KEPT.append(names)
        try:
            exec(compile(source, "<probe>", "exec"), names)  # noqa: S102 - what it is for
            answer = {"ok": to_json(names.get("result"))}
        except Exception as raised:
            KEPT.append(raised)
            answer = {"error": {"type": type(raised).__name__, "message": str(raised)}}
            if isinstance(raised, Err):
                answer["error"]["payload"] = to_json(raised.value)
            if names.get("response_set"):
                traceback.print_exception(raised)
        if not names.get("response_set"):
            respond(response_out, json.dumps(answer).encode())


def source_of(request: types.IncomingRequest) -> bytes:
    """The source that a request carries."""
    with request.headers() as headers:
        for encoded in headers.get("probe-source"):
            return base64.b64decode(encoded)
    source = b""
    with request.consume() as body, body.stream() as stream:
        try:
            while True:
                source += stream.blocking_read(65536)
        except Err as end:
            if not isinstance(end.value, streams.StreamError_Closed):
                raise
    return source


def respond(response_out: types.ResponseOutparam, document: bytes) -> None:
    """Answers with a JSON document."""
    headers = types.Fields.from_list([("content-type", b"application/json")])
    response = types.OutgoingResponse(headers)
    body = response.body()
    types.ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        for at in range(0, len(document), 4096):
            stream.blocking_write_and_flush(document[at : at + 4096])
    types.OutgoingBody.finish(body, None)


def to_json(value: Any) -> Any:
    """The JSON form of a value of the bindings.

    Bytes become text, read as Latin-1. A case of a variant becomes its name, or `{name: payload}`
    (`"Method_Get"`, `{"Method_Other": "FETCH"}`; `Ok`, `Err` and `Some` likewise), a case of an enum
    its name, flags a list of names, a record an object. A resource becomes `"<InputStream>"`.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.decode("latin-1")
        case enum.Flag():
            return [flag.name for flag in type(value) if flag in value]
        case enum.Enum():
            return value.name
        case dict():
            return {str(key): to_json(item) for key, item in value.items()}
        case list() | tuple() | set():
            return [to_json(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return f"<{type(value).__name__}>"
    name = type(value).__name__
    fields = {
        field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
    }
    if isinstance(value, Ok | Err | Some) or "_" in name:
        return {name: fields["value"]} if fields else name
    return fields
