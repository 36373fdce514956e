"""JSON-RPC 2.0 messages: requests, batches, ids, errors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.json.text import dump
from gateway.rpc.message import (
    BUSY,
    DEADLINE,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RETURNED_ERR,
    TRAP,
    Batch,
    Error,
    Invalid,
    Request,
    error_response,
    read,
    result_response,
)

LEGAL_IDS = [b"1", b"-1", b"0", b"1.0", b"1.5", b"1e+22", b"null", b'""', b'"a"', b'"1"']
LEGAL_IDS += [rb'"\u00e9\ud800"', b"123456789012345678901234567890", b"9" * 4300]
ILLEGAL_IDS = [b"true", b"false", b"[]", b"[1]", b"{}", b'{"a":1}']


def request(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": "f", "id": 7} | members).encode()


def without(name: str, **members: Any) -> bytes:
    whole = json.loads(request(**members))
    del whole[name]
    return json.dumps(whole).encode()


def refused(body: bytes) -> Invalid:
    found = read(body, max_batch=10)
    assert isinstance(found, Invalid)
    return found


def test_a_request() -> None:
    assert read(request(), max_batch=1) == Request("f", [], 7)
    assert read(request(params=[1]), max_batch=1) == Request("f", [1], 7)
    assert read(request(params={"a": 1}), max_batch=1) == Request("f", {"a": 1}, 7)


def test_a_request_without_id_is_a_notification_and_one_with_null_is_not() -> None:
    assert read(without("id"), max_batch=1) == Request("f", [], None, is_notification=True)
    assert read(request(id=None), max_batch=1) == Request("f", [], None, is_notification=False)


def test_further_members_are_ignored() -> None:
    assert read(request(auth="x", result=1, error=None), max_batch=1) == Request("f", [], 7)


@pytest.mark.parametrize("literal", LEGAL_IDS)
def test_a_legal_id_is_sent_back_to_the_letter(literal: bytes) -> None:
    found = read(b'{"jsonrpc":"2.0","method":"f","id":' + literal + b"}", max_batch=1)
    assert isinstance(found, Request)
    assert dump(result_response(found.id, 0)) == (
        b'{"jsonrpc":"2.0","result":0,"id":' + literal + b"}"
    )


@pytest.mark.parametrize("literal", LEGAL_IDS)
def test_a_legal_id_is_sent_back_from_a_request_that_is_otherwise_not_valid(
    literal: bytes,
) -> None:
    found = refused(b'{"jsonrpc":"1.0","method":1,"params":1,"id":' + literal + b"}")
    assert dump(found.id) == literal


@pytest.mark.parametrize("literal", ILLEGAL_IDS)
def test_an_illegal_id_is_refused_and_not_sent_back(literal: bytes) -> None:
    assert refused(b'{"jsonrpc":"2.0","method":"f","id":' + literal + b"}") == Invalid(
        Error.of(INVALID_REQUEST, detail='"id" must be a string, a number or null'), None
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (without("jsonrpc"), '"jsonrpc" must be there, and the string "2.0"'),
        (request(jsonrpc="1.0"), '"jsonrpc" must be there, and the string "2.0"'),
        (request(jsonrpc=2.0), '"jsonrpc" must be there, and the string "2.0"'),
        (without("method"), '"method" must be there, and a string'),
        (request(method=None), '"method" must be there, and a string'),
        (request(method=["f"]), '"method" must be there, and a string'),
        (request(params=None), '"params" must be an array or an object, or left out'),
        (request(params="a"), '"params" must be an array or an object, or left out'),
        (request(params=0), '"params" must be an array or an object, or left out'),
    ],
)
def test_what_a_request_must_have(body: bytes, detail: str) -> None:
    assert refused(body) == Invalid(Error.of(INVALID_REQUEST, detail=detail), 7)


@pytest.mark.parametrize("body", [b"1", b'"f"', b"null", b"true"])
def test_a_body_that_is_neither_object_nor_array(body: bytes) -> None:
    assert refused(body) == Invalid(Error.of(INVALID_REQUEST, detail="a request is an object"))


def test_a_notification_that_is_not_valid_is_answered() -> None:
    assert refused(without("id", params=1)).id is None


def test_a_body_that_is_not_json() -> None:
    assert refused(b'{"jsonrpc":') == Invalid(
        Error.of(PARSE_ERROR, detail="line 1, column 12: expecting value")
    )


def test_a_batch_keeps_its_order_and_refuses_entries_one_by_one() -> None:
    entries = [request(id="a"), b"1", without("id"), request(id=2, params=1), b"[]", request()]
    assert read(b"[" + b",".join(entries) + b"]", max_batch=6) == Batch(
        (
            Request("f", [], "a"),
            Invalid(Error.of(INVALID_REQUEST, detail="a request is an object")),
            Request("f", [], None, is_notification=True),
            Invalid(
                Error.of(
                    INVALID_REQUEST,
                    detail='"params" must be an array or an object, or left out',
                ),
                2,
            ),
            Invalid(Error.of(INVALID_REQUEST, detail="a request is an object")),
            Request("f", [], 7),
        )
    )


def test_a_batch_of_one_is_a_batch() -> None:
    assert read(b"[" + request() + b"]", max_batch=1) == Batch((Request("f", [], 7),))


def test_an_empty_batch_is_refused_as_a_whole() -> None:
    assert refused(b"[]") == Invalid(
        Error.of(INVALID_REQUEST, detail="a batch has at least one request")
    )


def test_a_batch_over_the_limit_is_refused_as_a_whole() -> None:
    three = b"[" + b",".join([request()] * 3) + b"]"
    assert isinstance(read(three, max_batch=3), Batch)
    assert read(three, max_batch=2) == Invalid(
        Error.of(INVALID_REQUEST, detail="a batch has at most 2 requests here, and this one 3")
    )


@given(st.binary())
def test_any_body_can_be_answered(body: bytes) -> None:
    found = read(body, max_batch=10)
    if isinstance(found, Invalid):
        dump(error_response(found.id, found.error))


@pytest.mark.parametrize(
    ("code", "number", "message"),
    [
        (PARSE_ERROR, -32700, "Parse error"),
        (INVALID_REQUEST, -32600, "Invalid Request"),
        (METHOD_NOT_FOUND, -32601, "Method not found"),
        (INVALID_PARAMS, -32602, "Invalid params"),
        (INTERNAL_ERROR, -32603, "Internal error"),
    ],
)
def test_the_errors_of_the_specification(code: int, number: int, message: str) -> None:
    assert error_response("a", Error.of(code, request_id="r")) == {
        "jsonrpc": "2.0",
        "error": {"code": number, "message": message, "data": {"request_id": "r"}},
        "id": "a",
    }


def test_the_errors_of_a_server_are_in_the_range_that_the_specification_leaves_to_it() -> None:
    codes = {TRAP, DEADLINE, BUSY}
    assert len(codes) == 3
    assert all(-32099 <= code <= -32000 for code in codes)
    assert all(Error.of(code).message for code in codes)


@pytest.mark.parametrize("err", [None, 1, "a", {"request_id": 1}, []])
def test_what_a_function_returned_as_err_is_the_data_and_stays_it(err: Any) -> None:
    returned = Error.returned(err)
    assert returned.code == RETURNED_ERR == 1
    assert returned.with_details(request_id="r").data == err


def test_details_are_added() -> None:
    error = Error.of(INVALID_PARAMS, pointer="/params/0")
    assert error.with_details(request_id="r").data == {"pointer": "/params/0", "request_id": "r"}
    assert error.data == {"pointer": "/params/0"}
