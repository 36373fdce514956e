"""What is not served is refused in words, tells nothing of the inside, and leaves the next request alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import gateway
from gateway.json.text import MAX_DEPTH
from tests.harness import GuestPath
from tests.routes.wire import Client, Response
from tests.rpc.endpoint import JSON, Endpoint

MAX_BODY: Final = 64 << 10
MAX_BATCH: Final = 5

CALL: Final = b'{"jsonrpc":"2.0","method":"add","params":[40,2],"id":1}'
ANSWER: Final = {"jsonrpc": "2.0", "result": 42, "id": 1}

INTERIOR: Final = re.compile(
    rf"{re.escape(str(Path(gateway.__file__).parent))}|\.py\b|\.wasm|site-packages|Traceback|File \""
    r"|gateway\.|wasmtime|0x[0-9a-f]{4}"
)
"""What only the inside knows: sources, paths, addresses."""


@pytest.fixture(scope="module")
def endpoint(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("rpc")
    server = f'rpc_max_body = "{MAX_BODY >> 10}KiB"\nrpc_max_batch = {MAX_BATCH}'
    limits = 'max_execution_time = "2s"\nmax_memory = "16MiB"'
    with Endpoint(guest("c/rpc"), folder, server=server, limits=limits) as running:
        yield running
        assert running.output == []


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[Client]:
    """A connection, over which a request is served after whatever the test has done."""
    with endpoint.connect() as connection:
        yield connection
        response = connection.post(endpoint.path, CALL, JSON)
        assert (response.status, response.json) == (200, ANSWER)


def assert_problem(response: Response, status: int, kind: str) -> None:
    """It is a problem document, RFC 9457, of this kind."""
    assert response.status == status
    assert response["content-type"] == "application/problem+json"
    problem = response.json
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    assert problem["type"] == f"urn:component-gateway:problem:{kind}"
    assert problem["status"] == status
    assert problem["request_id"] == response["x-request-id"]
    assert not INTERIOR.search(response.body.decode())


def assert_error(response: Response, code: int, message: str) -> Any:
    """It is one error of JSON-RPC, without an id; returns its data."""
    assert response.status == 200
    assert response["content-type"] == "application/json"
    error = response.json["error"]
    assert response.json == {"jsonrpc": "2.0", "error": error, "id": None}
    assert set(error) == {"code", "message", "data"}
    assert (error["code"], error["message"]) == (code, message)
    assert error["data"]["request_id"] == response["x-request-id"]
    assert not INTERIOR.search(response.body.decode())
    return error["data"]


def padded(size: int) -> bytes:
    return CALL + b" " * (size - len(CALL))


# --- the body ------------------------------------------------------------------------------------------


def test_a_body_at_the_limit_is_served(endpoint: Endpoint, client: Client) -> None:
    assert client.post(endpoint.path, padded(MAX_BODY), JSON).json == ANSWER


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(endpoint: Endpoint) -> None:
    with endpoint.connect() as client:
        client.request(endpoint.path, JSON, f"Content-Length: {MAX_BODY + 1}", method="POST")
        assert_problem(client.response(), 413, "content-too-large")
    assert endpoint.post(CALL).json == ANSWER


def test_a_body_over_the_limit_is_refused(endpoint: Endpoint) -> None:
    with endpoint.connect() as client:
        response = client.post(endpoint.path, padded(MAX_BODY + 1), JSON)
        assert_problem(response, 413, "content-too-large")
    assert endpoint.post(CALL).json == ANSWER


def test_a_body_of_no_announced_length_is_refused_once_it_is_over_the_limit(
    endpoint: Endpoint,
) -> None:
    with endpoint.connect() as client:
        client.request(endpoint.path, JSON, "Transfer-Encoding: chunked", method="POST")
        client.send_chunk(padded(MAX_BODY))
        client.send_chunk(b" ")
        assert_problem(client.response(), 413, "content-too-large")
    assert endpoint.post(CALL).json == ANSWER


def test_a_body_in_chunks_is_served(endpoint: Endpoint, client: Client) -> None:
    client.request(endpoint.path, JSON, "Transfer-Encoding: chunked", method="POST")
    for piece in (CALL[:10], CALL[10:], b""):
        client.send_chunk(piece)
    assert client.response().json == ANSWER


# --- the head ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Content-Type: text/plain",),
        ("Content-Type: application/x-www-form-urlencoded",),
        ("Content-Type: multipart/form-data; boundary=x",),
        ("Content-Type: application/jsonx",),
        ("Content-Type: application/json; charset=iso-8859-1",),
        ("Content-Type:",),
        (JSON, JSON),
        (JSON, "Content-Encoding: gzip"),
    ],
    ids=repr,
)
def test_a_body_that_is_not_said_to_be_json_is_refused(
    endpoint: Endpoint, client: Client, headers: tuple[str, ...]
) -> None:
    response = client.post(endpoint.path, CALL, *headers)
    assert_problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json-rpc",
    ],
)
def test_the_ways_to_say_that_a_body_is_json(
    endpoint: Endpoint, client: Client, content_type: str
) -> None:
    assert client.post(endpoint.path, CALL, f"Content-Type: {content_type}").json == ANSWER


@pytest.mark.parametrize(
    ("path", "methods", "allow"),
    [
        (Endpoint.path, ("PUT", "DELETE", "PATCH", "OPTIONS"), "GET, HEAD, POST"),
        ("/rpc", ("POST", "PUT", "DELETE"), "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed(
    endpoint: Endpoint, client: Client, path: str, methods: tuple[str, ...], allow: str
) -> None:
    for method in methods:
        client.request(path, JSON, method=method, body=CALL)
        response = client.response(method)
        assert_problem(response, 405, "method-not-allowed")
        assert response["allow"] == allow


@pytest.mark.parametrize("path", ["/rpc/other", "/rpc/guest/more", "/rpc/GUEST", "/rpcguest", "/"])
def test_a_component_that_is_not_there(endpoint: Endpoint, client: Client, path: str) -> None:
    assert_problem(client.post(path, CALL, JSON), 404, "no-route")
    assert_problem(client.get(path), 404, "no-route")


@pytest.mark.parametrize("path", [Endpoint.path, "/rpc", "/rpc/other"])
def test_head_has_the_fields_of_get_and_no_content(
    endpoint: Endpoint, client: Client, path: str
) -> None:
    whole = client.get(path, "X-Request-ID: the-same")
    client.request(path, "X-Request-ID: the-same", method="HEAD")
    head = client.response("HEAD")
    assert whole.body
    assert head.status == whole.status
    assert without_date(head) == without_date(whole)


def without_date(response: Response) -> list[tuple[str, str]]:
    return [(name, value) for name, value in response.headers if name != "date"]


# --- the text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "line 1, column 1: expecting value"),
        (CALL[:-1], "line 1, column 55: expecting ',' delimiter"),
        (CALL.replace(b"add", b"\xff"), "byte 27: the text is not UTF-8"),
        (CALL.decode().encode("utf-16"), "byte 0: the text is not UTF-8"),
        (
            CALL.decode().encode("utf-8-sig"),
            "the text begins with a byte order mark: send it without",
        ),
        (
            CALL.replace(b"[40,2]", b"[" * MAX_DEPTH + b"]" * MAX_DEPTH),
            f"objects and arrays are nested in more than {MAX_DEPTH} levels",
        ),
        (b"[" * MAX_BODY, f"objects and arrays are nested in more than {MAX_DEPTH} levels"),
        (
            b'{"":' * (MAX_BODY // 4),
            f"objects and arrays are nested in more than {MAX_DEPTH} levels",
        ),
        (
            CALL.replace(b"}", b',"method":"divide"}'),
            'the name "method" occurs twice in one object',
        ),
        (CALL.replace(b"40", b"9" * 5000), "a number has too many digits"),
        (CALL.replace(b"40", b"1e999"), "the number 1e999 is beyond the range of a double"),
        (CALL.replace(b"40", b"NaN"), 'NaN is not JSON: write it as a string, "NaN"'),
    ],
    ids=[
        "empty",
        "cut",
        "not UTF-8",
        "UTF-16",
        "byte order mark",
        "deep params",
        "deep array",
        "deep object",
        "a name twice",
        "digits",
        "range",
        "NaN",
    ],
)
def test_a_text_that_is_not_json(
    endpoint: Endpoint, client: Client, body: bytes, detail: str
) -> None:
    data = assert_error(client.post(endpoint.path, body, JSON), -32700, "Parse error")
    assert data["detail"] == detail


def test_params_as_deep_as_they_may_be_are_judged_by_their_type(endpoint: Endpoint) -> None:
    params: Any = []
    for _ in range(MAX_DEPTH - 2):
        params = [params]
    error = endpoint.call("types.echo-outline", params)["error"]
    assert error["code"] == -32602
    assert error["data"]["pointer"].startswith("/params/0")


def test_a_batch_is_served_up_to_the_limit_and_refused_as_a_whole_beyond(
    endpoint: Endpoint, client: Client
) -> None:
    most = b"[" + b",".join([CALL] * MAX_BATCH) + b"]"
    assert client.post(endpoint.path, most, JSON).json == [ANSWER] * MAX_BATCH
    over = b"[" + b",".join([CALL] * (MAX_BATCH + 1)) + b"]"
    data = assert_error(client.post(endpoint.path, over, JSON), -32600, "Invalid Request")
    assert data["detail"] == (
        f"a batch has at most {MAX_BATCH} requests here, and this one {MAX_BATCH + 1}"
    )
    huge = b"[" + b"1," * (MAX_BODY // 2 - 2) + b"1]"
    assert_error(client.post(endpoint.path, huge, JSON), -32600, "Invalid Request")


# --- the call ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("outcomes.trap", [], {"code": -32000, "message": "The component failed"}),
        ("outcomes.exit", [{"err": None}], {"code": -32000, "message": "The component failed"}),
        ("outcomes.spin", [], {"code": -32001, "message": "The component took too long"}),
    ],
)
def test_a_call_that_fails_tells_its_client_no_more_than_that(
    endpoint: Endpoint, client: Client, method: str, params: Any, error: dict[str, Any]
) -> None:
    call = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
    response = client.post(endpoint.path, json.dumps(call).encode(), JSON)
    error = error | {"data": {"request_id": response["x-request-id"]}}
    assert (response.status, response.json) == (200, {"jsonrpc": "2.0", "error": error, "id": 1})


def test_a_call_that_takes_all_memory_fails_alone(endpoint: Endpoint, client: Client) -> None:
    assert endpoint.call("outcomes.allocate")["error"]["code"] == -32000
