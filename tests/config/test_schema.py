"""The schema of a configuration for editors: it takes what the gateway takes, as far as a schema can tell."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.config import ComponentConfig, ConfigError, GatewayConfig, ServerConfig, load
from gateway.config.admin import AdminConfig
from gateway.config.component import Defaults, MountConfig
from gateway.config.link import LinkConfig
from gateway.config.route import Route
from gateway.config.schema import configuration_schema
from gateway.units import ByteSize, Delay, Duration
from tests.forked import run

ROOT = Path(__file__).parents[2]
SCHEMA = configuration_schema()
VALIDATOR = jsonschema.Draft7Validator(
    SCHEMA, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
)
ONE = '[[components]]\nname = "a"\nsource = "a.wasm"\n'
ADMIN = 'secret_file = "secret"\nissuer = "i"\naudience = "a"\n'
PROPERTIES = SCHEMA["properties"]
COMPONENT = PROPERTIES["components"]["items"]


def schema_takes(text: str) -> bool:
    return VALIDATOR.is_valid(tomllib.loads(text))


def gateway_takes(path: Path, text: str) -> bool:
    path.write_text(text)
    try:
        load(path)
    except ConfigError:
        return False
    return True


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration file, beside what one may name."""
    folder = tmp_path_factory.mktemp("configuration")
    (folder / "a.wasm").touch()
    (folder / "data").mkdir()
    (folder / "secret").write_text("s" * 64)
    (folder / "page.html").write_text("<p>")
    (folder / "page.txt").write_text("x")
    (folder / "values.toml").write_text('greeting = "hello"')
    return folder / "gateway.toml"


# --- what it is ----------------------------------------------------------------------------------


def test_it_is_printed() -> None:
    process = run("schema")
    assert process.returncode == 0
    assert json.loads(process.stdout) == SCHEMA


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert "$ref" not in str(SCHEMA)
    assert "null" not in str(SCHEMA)


def test_it_has_the_tables_of_a_file() -> None:
    assert PROPERTIES.keys() == GatewayConfig.model_fields.keys() - {"folder"}


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (ServerConfig, PROPERTIES["server"]),
        (AdminConfig, PROPERTIES["admin"]),
        (Defaults, PROPERTIES["defaults"]),
        (ComponentConfig, COMPONENT),
        (Route, COMPONENT["properties"]["routes"]["items"]),
        (MountConfig, COMPONENT["properties"]["mounts"]["items"]),
    ],
)
def test_it_has_every_key_says_what_it_is_and_refuses_others(
    model: Any, schema: dict[str, Any]
) -> None:
    assert schema["properties"].keys() == model.model_fields.keys()
    assert schema["additionalProperties"] is False
    assert schema["title"]
    assert schema["description"]
    assert [key for key, of in schema["properties"].items() if not of.get("description")] == []
    required = {key for key, field in model.model_fields.items() if field.is_required()}
    assert set(schema.get("required", ())) == required


def test_defaults_are_written_as_people_do() -> None:
    described = {**PROPERTIES["server"]["properties"], **COMPONENT["properties"]}
    defaults = {key: of["default"] for key, of in described.items() if "default" in of}
    assert (
        defaults.items()
        >= {
            "port": 8080,
            "header_timeout": "30s",
            "drain_grace": "0s",
            "max_header_bytes": "64KiB",
            "max_body": "unlimited",
            "access_log": True,
            "mounts": [],
        }.items()
    )
    assert defaults["routes"] == [{"match": "prefix", "path": "/", "strip_prefix": False}]
    assert {"name", "cache_dir", "sha256", "admin_addr", "max_in_flight"}.isdisjoint(defaults)


def test_all_defaults_together_are_taken(file: Path) -> None:
    """What an editor fills in is a configuration."""
    tables = {
        "server": PROPERTIES["server"],
        "defaults": PROPERTIES["defaults"],
        "components": COMPONENT,
    }
    given: dict[str, Any] = {
        name: {key: of["default"] for key, of in schema["properties"].items() if "default" in of}
        for name, schema in tables.items()
    }
    given["components"] = [given["components"] | {"name": "a", "source": "a.wasm"}]
    assert list(VALIDATOR.iter_errors(given)) == []
    ServerConfig.model_validate(given["server"])
    Defaults.model_validate(given["defaults"])
    ComponentConfig.model_validate(given["components"][0], context={"base": file.parent})


