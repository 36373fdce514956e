"""Random bytes and random JSON: each body is answered, by JSON-RPC and never as if the gateway had failed."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness import GuestPath
from tests.routes.wire import Client
from tests.rpc.endpoint import JSON, Endpoint

EXAMPLES: Final = 400
"""Bodies of each kind. Arbitrary: a few seconds' worth."""

GROWTH: Final = 8 << 20
"""Bytes that memory may grow by, for allocators are no accountants."""

CODES: Final = frozenset((-32700, -32600, -32601, -32602, -32000, 1))
"""What a body can be answered with: all errors but those of a gateway that failed, or of time or room."""

texts = st.text(st.characters(codec=None)) | st.sampled_from(
    ["", "red", "circle", "NaN", "-Infinity", "AA==", "1" * 30, "\0", "\ud800"]
)
numbers = st.one_of(
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -1, 255, 256, 2**31, 2**53, 2**63, 2**64, -0.0, 1.0, 1e308]),
)
names = texts | st.sampled_from(["value", "a", "b", "x", "y", "ok", "err", "some", "circle"])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)

words = st.text(st.characters(codec="utf-8"))
points = st.fixed_dictionaries({"x": st.integers(0, 9), "y": st.integers(0, 9)})
lines = st.fixed_dictionaries(
    {"start": points, "end": points, "label": st.none() | words, "width": st.just(1.5)}
)
VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "add": st.integers(0, 2**32 - 1),
    "divide": st.integers(-2, 2),
    "count": st.nothing(),
    "swallow": words,
    "types.echo-u8": st.integers(0, 255),
    "types.echo-s64": st.integers(-(2**63), 2**63 - 1) | st.integers().map(str),
    "types.echo-f64": numbers | st.sampled_from(["NaN", "Infinity", "-Infinity"]),
    "types.echo-char": st.characters(codec="utf-8"),
    "types.echo-color": st.sampled_from(["red", "dark-red"]),
    "types.echo-bits": st.lists(st.sampled_from(["b0", "b7", "b31"]), unique=True),
    "types.echo-bytes": st.binary().map(lambda data: b64encode(data).decode()),
    "types.echo-outline": st.lists(st.none() | lines),
    "types.echo-shape": st.fixed_dictionaries({"label": words})
    | st.fixed_dictionaries({"path": st.lists(points)}),
    "types.echo-option-option": st.none() | st.fixed_dictionaries({"some": st.integers(0, 9)}),
    "outcomes.settle": st.fixed_dictionaries({"ok": words}) | st.just({"err": {"not-found": None}}),
    "outcomes.trap": st.nothing(),
    "outcomes.exit": st.sampled_from([{"ok": None}, {"err": None}]),
    "outcomes.print": words,
    "rpc.discover": st.nothing(),
    "no-such-method": json_values,
}
"""Methods, and what their parameters are made of."""

NUMBER_OF_PARAMETERS: Final = {"add": 2, "divide": 2, "outcomes.print": 2}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A call of a method; of four, about three have an id and right parameters."""
    method = draw(st.sampled_from(sorted(VALUES)))
    values = VALUES[method]
    number = 0 if values.is_empty else NUMBER_OF_PARAMETERS.get(method, 1)
    right = st.lists(values, min_size=number, max_size=number)
    wrong = st.lists(json_values, max_size=3) | st.dictionaries(names, json_values, max_size=3)
    params = draw(right if draw(st.integers(0, 3)) else wrong)
    request: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if draw(st.integers(0, 3)):
        request["id"] = draw(st.none() | numbers | texts)
    return request


messages = st.one_of(
    st.lists(requests() | json_values, max_size=5),
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("jsonrpc", "method", "params", "id"), json_values)
    ),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The text of a request with something in it replaced by bytes."""
    text = bytearray(json.dumps(draw(requests())).encode())
    start = draw(st.integers(0, len(text)))
    text[start : start + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(text)


BODIES: Final = {
    "bytes": st.binary(max_size=200),
    "text": st.text('[]{}",:\\ue0123456789.-tfn \n').map(str.encode),
    "JSON": json_values.map(json.dumps).map(str.encode),
    "requests": requests().map(json.dumps).map(str.encode),
    "damaged requests": damaged(),
    "messages": messages.map(json.dumps).map(str.encode),
}


@pytest.fixture(scope="module")
def endpoint(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with Endpoint(guest("c/rpc"), tmp_path_factory.mktemp("rpc")) as running:
        yield running


def check(body: bytes, client: Client) -> None:
    """Sends a body, and judges the answer."""
    response = client.post(Endpoint.path, body, JSON)
    if response.status == 204:
        assert response.body == b""
        return
    assert response.status == 200
    answers = response.json if isinstance(response.json, list) else [response.json]
    assert answers
    for answer in answers:
        assert answer["jsonrpc"] == "2.0"
        if "error" in answer:
            assert set(answer) == {"jsonrpc", "error", "id"}
            assert answer["error"]["code"] in CODES
        else:
            assert set(answer) == {"jsonrpc", "result", "id"}


def bombard(endpoint: Endpoint, bodies: st.SearchStrategy[bytes]) -> None:
    """Sends many bodies over one connection that stays open."""
    with endpoint.connect() as client:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.nested_given],
        )
        @given(bodies)
        def each(body: bytes) -> None:
            check(body, client)

        each()


@pytest.mark.parametrize("kind", BODIES)
def test_every_body_is_answered(endpoint: Endpoint, kind: str) -> None:
    bombard(endpoint, BODIES[kind])
    assert endpoint.output == []
    assert [record for record in endpoint.logs if record["event"] == "gateway failed"] == []


def test_nothing_grows(endpoint: Endpoint) -> None:
    everything = st.one_of(*BODIES.values())
    bombard(endpoint, everything)
    before = endpoint.rss()
    for _ in range(3):
        bombard(endpoint, everything)
    assert endpoint.rss() - before < GROWTH
