"""The examples of the JSON-RPC 2.0 specification, section 7, each sent and compared as it stands there."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.harness import GuestPath
from tests.rpc.endpoint import Endpoint

WIT_NAMES: Final = {
    "get_data": "get-data",
    "notify_hello": "notify-hello",
    "notify_sum": "notify-sum",
}
"""The one change to the texts: WIT joins the words of a name with hyphens, so no component has these."""

POSITIONAL = [
    (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
        '{"jsonrpc": "2.0", "result": 19, "id": 1}',
    ),
    (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
        '{"jsonrpc": "2.0", "result": -19, "id": 2}',
    ),
]

NAMED = [
    (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
        '{"jsonrpc": "2.0", "result": 19, "id": 3}',
    ),
    (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
        '{"jsonrpc": "2.0", "result": 19, "id": 4}',
    ),
]

NOTIFICATIONS = [
    ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    ('{"jsonrpc": "2.0", "method": "foobar"}', None),
]

NON_EXISTENT_METHOD = [
    (
        '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
        '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}',
    ),
]

INVALID_JSON = [
    (
        '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
    ),
]

INVALID_REQUEST_OBJECT = [
    (
        '{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}',
    ),
]

BATCH_OF_INVALID_JSON = [
    (
        """[
  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
  {"jsonrpc": "2.0", "method"
]""",
        '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
    ),
]

EMPTY_ARRAY = [
    (
        "[]",
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}',
    ),
]

INVALID_BATCH_BUT_NOT_EMPTY = [
    (
        "[1]",
        """[
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}
]""",
    ),
]

INVALID_BATCH = [
    (
        "[1,2,3]",
        """[
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}
]""",
    ),
]

BATCH = [
    (
        """[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]""",
        """[
        {"jsonrpc": "2.0", "result": 7, "id": "1"},
        {"jsonrpc": "2.0", "result": 19, "id": "2"},
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
        {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
    ]""",
    ),
]

BATCH_OF_NOTIFICATIONS = [
    (
        """[
        {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    ]""",
        None,
    ),
]


@pytest.fixture(scope="module")
def endpoint(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with Endpoint(guest("wat/specification"), tmp_path_factory.mktemp("rpc")) as running:
        yield running


def in_wit_names(text: str) -> str:
    for name, wit_name in WIT_NAMES.items():
        text = text.replace(f'"{name}"', f'"{wit_name}"')
    return text


def without_data(response: Any) -> Any:
    """A response as the examples show it: they leave out what more the server says of an error."""
    if isinstance(response, list):
        return [without_data(each) for each in response]
    if "error" in response:
        assert response["error"].pop("data")["request_id"]
    return response


def canonical(value: Any) -> str:
    """A text that only the same JSON has; 1, 1.0 and true would be equal."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize(
    ("request_text", "response_text"),
    [
        *POSITIONAL,
        *NAMED,
        *NOTIFICATIONS,
        *NON_EXISTENT_METHOD,
        *INVALID_JSON,
        *INVALID_REQUEST_OBJECT,
        *BATCH_OF_INVALID_JSON,
        *EMPTY_ARRAY,
        *INVALID_BATCH_BUT_NOT_EMPTY,
        *INVALID_BATCH,
        *BATCH,
        *BATCH_OF_NOTIFICATIONS,
    ],
)
def test_the_example(endpoint: Endpoint, request_text: str, response_text: str | None) -> None:
    response = endpoint.post(in_wit_names(request_text).encode())
    if response_text is None:
        assert (response.status, response.body) == (204, b"")
    else:
        assert response.status == 200
        assert response["content-type"] == "application/json"
        assert canonical(without_data(response.json)) == canonical(json.loads(response_text))


@pytest.mark.parametrize(
    "literal",
    [b"null", b"0", b"-7", b"1.0", b"1.5", b"123456789012345678901234567890", b'""', rb'"\u00e9"'],
)
def test_an_id_is_sent_back_to_the_letter(endpoint: Endpoint, literal: bytes) -> None:
    request = b'{"jsonrpc":"2.0","method":"subtract","params":[42,23],"id":' + literal + b"}"
    answer = b'{"jsonrpc":"2.0","result":19,"id":' + literal + b"}"
    assert endpoint.post(request).body == answer
    assert endpoint.post(b"[" + request + b"]").body == b"[" + answer + b"]"


def test_the_notifications_of_the_examples_are_calls(endpoint: Endpoint) -> None:
    # With an id each is answered with its result, so the silence above is not for want of a method.
    for method, params in (("update", [1, 2, 3, 4, 5]), ("notify_hello", [7])):
        response = endpoint.call(WIT_NAMES.get(method, method), params)
        assert response == {"jsonrpc": "2.0", "result": None, "id": 0}
