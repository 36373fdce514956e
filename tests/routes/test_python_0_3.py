"""A guest of componentize-py for WASI 0.3: its functions called with JSON, and its handler."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest

from tests.harness import GuestPath
from tests.routes.site import ObservedSite
from tests.routes.wire import post
from tests.rpc.endpoint import JSON

GUEST = "python-0-3/concurrent"

CONFIG = """
[server]
port = 0
rpc_max_result = "1MiB"

[[components]]
name = "guest"
source = {source}
max_execution_time = "10m"

[[components]]
name = "hasty"
source = {source}
routes = [{{ host = "hasty.test" }}]
max_execution_time = "200ms"
"""

POINTS = [{"x": -at, "name": f"point {at}"} for at in range(3)]


@pytest.fixture(scope="module")
def gateway(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedSite]:
    """A gateway with the guest, once patient and once not."""
    path = tmp_path_factory.mktemp("concurrent") / "gateway.toml"
    path.write_text(CONFIG.format(source=json.dumps(str(guest(GUEST)))))
    with ObservedSite(path) as site:
        yield site


@pytest.fixture(autouse=True)
def _nothing_is_left(gateway: ObservedSite) -> Iterator[None]:
    with gateway.left_as_it_was():
        yield


def body(method: str, *params: Any) -> bytes:
    """A request of JSON-RPC."""
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 0}).encode()


def call(
    gateway: ObservedSite,
    method: str,
    *params: Any,
    component: str = "guest",
    headers: Sequence[str] = (),
) -> Any:
    """The response to a call."""
    response = post(gateway, f"/rpc/{component}", body(method, *params), JSON, *headers)
    assert response.status == 200, response.body
    return response.json


def base64(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("add-later", (40, 2), 42),
        ("api.greet", ("you",), "Hello, you!"),
        ("api.add", (40, 2), 42),
        ("api.sleep", (5,), None),
        ("api.many", (1, 0.5, None, "d", POINTS[:1]), "1 0.5 None d [(0, 'point 0')]"),
        ("api.digest", ("",), hashlib.sha256().hexdigest()),
        ("api.digest", ([1, 2],), hashlib.sha256(b"\1\2").hexdigest()),
        ("api.pass", (["a", "", "zwölf"],), ["a", "", "zwölf"]),
        ("api.points", (3,), POINTS),
        ("api.points", (0,), []),
        ("api.later", (5,), 5),
        ("api.settle", ("text",), "text"),
        ("api.settle", (None,), None),
        ("api.several", (["YWJj", "", "ZGU="],), [["Y2Jh", "", "ZWQ="], 5]),
        ("api.maybe", ("YWJj",), "YWJj"),
        ("api.nested", (3,), ["", "AA==", "AAE="]),
    ],
)
def test_calls(gateway: ObservedSite, method: str, params: tuple[Any, ...], result: Any) -> None:
    assert call(gateway, method, *params) == {"jsonrpc": "2.0", "result": result, "id": 0}


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("api.fail", ("why",), "why"),
        ("api.later", (0,), "nothing"),
        ("api.maybe", (None,), "no stream"),
    ],
)
def test_an_err_is_an_error(
    gateway: ObservedSite, method: str, params: tuple[Any, ...], error: str
) -> None:
    answer = call(gateway, method, *params)["error"]
    assert (answer["code"], answer["data"]) == (1, error)


def test_a_large_stream_passes_whole(gateway: ObservedSite) -> None:
    data = Random(3).randbytes(300_001)  # noqa: S311 - not for secrets
    assert call(gateway, "api.echo", base64(data))["result"] == base64(data)


def test_elements_are_refused_as_those_of_lists_are(gateway: ObservedSite) -> None:
    error = call(gateway, "api.pass", ["a", 1])["error"]
    assert (error["code"], error["data"]["pointer"]) == (-32602, "/params/0/1")


def test_a_stream_without_end_is_too_large(gateway: ObservedSite) -> None:
    assert call(gateway, "api.endless")["error"]["code"] == -32004


@pytest.mark.parametrize("method", ["api.traps", "api.stuck"])
def test_a_trap_is_told(gateway: ObservedSite, method: str, request_id: str) -> None:
    answer = call(gateway, method, headers=[f"X-Request-Id: {request_id}"])
    assert answer["error"]["code"] == -32000
    reason = "wasm `unreachable` instruction executed"
    assert reason in {it.get("reason") for it in gateway.story(request_id)}


def test_what_is_left_running_ends_first(gateway: ObservedSite, request_id: str) -> None:
    answer = call(gateway, "api.leaves", "YWJj", headers=[f"X-Request-Id: {request_id}"])
    assert answer["result"] == 7
    assert "after the response" in {it.get("line") for it in gateway.story(request_id)}


def test_the_deadline_ends_what_waits(gateway: ObservedSite) -> None:
    error = call(gateway, "api.sleep", 2**32 - 1, component="hasty")["error"]
    assert error["code"] == -32001


def test_a_client_that_leaves_ends_it(gateway: ObservedSite, request_id: str) -> None:
    with gateway.connect() as client:
        content = body("api.sleep", 2**32 - 1)
        head = (JSON, f"Content-Length: {len(content)}", f"X-Request-Id: {request_id}")
        client.request("/rpc/guest", *head, method="POST")
        client.send(content)
        gateway.wait_for(lambda state: state["stores"] == 1)
    assert gateway.ended(request_id)["outcome"] == "cancelled"


def test_a_batch_waits_at_once(gateway: ObservedSite) -> None:
    calls = b",".join([body("api.sleep", 20)] * 40)
    answers = post(gateway, "/rpc/guest", b"[%b]" % calls, JSON).json
    assert [it["result"] for it in answers] == [None] * 40


def test_the_document_has_streams_as_arrays(gateway: ObservedSite) -> None:
    document = gateway.get("/rpc/guest").json
    methods = {it.get("x-short-name"): it for it in document["methods"]}
    strings = {"type": "array", "items": {"type": "string"}}
    assert methods["api.pass"]["result"]["schema"] == strings
    assert methods["api.settle"]["params"][0]["schema"]["anyOf"][1] == {"type": "string"}
    assert methods["api.later"]["errors"][0]["data"] == {"type": "string"}


# --- its handler -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/sleep", "/gather", "/own"])
def test_answers(gateway: ObservedSite, target: str) -> None:
    response = gateway.get(target)
    assert (response.status, response.body) == (200, b"Hello, 0.3!\n")


def test_an_empty_response(gateway: ObservedSite) -> None:
    assert (gateway.get("/empty").status, gateway.get("/empty").body) == (204, b"")


@pytest.mark.parametrize("target", ["/echo", "/pass", "/body"])
def test_a_body_passes_through(gateway: ObservedSite, target: str) -> None:
    data = Random(4).randbytes(1_000_001)  # noqa: S311 - not for secrets
    assert gateway.post(target, data).body == data


def test_a_body_is_hashed_as_it_comes(gateway: ObservedSite) -> None:
    data = bytes(range(256)) * 2000
    assert gateway.post("/hash", data).body == hashlib.sha256(data).hexdigest().encode()


@pytest.mark.parametrize(
    ("target", "line"), [("/print", "a line of 0.3"), ("/later", "after the response")]
)
def test_what_it_prints_is_logged(
    gateway: ObservedSite, target: str, line: str, request_id: str
) -> None:
    assert gateway.get(target, f"X-Request-Id: {request_id}").status == 200
    assert line in {it.get("line") for it in gateway.story(request_id)}


def test_it_is_told_what_came_of_its_response(gateway: ObservedSite, request_id: str) -> None:
    assert gateway.get("/sent", f"X-Request-Id: {request_id}").body == b"sent\n"
    lines = [it.get("line", "") for it in gateway.story(request_id)]
    assert any(line.startswith("sent: Ok") for line in lines)


def test_an_error_code_has_its_status(gateway: ObservedSite) -> None:
    assert gateway.get("/raise").status == 500


def test_its_deadline(gateway: ObservedSite) -> None:
    assert gateway.get("/day", host="hasty.test").status == 504


@pytest.mark.parametrize("target", ["/day", "/endless"])
def test_a_client_that_leaves_ends_its_handler(
    gateway: ObservedSite, target: str, request_id: str
) -> None:
    with gateway.connect() as client:
        client.request(target, f"X-Request-Id: {request_id}")
        gateway.wait_for(lambda state: state["stores"] == 1)
    assert gateway.ended(request_id)["outcome"] == "cancelled"