# --- the documentation's examples ----------------------------------------------------------------


def examples() -> Iterator[Any]:
    for path in (*ROOT.glob("deploy/*.toml"), *ROOT.glob("examples/**/gateway.toml")):
        yield pytest.param(path.read_text(), id=str(path.relative_to(ROOT)))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")):
        for number, text in enumerate(
            re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        ):
            yield pytest.param(text, id=f"{path.relative_to(ROOT)}:{number}")


EXAMPLES = list(examples())


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_are_valid(text: str) -> None:
    """Some leave the components out, and some have only keys of one."""
    if "[" not in re.findall(r"^\S", text, re.MULTILINE):
        text = ONE + text
    elif "[[components]]" not in text:
        text += ONE
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


# --- what it takes -------------------------------------------------------------------------------

LINES = [
    ("server", "port = 65535", True),
    ("server", "port = 65536", False),
    ("server", 'port = "80"', False),
    ("server", "port = true", False),
    ("server", "prot = 80", False),
    ("server", "workers = 0", False),
    ("server", 'host = "::1"', True),
    ("server", 'host = "[::1]"', True),
    ("server", 'host = "localhost:80"', False),
    ("server", 'host = ""', False),
    ("server", 'host = "http://a"', False),
    ("server", 'bind = ["127.0.0.1:80", "[::1]:80", ":81", "localhost:0", "localhost:0"]', True),
    ("server", 'bind = ["127.0.0.1"]', False),
    ("server", 'bind = ["127.0.0.1:65536"]', False),
    ("server", 'bind = "127.0.0.1:80"', False),
    ("server", 'uds = "gateway.sock"', True),
    ("server", 'uds = ""', False),
    ("server", 'uds_mode = "0600"', True),
    ("server", 'uds_mode = "600"', True),
    ("server", "uds_mode = 600", False),
    ("server", 'uds_mode = "0800"', False),
    ("server", 'uds_mode = "1777"', False),
    (
        "server",
        'redirects = [{ path = "/a", to = "/b" }, { path = "/b", to = "https://a.b:1/c?d" }]',
        True,
    ),
    (
        "server",
        'redirects = [{ path = "/a", to = "http://[::1]", status = 302, match = "exact" }]',
        True,
    ),
    ("server", 'redirects = [{ to = "/b" }]', True),
    ("server", 'redirects = [{ path = "/a" }]', False),
    ("server", 'redirects = [{ path = "/a", to = "" }]', False),
    ("server", 'redirects = [{ path = "/a", to = "//b" }]', False),
    ("server", 'redirects = [{ path = "/a", to = "b" }]', False),
    ("server", 'redirects = [{ path = "/a", to = "/b#c" }]', False),
    ("server", 'redirects = [{ path = "/a", to = "ftp://b" }]', False),
    ("server", 'redirects = [{ path = "/a", to = "/b", status = 300 }]', False),
    ("server", 'redirects = [{ path = "/a", to = "/b", strip_prefix = true }]', False),
    ("server", 'rpc_cors_origins = ["https://a.example", "http://localhost:3000", "*"]', True),
    ("server", 'rpc_cors_origins = ["https://a.example/"]', False),
    ("server", 'rpc_cors_origins = ["a.example"]', False),
    ("server", 'rpc_cors_origins = ["null"]', False),
    ("server", 'rpc_cors_headers = ["Authorization", "*"]', True),
    ("server", 'rpc_cors_headers = ["a b"]', False),
    ("server", 'not_found_page = "page.html"', True),
    ("server", 'unavailable_page = "page.txt"', True),
    ("server", 'trusted_proxies = ["10.0.0.0/8", "::1", "fd00::/8", "unix"]', True),
    ("server", 'trusted_proxies = ["proxy.example.com"]', False),
    ("server", 'trusted_proxies = "10.0.0.0/8"', False),
    ("server", 'forwarded_header = "x-forwarded"', True),
    ("server", 'forwarded_header = "X-Forwarded"', False),
    ("server", 'max_header_bytes = "16KiB"', True),
    ("server", "max_header_bytes = 1023", False),
    ("server", 'max_header_bytes = "16K"', False),
    ("server", 'http = "h2"', False),
    ("server", 'header_timeout = "0s"', False),
    ("server", "header_timeout = 0.5", True),
    ("server", "header_timeout = true", False),
    ("server", "max_connections = 0", False),
    ("server", 'log_level = "loud"', False),
    ("server", "access_log = 1", False),
    ("server", 'cache_dir = "c"', True),
    ("server", 'cache = true\ncache_dir = "c"', True),
    ("server", 'cache = false\ncache_dir = "c"', False),
    ("server", 'compile_max_memory = "1GiB"', True),
    ("server", "compile_max_memory = 1", False),
    ("server", 'rpc_prefix = "/api/rpc/"', True),
    ("server", 'rpc_prefix = "/"', False),
    ("server", 'rpc_prefix = "rpc"', False),
    ("server", 'admin_addr = "127.0.0.1:9090"', True),
    ("server", 'admin_addr = ":9090"', True),
    ("server", 'admin_addr = "[::1]:65535"', True),
    ("server", 'admin_addr = "::1:9090"', True),
    ("server", 'admin_addr = "localhost"', False),
    ("server", 'admin_addr = "localhost:65536"', False),
    ("server", "admin_addr = 9090", False),
    ("server", 'drain_grace = "0s"', True),
    ("server", "drain_grace = 0", True),
    ("server", 'drain_grace = "0m"', False),
    ("server", "drain_grace = -1", False),
    ("admin", ADMIN, True),
    ("admin", ADMIN + 'jwks_file = "secret"', False),
    ("admin", 'issuer = "i"\naudience = "a"', False),
    ("admin", ADMIN.replace('"i"', '""'), False),
    ("admin", ADMIN + 'algorithms = ["HS256"]', True),
    ("admin", ADMIN + "algorithms = []", False),
    ("admin", ADMIN + 'algorithms = ["none"]', False),
    ("admin", ADMIN + 'leeway = "0s"', True),
    ("admin", ADMIN + "leeway = 301", False),
    ("defaults", 'max_memory = "64MiB"', True),
    ("defaults", 'claims = "report"', True),
    ("defaults", 'claims = "ignore"', False),
    ("defaults", 'environment = { A = "b" }', False),
    ("component", 'name = "a b"', False),
    ("component", 'max_body = "unlimited"', True),
    ("component", 'max_body = "none"', False),
    ("component", 'sha256 = "12"', False),
    ("component", f'sha256 = "SHA256:{"aB" * 32}"', True),
    ("component", "routes = []", True),
    ("component", 'routes = [{ host = "*.example.com", path = "/a", match = "exact" }]', True),
    ("component", 'routes = [{ host = "*" }]', False),
    ("component", 'routes = [{ path = "a" }]', False),
    ("component", 'routes = [{ prefix = "/a" }]', False),
    ("component", 'mounts = [{ host = "data", guest = "/data" }]', True),
    ("component", 'mounts = [{ host = "data" }]', False),
    ("component", 'mounts = [{ host = "data", guest = "data" }]', False),
    ("component", 'environment = { "A=B" = "c" }', False),
    ("component", "environment = { A = 1 }", False),
    ("component", 'config_file = "values.toml"\nconfig = { a = "b" }', True),
    ("component", 'config_file = ""', False),
    ("component", 'config = { "" = "b" }', False),
    ("component", "config = { a = 1 }", False),
    ("component", 'config_env_prefix = ""', False),
    ("component", 'allowed_outbound_hosts = ["https://a.example"]', True),
    ("component", 'allowed_outbound_hosts = ["a.example"]', False),
    ("component", 'trusted_issuers = ["me"]', False),
]


