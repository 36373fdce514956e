"""OpenRPC documents: valid by the specification's own meta-schema, and true."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.rpc import message
from gateway.rpc.method import Methods
from gateway.rpc.openrpc import document
from gateway.wasm.binary import encode
from gateway.wasm.binary.package_docs import PackageDocs, package_docs
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE
from tests.guests import toolchains
from tests.harness import GuestPath
from tests.host.guests import guest as guest_text

U8 = wit.Integer(8, signed=False)
U32 = wit.Integer(32, signed=False)
U64 = wit.Integer(64, signed=False)
POINT = wit.Record((("x", U64), ("y", U64)))
FAILURE = wit.Variant((("not-found", None), ("misplaced", POINT)))
API = "test:docs/api@1.2.3"

EXPORTS: Mapping[str, wit.Item] = {
    "add": wit.Function((("a", U32), ("b", U32)), U32),
    "reset": wit.Function((), None),
    API: wit.Interface(
        functions={
            "find": wit.Function(
                (("name", wit.String()), ("near", wit.Option(POINT))),
                wit.Result(wit.List(POINT), FAILURE),
            ),
            "try": wit.Function((), wit.Result(None, None)),
            "digest": wit.Function((("content", wit.List(U8)),), wit.List(U8)),
        },
        types={"point": POINT, "failure": FAILURE},
    ),
    "a:a/twins": wit.Interface({"one": wit.Function((), U8), "two": wit.Function((), U8)}),
    "b:b/twins": wit.Interface({"one": wit.Function((), U8)}),
    "a:a/silent": wit.Interface(types={"point": POINT}),
    "wasi:http/incoming-handler@0.2.0": wit.Interface({"handle": wit.Function((), None)}),
}

DOCS = {
    "package": "test:docs@1.2.3",
    "worlds": {
        "w": {
            "docs": "Finds points.",
            "func_exports": {"add": {"docs": "The sum of two numbers,\nwrapped around."}},
        }
    },
    "interfaces": {
        "api": {
            "docs": "What there is.",
            "funcs": {"find": {"docs": "Finds a point.\n\nThe nearest come first."}},
            "types": {"point": {"docs": "A point.", "items": {"x": "Across."}}},
        }
    },
}
DIGEST = "0123456789abcdef" * 4


@pytest.fixture(scope="session")
def meta_schema() -> Draft7Validator:
    """The meta-schema, with that of JSON Schema which it refers to by URL."""
    try:
        toolchains.npm_ci()  # the packages of tests/guests/package.json
        toolchains.node()
    except toolchains.Unavailable as missing:
        pytest.skip(str(missing))
    schema = constant("@open-rpc/meta-schema", "openrpcDocument")
    json_schema = DRAFT7.create_resource(constant("@json-schema-tools/meta-schema", "jsonSchema"))
    url = "https://meta.json-schema.tools"
    registry = Registry().with_resources([(url, json_schema), (f"{url}/", json_schema)])
    return Draft7Validator(schema, registry=registry)


def constant(package: str, name: str) -> Any:
    """What a package exports under a name, which is written in it as JSON."""
    script = Path(toolchains.NODE_MODULES, package, "index.js").read_text()
    _, _, literal = script.partition(f"exports.{name} = {{")
    value, _ = json.JSONDecoder().raw_decode("{" + literal)
    return value


def carried(docs: Any) -> PackageDocs:
    payload = encode.name("package-docs") + b"\1" + json.dumps(docs).encode()
    return package_docs(COMPONENT_PREAMBLE + encode.section(0, payload))


def describe(
    exports: Mapping[str, wit.Item] = EXPORTS, docs: PackageDocs | None = None
) -> dict[str, Any]:
    return document(
        Methods(exports),
        exports,
        docs=carried(DOCS) if docs is None else docs,
        name="points",
        digest=DIGEST,
        url="/rpc/points",
    )


def methods(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {method["name"]: method for method in described["methods"]}


def references(part: Any) -> Iterator[str]:
    match part:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for inner in part.values():
                yield from references(inner)
        case list():
            for inner in part:
                yield from references(inner)


def check(described: dict[str, Any], meta_schema: Draft7Validator) -> None:
    """That it is valid, says nothing in vain, refers to what is there, and can be sent."""
    meta_schema.validate(described)
    sent = json.dumps(described, allow_nan=False)
    assert json.loads(sent) == described
    names = [method["name"] for method in described["methods"]]
    assert len(set(names)) == len(names)
    local = {ref for ref in references(described) if not ref.startswith("https:")}
    for ref in local:
        assert ref.startswith("#/components/")
        _, _, kind, key = ref.split("/")
        assert key in described["components"][kind]
    for kind in ("schemas", "tags"):
        for key in described["components"][kind]:
            assert f"#/components/{kind}/{key}" in local
    for schema in described["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


def test_the_meta_schema_can_refuse(meta_schema: Draft7Validator) -> None:
    described = describe()
    assert meta_schema.is_valid(described)
    # In the last place that is reached only through the schema which it refers to by URL:
    described["components"]["schemas"]["broken"] = {"type": "no such type"}
    assert not meta_schema.is_valid(described)
    assert not meta_schema.is_valid(describe() | {"openrpc": "0.1"})
    assert not meta_schema.is_valid({"openrpc": "1.3.2", "info": {}, "methods": []})


@pytest.mark.parametrize("docs", [carried(DOCS), PackageDocs()], ids=["docs", "no docs"])
def test_a_document_is_valid(meta_schema: Draft7Validator, docs: PackageDocs) -> None:
    check(describe(docs=docs), meta_schema)


def test_a_component_without_methods(meta_schema: Draft7Validator) -> None:
    described = describe({})
    check(described, meta_schema)
    assert list(methods(described)) == ["rpc.discover"]


@pytest.mark.parametrize("name", ["c/rpc", "wat/exports", "c/hello"])
def test_real_components(meta_schema: Draft7Validator, guest: GuestPath, name: str) -> None:
    source = Source(guest(name))
    component = Component.alone(source, name=name)
    served = Methods(component.exports)
    described = document(
        served,
        component.exports,
        docs=package_docs(source.binary),
        name=name,
        digest=component.digest,
        url="https://example.test/rpc/x",
    )
    check(described, meta_schema)
    names = [method.name for method in served.served]
    assert list(methods(described)) == [*names, "rpc.discover"]


def test_what_is_said_about_the_component() -> None:
    described = describe()
    assert described["openrpc"] == "1.3.2"
    assert described["info"] == {
        "title": "points",
        "version": "0123456789ab",
        "description": "Finds points.",
    }
    assert described["servers"] == [{"name": "points", "url": "/rpc/points"}]
    plain = describe(docs=PackageDocs())["info"]["description"]
    assert plain == "What the WebAssembly component points exports."


def test_the_methods_are_those_that_are_served_and_discovery() -> None:
    assert list(methods(describe())) == [
        "add",
        "reset",
        f"{API}#find",
        f"{API}#try",
        f"{API}#digest",
        "a:a/twins#one",
        "a:a/twins#two",
        "b:b/twins#one",
        "rpc.discover",
    ]


def test_a_method() -> None:
    described = describe()
    find = methods(described)[f"{API}#find"]
    assert find == {
        "name": f"{API}#find",
        "summary": "Finds a point.",
        "description": "Finds a point.\n\nThe nearest come first.\n\nShort name: `api.find`.",
        "x-short-name": "api.find",
        "x-wit": "func(name: string, near: option<point>) -> result<list<point>, failure>",
        "tags": [{"$ref": "#/components/tags/api"}],
        "paramStructure": "either",
        "params": [
            {"name": "name", "required": True, "schema": {"type": "string"}, "x-wit": "string"},
            {
                "name": "near",
                "required": True,
                "schema": {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/api.point"}]},
                "x-wit": "option<point>",
            },
        ],
        "result": {
            "name": "result",
            "schema": {"type": "array", "items": {"$ref": "#/components/schemas/api.point.out"}},
        },
        "errors": [
            {
                "code": 1,
                "message": "The function returned an error",
                "data": {"$ref": "#/components/schemas/api.failure.out"},
            },
            *(
                {"$ref": f"#/components/errors/{error}"}
                for error in (
                    *("InvalidParams", "InternalError"),
                    *("Trap", "Deadline", "Busy", "Stopping", "ResultTooLarge"),
                )
            ),
        ],
    }
    assert described["components"]["schemas"]["api.point"]["description"] == "A point."
    tag = described["components"]["tags"]["api"]
    assert (tag["name"], tag["description"]) == (API, "What there is.")


def test_a_method_at_the_root_has_no_tag_and_no_other_name() -> None:
    add = methods(describe())["add"]
    assert add["summary"] == "The sum of two numbers, wrapped around."
    assert {"tags", "description", "x-short-name"}.isdisjoint(add)
    assert 1 not in [error.get("code") for error in add["errors"]]


def test_a_short_name_that_is_not_unambiguous_is_not_given() -> None:
    described = methods(describe())
    assert "x-short-name" not in described["a:a/twins#one"]
    assert "description" not in described["a:a/twins#one"]
    assert described["a:a/twins#two"]["x-short-name"] == "twins.two"


def test_interfaces_are_tags_if_they_have_methods() -> None:
    tags = describe()["components"]["tags"]
    assert tags.keys() == {"api", "a:a.twins", "b:b.twins"}
    assert tags["b:b.twins"] == {
        "name": "b:b/twins",
        "x-wit": "interface b:b/twins {\n  one: func() -> u8;\n}",
    }


def test_results() -> None:
    described = methods(describe())
    assert described["reset"]["result"]["schema"] == {"type": "null"}
    assert described[f"{API}#try"]["result"]["schema"] == {"type": "null"}
    assert described[f"{API}#try"]["errors"][0]["data"] == {"type": "null"}


def test_parameters_are_what_is_accepted_and_results_what_is_emitted() -> None:
    digest = methods(describe())[f"{API}#digest"]
    (content,) = digest["params"]
    assert Draft7Validator(content["schema"]).is_valid([1, 2])
    assert not Draft7Validator(digest["result"]["schema"]).is_valid([1, 2])


def test_the_gateways_own_errors() -> None:
    errors = describe()["components"]["errors"]
    codes = [error["code"] for error in errors.values()]
    own = {
        value
        for name, value in vars(message).items()
        if name.isupper() and isinstance(value, int) and value < 0
    }
    assert sorted(codes) == sorted(own)
    data = Draft7Validator(errors["InvalidParams"]["data"])
    data.validate({"request_id": "r", "pointer": "/params/0/x", "expected": "u8"})
    assert not data.is_valid({"request_id": "r", "expected": "u8"})
    for name, details in {"Busy": {}, "ParseError": {"detail": "a comma is missing"}}.items():
        error = message.Error.of(errors[name]["code"], **details).with_details(request_id="r")
        assert error.message == errors[name]["message"]
        Draft7Validator(errors[name]["data"]).validate(error.data)


def test_discovery_is_the_specifications() -> None:
    assert methods(describe())["rpc.discover"] == {
        "name": "rpc.discover",
        "description": "Returns an OpenRPC schema as a description of this service",
        "params": [],
        "result": {
            "name": "OpenRPC Schema",
            "schema": {
                "$ref": "https://raw.githubusercontent.com/open-rpc/meta-schema/master/schema.json"
            },
        },
    }


@pytest.mark.anyio
async def test_every_place_that_the_application_is_mounted_at_is_told(tmp_path: Path) -> None:
    source = tmp_path / "seven.wat"
    source.write_text(guest_text("(i32.const 7)", result="u32"))
    config = GatewayConfig(components=(ComponentConfig(name="seven", source=source),))
    app = Starlette(routes=[Mount("/{tenant}", create_app(config))])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        told = [(await client.get(f"/{tenant}/rpc/seven")).json() for tenant in "abab"]
    servers = [document.pop("servers") for document in told]
    assert [server["url"] for (server,) in servers] == [f"/{it}/rpc/seven" for it in "abab"]
    assert told == [told[0]] * 4
