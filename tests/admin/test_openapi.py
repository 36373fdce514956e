"""The OpenAPI document: it says what the API does, and its schemas say what the models do."""

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.admin.endpoints import ENDPOINTS
from gateway.admin.openapi import document
from gateway.admin.token import TokenScope
from gateway.config import ComponentConfig, MountConfig, Route
from gateway.units import MAX_DURATION, MAX_SIZE

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
MODELS: dict[str, type[BaseModel]] = {
    "Component": ComponentConfig,
    "Route": Route,
    "MountConfig": MountConfig,
}
LEAST: dict[str, dict[str, Any]] = {
    "Component": {"source": "/app.wasm"},
    "Route": {},
    "MountConfig": {"host": "/srv", "guest": "/data"},
}


def says_schema(name: str, value: object) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(schema, format_checker=checker).is_valid(value)


def says_model(name: str, value: Any) -> bool:
    more = {"name": "hello"} if name == "Component" else {}
    try:
        MODELS[name].model_validate(value | more)
    except ValidationError:
        return False
    return True


def agree(name: str, key: str, value: object) -> bool:
    """Whether the value is taken, once schema and model have agreed on it."""
    described = LEAST[name] | {key: value}
    assert says_schema(name, described) == says_model(name, described), described
    return says_model(name, described)


def test_it_has_every_endpoint() -> None:
    described = {
        (path, method.upper()): operation
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }
    assert described.keys() == {(endpoint.path, endpoint.method) for endpoint in ENDPOINTS}
    for endpoint in ENDPOINTS:
        operation = described[endpoint.path, endpoint.method]
        security = [] if endpoint.scope is None else [{"bearer": [endpoint.scope.value]}]
        assert operation["security"] == security
        assert ("401" in operation["responses"]) == bool(security)
    assert {endpoint.scope for endpoint in ENDPOINTS} == {None, *TokenScope}


def test_every_reference_leads_somewhere() -> None:
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(DOCUMENT)))
    assert references == SCHEMAS.keys()
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", MODELS)
def test_schemas_have_every_key_and_say_what_it_is(name: str) -> None:
    described = SCHEMAS[name]["properties"]
    without = {"name", "build"} if name == "Component" else set()
    assert described.keys() == MODELS[name].model_fields.keys() - without
    assert [key for key, schema in described.items() if not schema.get("description")] == []


@pytest.mark.parametrize("name", MODELS)
def test_defaults_are_those_of_the_models(name: str) -> None:
    for key, schema in SCHEMAS[name]["properties"].items():
        if "default" in schema:
            made = MODELS[name].model_fields[key].get_default(call_default_factory=True)
            assert TypeAdapter(Any).dump_python(made, mode="json") == schema["default"]


@pytest.mark.parametrize(
    ("key", "least", "most"),
    [
        ("max_memory", 64 * 1024, 4 * 1024**3),
        ("max_body", 0, MAX_SIZE),
        ("max_concurrency", 1, 100_000),
        ("max_queue", 0, 100_000),
        ("log_max_lines", 0, 1_000_000),
        ("log_max_bytes", 1, 1024**3),
        ("log_max_rate", 1, 1_000_000),
        ("max_execution_time", 1, int(MAX_DURATION)),
        ("max_cpu_time", 1, int(MAX_DURATION)),
        ("max_queue_time", 1, int(MAX_DURATION)),
    ],
)
def test_numbers(key: str, least: int, most: int) -> None:
    assert agree("Component", key, least)
    assert agree("Component", key, most)
    assert not agree("Component", key, least - 1)
    assert not agree("Component", key, most + 1)
    assert not agree("Component", key, True)