@pytest.mark.parametrize(("table", "lines", "taken"), LINES, ids=[lines for _, lines, _ in LINES])
def test_it_takes_what_the_gateway_takes(file: Path, table: str, lines: str, taken: bool) -> None:
    if table == "component":
        text = lines if lines.startswith("name") else f'name = "a"\n{lines}'
        text = f'[[components]]\nsource = "a.wasm"\n{text}'
    elif table == "admin":
        text = f'[server]\nadmin_addr = ":0"\n[admin]\n{lines}\n{ONE}'
    else:
        text = f"[{table}]\n{lines}\n{ONE}"
    assert (schema_takes(text), gateway_takes(file, text)) == (taken, taken)


@pytest.mark.parametrize("components", ["", "components = []\n"])
def test_files_without_components_are_taken_where_the_admin_api_may_put_them(
    file: Path, components: str
) -> None:
    text = f'{components}[server]\nadmin_addr = "127.0.0.1:0"\n[admin]\n{ADMIN}'
    assert (schema_takes(text), gateway_takes(file, text)) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "components = []",
        "[component]\n" + ONE,
        '[[components]]\nname = "a"',
        '[[components]]\nsource = "a.wasm"',
        f"[admin]\n{ADMIN}{ONE}",
        f"[server]\n[admin]\n{ADMIN}{ONE}",
        f"server = 1\n{ONE}",
    ],
)
def test_files_that_neither_takes(file: Path, text: str) -> None:
    assert (schema_takes(text), gateway_takes(file, text)) == (False, False)


