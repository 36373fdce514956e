"""W3C Trace Context: which trace a request belongs to, and what is passed on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.field_lines import FieldLines
from gateway.http.request_id import request_id
from gateway.http.trace_context import (
    MAX_MEMBERS,
    MAX_TRACESTATE,
    TraceContext,
    incoming,
    parse_tracestate,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
REQUEST = "0af7651916cd43dd8448eb211c80319c"

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def of(*headers: tuple[str, str], request: str = REQUEST) -> TraceContext:
    """The trace of a request with these headers."""
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return incoming(FieldLines([(b"host", b"gateway.test"), *encoded]), request)


def begins_here(trace: TraceContext) -> bool:
    """Whether the request names no trace, as far as the gateway has understood."""
    return trace.parent_id is None and trace.trace_id == REQUEST and trace.tracestate is None


# --- traceparent (section 3.2) -----------------------------------------------------------------------------


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "09", "ff"])
def test_what_was_given_is_passed_on_as_it_is(flags: str) -> None:
    """Section 3.4: unmodified header propagation. Section 3.2.2.5: flags are bits, of which one is known."""
    trace = of(("traceparent", f"00-{TRACE}-{PARENT}-{flags}"))
    assert (trace.trace_id, trace.parent_id, trace.span_id) == (TRACE, PARENT, PARENT)
    assert trace.traceparent == f"00-{TRACE}-{PARENT}-{flags}"
    assert trace.sampled == bool(int(flags, 16) & 1)
    assert trace.fields() == [(b"traceparent", trace.traceparent.encode())]


@pytest.mark.parametrize("value", [" {}", "\t{}", "{} ", "{}\t", "\t {} \t"])
def test_white_space_around_it_is_no_part_of_it(value: str) -> None:
    assert of(("traceparent", value.format(f"00-{TRACE}-{PARENT}-01"))).trace_id == TRACE


@pytest.mark.parametrize("version", ["01", "cc", "fe"])
@pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-be-like", "-\xff"])
def test_later_versions_are_read_as_far_as_they_are_known(version: str, more: str) -> None:
    """Section 3.2.4; and what goes out is of version 00, with no flag but the one whose meaning is promised."""
    trace = of(("traceparent", f"{version}-{TRACE}-{PARENT}-0f{more}"))
    assert trace.traceparent == f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    "value",
    [
        "",
        # Of version 00, nothing may follow.
        f"00-{TRACE}-{PARENT}-01.",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01-what-the-future-will-be-like",
        # Of later ones, only after a dash.
        f"cc-{TRACE}-{PARENT}-01.what-the-future-will-be-like",
        f"cc-{TRACE}-{PARENT}-0",
        # The version that is none, and what is no version.
        f"ff-{TRACE}-{PARENT}-01",
        f".0-{TRACE}-{PARENT}-01",
        f"0.-{TRACE}-{PARENT}-01",
        f"000-{TRACE}-{PARENT}-01",
        f"0000-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"CC-{TRACE}-{PARENT}-01",
        # Ids that are none.
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"cc-{'0' * 32}-{PARENT}-01",
        f"00-.{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE[1:]}.-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-.{PARENT[1:]}-01",
        f"00-{TRACE}-{PARENT[1:]}.-01",
        f"00-{TRACE}-{PARENT}0-01",
        f"00-{TRACE}-{PARENT[1:]}-01",
        # Flags that are none.
        f"00-{TRACE}-{PARENT}-.0",
        f"00-{TRACE}-{PARENT}-0.",
        f"00-{TRACE}-{PARENT}-0A",
        f"00-{TRACE}-{PARENT}-001",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}",
        # The same, otherwise written.
        f"00_{TRACE}_{PARENT}_01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
    ],
)
def test_where_it_is_malformed_the_trace_begins_here(value: str) -> None:
    """And `tracestate` is not looked at: section 3.3."""
    assert begins_here(of(("traceparent", value), ("tracestate", "foo=1")))


@pytest.mark.parametrize("second", [f"00-{TRACE}-{PARENT}-01", f"00-{REQUEST}-{PARENT}-01", ""])
def test_two_of_them_are_as_good_as_none(second: str) -> None:
    assert begins_here(of(("traceparent", f"00-{TRACE}-{PARENT}-01"), ("traceparent", second)))


@pytest.mark.parametrize("name", ["trace-parent", "trace.parent", "xtraceparent"])
def test_fields_of_other_names_are_others(name: str) -> None:
    assert begins_here(of((name, f"00-{TRACE}-{PARENT}-01")))


# --- a trace that begins here ------------------------------------------------------------------------------


def test_it_has_the_id_of_the_request() -> None:
    identity = request_id({})
    trace = of(request=identity)
    assert trace.trace_id == identity
    assert trace.parent_id is None
    assert not trace.sampled
    assert TRACEPARENT.fullmatch(trace.traceparent)


def test_it_has_one_span_id() -> None:
    trace = of()
    assert trace.traceparent == trace.traceparent == f"00-{REQUEST}-{trace.span_id}-00"
    assert trace.span_id != of().span_id


@pytest.mark.parametrize(
    "request_id",
    [
        "0" * 32,
        REQUEST.upper(),
        REQUEST[1:],
        f"{REQUEST}0",
        "3f0c1a52-6c8f-4d7e-9b1a-0c5d2e8f7a61",
        "z",
    ],
)
def test_ids_of_requests_that_are_none_of_traces_are_not_used(request_id: str) -> None:
    trace, other = of(request=request_id), of(request=request_id)
    assert TRACEPARENT.fullmatch(trace.traceparent)
    assert trace.trace_id != request_id
    assert trace.trace_id != other.trace_id


def test_a_state_without_a_trace_is_dropped() -> None:
    assert begins_here(of(("tracestate", "foo=1,bar=2")))


# --- tracestate (section 3.3) ------------------------------------------------------------------------------


def state(*lines: str) -> str | None:
    """What is passed on of these fields."""
    headers = [("tracestate", line) for line in lines]
    trace = of(*headers, ("traceparent", f"00-{TRACE}-{PARENT}-00"))
    assert trace.trace_id == TRACE, "a tracestate must not affect the traceparent"
    return trace.tracestate


def test_it_is_passed_on() -> None:
    assert state("foo=1,bar=2") == "foo=1,bar=2"
    trace = of(("traceparent", f"00-{TRACE}-{PARENT}-00"), ("tracestate", "rojo=00f067aa0ba902b7"))
    assert trace.fields()[1:] == [(b"tracestate", b"rojo=00f067aa0ba902b7")]


@pytest.mark.parametrize(
    ("lines", "passed_on"),
    [
        (["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], "foo=1,bar=2,rojo=1,congo=2,baz=3"),
        (["foo=1", ""], "foo=1"),
        (["", "foo=1"], "foo=1"),
        (["foo=1, ,\t,,bar=2"], "foo=1,bar=2"),
        (["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        (["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], "foo=1,bar=2,baz=3"),
        (["\t foo=1 \t"], "foo=1"),
        (["foo=  1"], "foo=  1"),
        ([""], None),
        ([" ", ","], None),
    ],
)
def test_fields_are_combined_and_what_is_empty_is_left_out(
    lines: list[str], passed_on: str | None
) -> None:
    assert state(*lines) == passed_on


@pytest.mark.parametrize(
    "key", ["a", "z" * 256, "abcxyz0189_-*/", "t" * 241 + "@" + "s" * 14, "0_-*/@a_-*/9"]
)
def test_every_key_of_the_grammar_is_passed_on(key: str) -> None:
    assert state(f"{key}=1") == f"{key}=1"


def test_every_character_of_the_grammar_is_passed_on() -> None:
    value = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",=")
    assert state(f"foo={value}") == f"foo={value}"
    assert state(f"foo={'v' * 256}") == f"foo={'v' * 256}"


@pytest.mark.parametrize(
    "member",
    [
        "foo",
        "foo=",
        "=1",
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "0foo=1",
        "_foo=1",
        "foo@=1",
        "@foo=1",
        "foo@@bar=1",
        "foo@bar@baz=1",
        "foo@0=1",
        "z" * 257 + "=1",
        "t" * 242 + "@v=1",
        "t@" + "s" * 15 + "=1",
        "foo=bar=baz",
        "foo=" + "v" * 257,
        "foo=caf\xe9",
        "foo=a\tb",
        "foo=\x7f",
        "bar=1",
    ],
)
def test_one_malformed_member_or_a_key_twice_spoils_all(member: str) -> None:
    assert state(f"bar=2,{member}") is None
    assert state(member, "bar=2") is None


def test_there_are_at_most_32_members() -> None:
    members = [f"bar{number:02}={number:02}" for number in range(MAX_MEMBERS + 1)]
    assert state(*members[:-1]) == ",".join(members[:-1])
    assert state(*members) is None


def test_of_too_much_the_large_members_go_first_and_then_the_last() -> None:
    """Section 3.3.1.5."""
    small = [f"{letter}={'v' * 98}" for letter in "abcdef"]
    large = [f"{letter}={'v' * 150}" for letter in "xyz"]
    assert state(f"x={'v' * 254},y={'v' * 253}") == f"x={'v' * 254},y={'v' * 253}"
    assert state(f"x={'v' * 254},y={'v' * 254}") == f"x={'v' * 254}"
    assert state(*small) == ",".join(small[:5])
    assert state(*large[:2], *small[:3]) == ",".join([large[0], *small[:3]])
    assert state(*large, *small) == ",".join(small[:5])


# --- anything ----------------------------------------------------------------------------------------------

ids = st.text("0123456789abcdef", min_size=16, max_size=32)
junk = st.one_of(
    st.binary(max_size=80),
    st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", fullmatch=True),
    st.from_regex(rb"([a-z@0-9]{1,4}=[ -~]{0,9}[ \t]?,?){0,40}", fullmatch=True),
)
fields = st.lists(
    st.tuples(st.sampled_from([b"traceparent", b"tracestate", b"x"]), junk), max_size=4
)


@given(fields, st.one_of(ids, st.text(max_size=40)))
def test_whatever_comes_in_what_goes_out_is_valid(
    headers: list[tuple[bytes, bytes]], request_id: str
) -> None:
    out = incoming(FieldLines(headers), request_id).fields()
    (name, value), *rest = out
    assert name == b"traceparent"
    assert TRACEPARENT.fullmatch(value.decode())
    assert [name for name, _ in rest] in ([], [b"tracestate"])
    assert all(0 < len(value) <= MAX_TRACESTATE for _, value in rest)
    again = incoming(FieldLines(out), request_id)
    assert again.fields() == out


@given(st.lists(st.sampled_from(["a=1", "b=2", "c=3 ", " d=4", "", "e=" + "v" * 200]), max_size=9))
def test_however_it_is_split_the_state_is_the_same(members: list[str]) -> None:
    apart = parse_tracestate([member.encode() for member in members])
    assert apart == parse_tracestate([",".join(members).encode()])