def test_every_number_is_tested_for_its_bounds() -> None:
    numbers = {
        key
        for key, field in ComponentConfig.model_fields.items()
        if field.annotation in {int, float, int | None, float | None}
    }
    (tested,) = [mark for mark in test_numbers.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert numbers == {key for key, *_ in tested.args[1]}


@pytest.mark.parametrize("key", ["max_execution_time", "max_cpu_time", "max_queue_time"])
@given(text=st.one_of(st.text("0123.dhms ", max_size=8), st.from_regex(r"([1-9]d|1h|2m|3s|4ms)+")))
def test_durations(key: str, text: str) -> None:
    described = {**LEAST["Component"], key: text}
    if says_model("Component", described):
        assert says_schema("Component", described)


@pytest.mark.parametrize(
    ("text", "taken"),
    [("1m30s", True), ("30s1m", False), ("500ms", True), ("1.5", True), ("", False), ("s", False),
     (" 2s ", True), ("1m ms", False), ("1e3", False), ("-1s", False)],
)  # fmt: skip
def test_words_of_durations(text: str, taken: bool) -> None:
    assert agree("Component", "max_execution_time", text) is taken


@pytest.mark.parametrize(
    ("text", "taken"),
    [("64KiB", True), ("64 kb", False), ("1GiB", True), ("70000", True), ("1iB", False),
     ("256m", False), ("128 MiB", True), ("", False)],
)  # fmt: skip
def test_words_of_sizes(text: str, taken: bool) -> None:
    described = {**LEAST["Component"], "max_memory": text}
    assert says_model("Component", described) is taken
    assert says_schema("Component", described) is (
        taken or text == "64 kb"
    )  # 64,000 bytes are too few


@pytest.mark.parametrize(
    ("host", "taken"),
    [("example.com", True), ("*.example.com", True), ("EXAMPLE.com.", True), ("*", False),
     ("a..b", False), ("-a", False), ("a-", False), ("", False), ("::1", True), ("[::1]", True),
     ("example.com:80", False), ("http://a", False), (None, True), (1, False), ("_dmarc.a", True),
     ("x" * 64, False), ("bücher.example", False), ("127.0.0.1", True)],
)  # fmt: skip
def test_hosts(host: object, taken: bool) -> None:
    assert agree("Route", "host", host) is taken


@pytest.mark.parametrize(
    ("path", "taken"),
    [("/", True), ("/a", True), ("/a/", True), ("/a/b", True), ("", False), ("a", False), ("//", False),
     ("/a//b", False), ("/.", False), ("/a/..", False), ("/%2e/b", False), ("/..a", True),
     ("/%2F", True), ("/%2", False), ("/a?b", False), ("/a#b", False), ("/a b", False), ("/ä", True),
     ("/a{b}", False), ("/~user/", True), ("/.well-known", True), ("/...", True)],
)  # fmt: skip
def test_paths(path: str, taken: bool) -> None:
    assert agree("Route", "path", path) is taken


@given(path=st.text("/.%2eEa~ ?", max_size=8).map("/".__add__))
def test_any_path(path: str) -> None:
    agree("Route", "path", path)


@given(path=st.text("/.a ", max_size=8).map("/".__add__))
def test_any_path_of_a_mount(path: str) -> None:
    agree("MountConfig", "guest", path)


@pytest.mark.parametrize(
    ("environment", "taken"),
    [({}, True), ({"A": ""}, True), ({"": "x"}, False), ({"A=B": "x"}, False), ({"A": 1}, False),
     ({"A\0": "x"}, False), ({"A": "\0"}, False), ([], False), ({"A": None}, False)],
)  # fmt: skip
def test_environments(environment: object, taken: bool) -> None:
    assert agree("Component", "environment", environment) is taken


@pytest.mark.parametrize(
    ("entry", "schema", "model"),
    [("https://a.example", True, True), ("*://*:*", True, True), ("http://10.0.0.0/8:80", True, True),
     ("tcp://[fd00::/8]:5432", True, True), ("a.example", False, False), ("https://", True, False),
     ("https://u@a.example", False, False), ("https://a.example/x", False, False),
     ("http://10.0.0.1/8", True, False), ("https://a.example/", True, True)],
)  # fmt: skip
def test_outbound_hosts(entry: str, schema: bool, model: bool) -> None:
    described = {**LEAST["Component"], "allowed_outbound_hosts": [entry]}
    assert says_schema("Component", described) is schema
    assert says_model("Component", described) is model


@pytest.mark.parametrize("name", MODELS)
def test_what_is_left_out_or_too_much(name: str) -> None:
    for key in LEAST[name]:
        without = {other: value for other, value in LEAST[name].items() if other != key}
        assert not says_schema(name, without)
        assert not says_model(name, without)
    assert not agree(name, "unknown", 1)


def test_paths_have_no_nul() -> None:
    assert not says_schema("Component", {"source": "app.wasm\0"})
