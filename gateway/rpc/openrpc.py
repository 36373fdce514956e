"""The OpenRPC document of a component: what can be called, with which JSON, and what comes back.

Source: OpenRPC 1.3, https://spec.open-rpc.org (Service Discovery Method; OpenRPC Object)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.host import wit
from gateway.host.wit_text import Definitions, block, interface_lines, names_of
from gateway.rpc import message
from gateway.rpc.method import RESERVED_PREFIX, Method, Methods
from gateway.rpc.schema import Direction, Schema, Schemas, labels
from gateway.wasm.binary.package_docs import PackageDocs

__all__ = ["DISCOVER", "OPENRPC_VERSION", "contents", "document", "head"]

OPENRPC_VERSION: Final = "1.3.2"
"""The version of the specification: the latest that its published meta-schema knows."""

DISCOVER: Final = f"{RESERVED_PREFIX}discover"
"""The method that returns the document. It is not one of the component."""

_WIT: Final = "x-wit"
"""The member, an extension of OpenRPC's, that has the WIT of what it is a member of."""

_VERSION_SIZE: Final = 12
"""Hexadecimal digits: as many as git shows to tell one of millions from another."""

_REQUEST_ID: Final[Schema] = {
    "type": "string",
    "description": "The id of the HTTP request, as in the gateway's log.",
}
_DETAIL: Final[Schema] = {"type": "string", "description": "What is wrong with the request."}

# Members of `data` besides the request id, by the code.
_DATA: Final[Mapping[int, dict[str, Schema]]] = {
    message.PARSE_ERROR: {"detail": _DETAIL},
    message.INVALID_REQUEST: {"detail": _DETAIL},
    message.METHOD_NOT_FOUND: {
        "did_you_mean": {
            "type": "string",
            "description": "A method that there is, where one is near.",
        },
    },
    message.INVALID_PARAMS: {
        "pointer": {
            "type": "string",
            "format": "json-pointer",
            "description": "Where in the request the value is that was refused (RFC 6901).",
        },
        "expected": {"type": "string", "description": "What was expected there."},
    },
}

_OPTIONAL: Final = frozenset(("did_you_mean",))

_ERRORS: Final[Mapping[str, int]] = {
    "ParseError": message.PARSE_ERROR,
    "InvalidRequest": message.INVALID_REQUEST,
    "MethodNotFound": message.METHOD_NOT_FOUND,
    "InvalidParams": message.INVALID_PARAMS,
    "InternalError": message.INTERNAL_ERROR,
    "Trap": message.TRAP,
    "Deadline": message.DEADLINE,
    "Busy": message.BUSY,
    "Stopping": message.STOPPING,
    "ResultTooLarge": message.RESULT_TOO_LARGE,
}

# Of these, the ones that a request gets which did reach its method.
_METHOD_ERRORS: Final = (
    "InvalidParams",
    "InternalError",
    "Trap",
    "Deadline",
    "Busy",
    "Stopping",
    "ResultTooLarge",
)

_DISCOVERY: Final[dict[str, Any]] = {
    "name": DISCOVER,
    "description": "Returns an OpenRPC schema as a description of this service",
    "params": [],
    "result": {
        "name": "OpenRPC Schema",
        "schema": {
            "$ref": "https://raw.githubusercontent.com/open-rpc/meta-schema/master/schema.json"
        },
    },
}


def document(
    methods: Methods,
    exports: Mapping[str, wit.Item],
    *,
    docs: PackageDocs,
    name: str,
    digest: str,
    url: str,
) -> dict[str, Any]:
    """Describe a component to callers with JSON.

    Parameters have the schemas of what is accepted, results and errors those of what is emitted
    (`gateway.rpc.schema`). Methods, parameters and tags have their WIT as `x-wit`, for people to read. An error
    object of OpenRPC has no member for the schema of its `data`: `data` itself holds it, as in other published
    documents.

    Args:
        methods: what can be called.
        exports: what the component exports, by full name.
        docs: what the component says about them.
        name: the component's name.
        digest: the SHA-256 of the component, in hexadecimal. Its beginning is the version of the document, which
            nobody else keeps count of.
        url: where the component is called, absolute or relative to where the document is.

    Returns:
        The OpenRPC Object, in JSON's types. Parts of it may be shared: do not change it.
    """
    first = head(docs, name=name, digest=digest, url=url)
    return {**first, **contents(methods, exports, docs=docs)}


