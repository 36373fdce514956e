"""What a call by a link tells of the calls that wait for it."""

from __future__ import annotations

import math

import pytest

from gateway.http.call_chain import fields, read

TIMEOUT = b"x-envoy-expected-rq-timeout-ms"


@pytest.mark.parametrize("depth", [1, 2, 32])
@pytest.mark.parametrize("remaining", [0.0, 0.001, 1.5, 3600.0, math.inf])
def test_what_is_told_is_read(depth: int, remaining: float) -> None:
    lines = {name: [value] for name, value in fields(depth, remaining)}
    assert read(lines) == (depth, remaining)


def test_nothing_is_told_of_a_call_by_no_link() -> None:
    assert read({}) == (0, math.inf)


@pytest.mark.parametrize(
    ("lines", "depth"),
    [
        ([b"cdn.example; version=2, component-gateway"], 1),
        ([b"component-gateway;a=b", b"other,component-gateway"], 2),
        ([b"component-gateways", b"", b",,"], 0),
    ],
)
def test_others_may_have_handed_it_on(lines: list[bytes], depth: int) -> None:
    assert read({b"cdn-loop": lines})[0] == depth


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"x", b"9" * 20, "²".encode()])
def test_a_time_that_is_none_is_not_told(value: bytes) -> None:
    assert read({TIMEOUT: [value]}) == (0, math.inf)
    assert read({TIMEOUT: [b"1", b"2"]}) == (0, math.inf)


def test_a_time_is_never_told_as_less_than_it_is() -> None:
    assert fields(1, 0.0001)[1] == (TIMEOUT, b"1")
    assert fields(1, 10.0**9)[1] == (TIMEOUT, b"100000000")