def agree(kind: Any, value: object) -> None:
    """Schema and parser take the same, but that no pattern tells how large a number is."""
    adapter = TypeAdapter(kind)
    taken = jsonschema.Draft7Validator(adapter.json_schema()).is_valid(value)
    told = ""
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        told = str(error)
    unsaid = ("is longer than", "is more than", "is not a whole number")
    assert taken == (not told) or (taken and any(words in told for words in unsaid)), value


DURATIONS = st.one_of(
    st.text("0123.dhms ", max_size=8),
    st.from_regex(r"\A( ?[0-2](\.[01])?(ms|[dhms]))+ ?\Z"),
    st.sampled_from(["0s", "0.0s", "0", "00", "0ms", " 1s ", "1m ms", "1ms"]),
    st.floats(allow_nan=False),
    st.integers(),
    st.booleans(),
)


@given(value=DURATIONS)
def test_durations(value: object) -> None:
    agree(Duration, value)


@given(value=DURATIONS)
def test_durations_that_may_be_nothing(value: object) -> None:
    agree(Delay, value)


@given(
    value=st.one_of(
        st.text("01.kKmMiIbB ", max_size=8),
        st.from_regex(r"\A[0-2](\.[05])? ?[kKmMgGtT]?[iI]?[bB]?\Z"),
        st.integers(),
        st.booleans(),
    )
)
def test_sizes(value: object) -> None:
    agree(ByteSize, value)


@pytest.mark.parametrize("url", ["https://a.example", None])
@pytest.mark.parametrize(
    "component",
    [{}, *({"component": it} for it in ("b", None, [], ["b"], ["b", "c"], ["b", "b"], [1]))],
)
def test_links(url: str | None, component: dict[str, Any]) -> None:
    agree(LinkConfig, {"import": "a:a/a", "url": url} | component)


@pytest.mark.parametrize(
    "more", [{}, {"url": "http://a"}, {"import": "a:a/a"}, {"errors": "result"}, {"name": "b"}]
)
@pytest.mark.parametrize("host", ["pricing.internal", "a:80", "*.a", None])
def test_linked_hosts(host: str | None, more: dict[str, str]) -> None:
    agree(LinkConfig, {"host": host, "component": "b"} | more)
    agree(LinkConfig, {"host": host} | more)


def test_nothing_is_said_in_python() -> None:
    assert not re.search(r"\bNone\b", json.dumps(SCHEMA))