def head(docs: PackageDocs, *, name: str, digest: str, url: str) -> dict[str, Any]:
    """The members of a document that differ from name to name, and from URL to URL: as of `document`."""
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": name,
            "version": digest[:_VERSION_SIZE],
            "description": docs.docs or f"What the WebAssembly component {name} exports.",
        },
        "servers": [{"name": name, "url": url}],
    }


def contents(
    methods: Methods, exports: Mapping[str, wit.Item], *, docs: PackageDocs
) -> dict[str, Any]:
    """The members that are the same for all that are served of a component: as of `document`."""
    schemas = Schemas(exports, docs)
    interfaces = {
        interface: (item, docs.interface(interface, item.functions.keys()))
        for interface, item in exports.items()
        if isinstance(item, wit.Interface)
    }
    tags = labels(interfaces)
    described: list[dict[str, Any]] = []
    used: dict[str, dict[str, str]] = {}
    names: dict[str, Mapping[wit.Type, str]] = {}
    for method in methods.served:
        if method.interface is None:
            described.append(_method(method, docs.function(method.function), schemas, {}))
            continue
        (interface, told), tag = interfaces[method.interface], tags[method.interface]
        if tag not in used:
            used[tag] = _tag(method.interface, interface, told.docs)
            names[tag] = names_of(interface)
        described.append(
            _method(method, told.functions.get(method.function), schemas, names[tag])
            | {"tags": [{"$ref": f"#/components/tags/{tag}"}]}
        )
    return {
        "methods": [*described, _DISCOVERY],
        "components": {
            "schemas": schemas.components,
            "errors": {key: _error(code) for key, code in _ERRORS.items()},
            "tags": used,
        },
    }


def _method(
    method: Method, docs: str | None, schemas: Schemas, names: Mapping[wit.Type, str]
) -> dict[str, Any]:
    result = method.type.result
    errors: list[dict[str, Any]] = [
        {"$ref": f"#/components/errors/{error}"} for error in _METHOD_ERRORS
    ]
    if isinstance(result, wit.Result):
        err = schemas.of(result.err, method.interface, Direction.OUT)
        errors.insert(0, {**_code(message.RETURNED_ERR), "data": err})
        result = result.ok
    described: dict[str, Any] = {
        "name": method.name,
        **_words(docs, method.short),
        "paramStructure": "either",
        "params": [
            {
                "name": param,
                "required": True,
                "schema": schemas.of(ty, method.interface, Direction.IN),
                _WIT: wit.text(ty, names),
            }
            for param, ty in method.type.params
        ],
        "result": {
            "name": "result",
            "schema": schemas.of(result, method.interface, Direction.OUT),
        },
        "errors": errors,
        _WIT: wit.text(method.type, names),
    }
    if method.short is not None:
        described["x-short-name"] = method.short
    return described


def _words(docs: str | None, short: str | None) -> dict[str, str]:
    """Summary and description: the first paragraph, and all of it where there is more to say."""
    summary, _, rest = (docs or "").partition("\n\n")
    paragraphs = [docs] if docs and rest else []
    if short is not None:
        paragraphs.append(f"Short name: `{short}`.")
    words = {"summary": " ".join(summary.split()), "description": "\n\n".join(paragraphs)}
    return {member: text for member, text in words.items() if text}


def _tag(name: str, interface: wit.Interface, docs: str | None) -> dict[str, str]:
    # By itself: nothing is used from other interfaces, which readers may not have.
    lines = block(f"interface {name}", interface_lines(name, interface, Definitions()))
    told = {"name": name, _WIT: "\n".join(lines)}
    return told if docs is None else {**told, "description": docs}


def _code(code: int) -> dict[str, Any]:
    error = message.Error.of(code)
    return {"code": error.code, "message": error.message}


def _error(code: int) -> dict[str, Any]:
    properties = {"request_id": _REQUEST_ID, **_DATA.get(code, {})}
    required = [name for name in properties if name not in _OPTIONAL]
    schema = {"type": "object", "properties": properties, "required": required}
    return {**_code(code), "data": schema}
