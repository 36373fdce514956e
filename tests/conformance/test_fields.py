"""wasi:http/types, fields."""

import pytest

from tests.conformance.probe import Probe

OK = {"Ok": None}
INVALID_SYNTAX = {"Err": "HeaderError_InvalidSyntax"}
FORBIDDEN = {"Err": "HeaderError_Forbidden"}
IMMUTABLE = {"Err": "HeaderError_Immutable"}

FORBIDDEN_NAMES = (
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
)

MAX_SIZE = 128 << 10
"""Bytes of one fields resource: each name is counted with 32 more than its length, each value with 40 more."""


def test_names_are_stored_in_lower_case(probe: Probe) -> None:
    """wasi:http/types, fields, a departure from WIT as in Wasmtime: names lose their original casing."""
    assert probe("""
        made = Fields.from_list([("X-List", b"")])
        made.append("X-Append", b"")
        made.set("X-Set", [b""])
        result = [name for name, _ in made.entries()]
    """) == ["x-list", "x-append", "x-set"]


def test_names_are_case_insensitive(probe: Probe) -> None:
    """wasi:http/types, fields: every function finds a name in any casing."""
    assert probe("""
        made = Fields.from_list([("x-Name", b"1")])
        made.append("X-NAME", b"2")
        seen = [made.has("X-nAmE"), made.get("x-name")]
        made.set("X-Name", [b"3"])
        seen.append(made.get("x-NAME"))
        made.delete("X-NAME")
        result = [*seen, made.entries()]
    """) == [True, ["1", "2"], ["3"], []]


def test_a_name_is_a_token(probe: Probe) -> None:
    """wasi:http/types, fields: a name is an HTTP token, else `invalid-syntax`."""
    outcomes = probe("""
        names = ["!#$%&'*+-.^_`|~09azAZ", "", " ", "a b", "a:", "a\\n", "é", "\\u212a", "a/b", '"', "(", "a\\0"]
        made = Fields()
        made.append("valid", b"")
        result = [
            [
                attempt(Fields.from_list, [(name, b"")]),
                attempt(made.append, name, b""),
                attempt(made.set, name, [b""]),
                attempt(made.delete, name),
            ]
            for name in names
        ]
    """)
    valid, *invalid = outcomes
    assert valid == [{"Ok": "<Fields>"}, OK, OK, OK]
    assert invalid == [[INVALID_SYNTAX] * 4] * 11


def test_the_bytes_of_a_value(probe: Probe) -> None:
    """wasi:http/types, fields: a value has bytes from 32 on, but not 127, and TAB; else `invalid-syntax`."""
    accepted = probe("""
        made = Fields()
        result = []
        for byte in range(256):
            value = b"v" + bytes([byte]) + b"v"
            outcomes = {
                isinstance(attempt(call, *args), Ok)
                for call, *args in (
                    (Fields.from_list, [("x", value)]),
                    (made.append, "x", value),
                    (made.set, "x", [b"fine", value]),
                )
            }
            assert len(outcomes) == 1
            if outcomes == {True}:
                result.append(byte)
    """)
    assert accepted == [9, *range(32, 127), *range(128, 256)]
    assert probe("result = Fields.from_list([('x', b'')]).get('x')") == [""]


NO_LENGTHS = ["+5", "-5", " 5", "5 ", "", "5,5", "0x5", "²", "5.0", str(2**64)]


@pytest.mark.parametrize("value", NO_LENGTHS)
def test_a_content_length_is_a_number_of_64_bits(probe: Probe, value: str) -> None:
    """wasi:http/types, fields: any other value of `content-length` is `invalid-syntax`."""
    outcomes = probe(f"""
        value = {value!r}.encode()
        made = Fields()
        result = [
            attempt(Fields.from_list, [("Content-Length", value)]),
            attempt(made.append, "content-length", value),
            attempt(made.set, "CONTENT-LENGTH", [value]),
            made.entries(),
        ]
    """)
    assert outcomes == [INVALID_SYNTAX, INVALID_SYNTAX, INVALID_SYNTAX, []]


def test_a_content_length_is_normalised(probe: Probe) -> None:
    """wasi:http/types, fields: `content-length` loses its leading zeros."""
    assert probe("""
        values = [b"0", b"00", b"007", b"18446744073709551615"]
        result = [Fields.from_list([("Content-Length", value)]).get("content-length")[0] for value in values]
    """) == ["0", "0", "7", "18446744073709551615"]


@pytest.mark.parametrize("name", FORBIDDEN_NAMES)
def test_forbidden_names(probe: Probe, name: str) -> None:
    """wasi:http/types, fields: what belongs to the connection is `forbidden` in any casing, also to delete."""
    outcomes = probe(f"""
        made = Fields()
        result = []
        for name in ({name!r}, {name.title()!r}, {name.upper()!r}):
            result += [
                attempt(Fields.from_list, [("x", b""), (name, b"")]),
                attempt(made.append, name, b""),
                attempt(made.set, name, [b""]),
                attempt(made.set, name, []),
                attempt(made.delete, name),
                made.get(name),
                made.has(name),
            ]
    """)
    assert outcomes == [*[FORBIDDEN] * 5, [], False] * 3


def test_te_and_trailer_are_allowed(probe: Probe) -> None:
    """wasi:http/types, fields: TE and Trailer are a guest's to send."""
    assert probe("""
        result = Fields.from_list([("TE", b"trailers"), ("Trailer", b"x-checksum")]).entries()
    """) == [["te", "trailers"], ["trailer", "x-checksum"]]


def test_the_order_of_checks(probe: Probe) -> None:
    """wasi:http/types, fields: check order.

    The syntax of the name, then whether it is forbidden; then append checks the value before mutability,
    set and delete the other way round.
    """
    assert probe("""
        immutable = OutgoingResponse(Fields()).headers()
        mutable = Fields()
        result = [
            attempt(immutable.append, "b d", b"\\n"),
            attempt(immutable.set, "b d", [b"\\n"]),
            attempt(immutable.delete, "b d"),
            attempt(immutable.append, "host", b"\\n"),
            attempt(immutable.set, "host", [b"\\n"]),
            attempt(immutable.delete, "host"),
            attempt(immutable.append, "x", b"\\n"),
            attempt(immutable.set, "x", [b"\\n"]),
            attempt(immutable.append, "x", b""),
            attempt(immutable.delete, "x"),
            attempt(mutable.append, "host", b"\\n"),
            attempt(mutable.set, "host", [b"\\n"]),
        ]
    """) == [
        *[INVALID_SYNTAX] * 3,
        *[FORBIDDEN] * 3,
        INVALID_SYNTAX,
        IMMUTABLE,
        IMMUTABLE,
        IMMUTABLE,
        FORBIDDEN,
        FORBIDDEN,
    ]


def test_forbidden_names_are_stripped_from_requests(probe: Probe) -> None:
    """wasi:http/types, fields: a guest sees none of the connection's headers in a request, and no `host`."""
    sent = [("connection", "keep-alive, x-hop"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")]
    sent += [("keep-alive", "5"), ("proxy-authorization", "Basic x"), ("proxy-connection", "close")]
    sent += [("proxy-authenticate", "Basic"), ("te", "trailers"), ("X-Hop", "1"), ("cookie", "a=b")]
    names, *host = probe(
        """
        headers = request.headers()
        result = [[name for name, _ in headers.entries()], headers.has("host"), headers.get("Host")]
        """,
        headers=sent,
    )
    told = ["gateway-client-addr", "gateway-route"]
    assert sorted(names) == ["cookie", *told, "probe-source", "te", "x-request-id"]
    assert host == [False, []]


def test_transfer_encoding_is_stripped_from_requests(probe: Probe) -> None:
    """wasi:http/types, fields: a guest does not see how a request's body is framed."""
    source = "result = request.headers().has('transfer-encoding')"
    with probe.open(source, streaming=True) as conversation:
        conversation.send_chunk(b"")
        assert conversation.head().read() == b'{"ok": false}'


@pytest.mark.parametrize(
    "headers",
    [
        "request.headers()",
        "OutgoingRequest(fields(('x', '1'))).headers()",
        "OutgoingResponse(fields(('x', '1'))).headers()",
    ],
)
def test_the_headers_of_a_message_are_immutable(probe: Probe, headers: str) -> None:
    """wasi:http/types, fields: what a message's `headers` gives is `immutable`."""
    outcomes = probe(
        f"""
        headers = {headers}
        before = headers.entries()
        result = [
            attempt(headers.append, "x", b"2"),
            attempt(headers.set, "x", [b"2"]),
            attempt(headers.set, "x", []),
            attempt(headers.delete, "x"),
            attempt(headers.delete, "absent"),
            headers.get("x"),
            headers.entries() == before,
        ]
        """,
        headers=[("x", "1")],
    )
    assert outcomes == [*[IMMUTABLE] * 5, ["1"], True]


def test_new_fields_are_mutable(probe: Probe) -> None:
    """wasi:http/types, fields: those of the constructor, `from-list` and `clone` are mutable.

    A clone is a copy: neither changes with the other.
    """
    assert probe(
        """
        original = Fields.from_list([("x", b"1")])
        copy = original.clone()
        copy.append("x", b"2")
        original.append("y", b"3")
        received = request.headers().clone()
        received.set("x-sent", [b"changed"])
        empty = Fields()
        empty.append("z", b"4")
        result = [
            copy.entries(), original.entries(), empty.entries(),
            received.get("x-sent"), request.headers().get("x-sent"),
        ]
        """,
        headers=[("x-sent", "as sent")],
    ) == [
        [["x", "1"], ["x", "2"]],
        [["x", "1"], ["y", "3"]],
        [["z", "4"]],
        ["changed"],
        ["as sent"],
    ]


@pytest.mark.parametrize("message", ["OutgoingRequest", "OutgoingResponse"])
def test_the_constructors_of_messages_consume_fields(probe: Probe, message: str) -> None:
    """wasi:http/types, fields: `outgoing-request` and `outgoing-response` take the fields they are made of."""
    assert probe(f"""
        made = Fields.from_list([("x", b"1")])
        message = {message}(made)
        assert not hasattr(made, "handle")
        result = message.headers().entries()
    """) == [["x", "1"]]
    assert probe.traps(f"""
        made = Fields()
        kept = forge(made)
        {message}(made)
        kept.append("x", b"1")
    """).startswith("unknown handle index")


def test_looking_up_what_is_not_there(probe: Probe) -> None:
    """wasi:http/types, fields: `get` of a bad or absent name gives nothing, `has` is false; neither fails."""
    assert probe("""
        made = Fields.from_list([("x", b"")])
        result = [[made.get(name), made.has(name)] for name in ("x", "absent", "", "b d", "é", "host")]
    """) == [[[""], True], *[[[], False]] * 5]


def test_changes(probe: Probe) -> None:
    """wasi:http/types, fields: set of nothing removes, delete of nothing is fine, append keeps order."""
    assert probe("""
        made = Fields()
        for name, value in (("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"1")):
            made.append(name, value)
        appended = made.get("a")
        made.set("b", [b"4", b"5"])
        replaced = made.get("b")
        outcomes = [attempt(made.set, "a", []), attempt(made.delete, "a"), attempt(made.delete, "absent")]
        result = [appended, replaced, outcomes, made.has("a"), made.entries()]
    """) == [["1", "3", "1"], ["4", "5"], [OK, OK, OK], False, [["b", "4"], ["b", "5"]]]


def test_a_change_that_fails_changes_nothing(probe: Probe) -> None:
    """wasi:http/types, fields: `set` with one bad value among good ones keeps the old values."""
    assert probe("""
        made = Fields.from_list([("x", b"1"), ("x", b"2")])
        result = [attempt(made.set, "x", [b"3", b"\\n"]), made.get("x")]
    """) == [INVALID_SYNTAX, ["1", "2"]]


# One name and one value that fill fields to their last byte.
FULL = f"b'v' * ({MAX_SIZE} - len('name') - 32 - 40)"


def test_fields_may_be_as_large_as_the_limit(probe: Probe) -> None:
    """wasi:http/types, fields: 128 KiB are not too large."""
    length = probe(f"""
        made = Fields.from_list([("name", {FULL})])
        made.set("name", [{FULL}])
        result = len(made.get("name")[0])
    """)
    assert length == MAX_SIZE - len("name") - 32 - 40


@pytest.mark.parametrize(
    "source",
    [
        f"Fields.from_list([('name', {FULL} + b'v')])",
        f"Fields.from_list([('name', {FULL}), ('x', b'')])",
        f"Fields.from_list([('name', {FULL})]).append('name', b'')",
        f"Fields().set('name', [{FULL} + b'v'])",
        f"Fields.from_list([('x', b'')] * ({MAX_SIZE} // 40))",
    ],
    ids=["one value", "two names", "append", "set", "many empty values"],
)
def test_fields_that_are_too_large_trap(probe: Probe, source: str) -> None:
    """wasi:http/types, fields, a departure from WIT as in Wasmtime: over 128 KiB, or many entries, traps."""
    reason = probe.traps(source)
    assert reason.startswith("a fields resource of ")
    assert "over the limit of 131072 bytes" in reason


MANY = [(f"x{number:04}", "v") for number in range(3000)]
"""Headers that are far over the limit in a fields resource, and none of the server's on the wire."""


def test_the_headers_of_a_request_may_be_larger_than_the_limit(probe: Probe) -> None:
    """wasi:http/types, fields: those that were received do not count, nor does a clone that only shrinks."""
    assert probe(
        """
        received = request.headers()
        copy = received.clone()
        copy.delete("x0000")
        result = [len(received.entries()) >= 3000, copy.has("x0000"), copy.has("x2999")]
        """,
        headers=MANY,
    ) == [True, False, True]


def test_a_clone_of_large_headers_cannot_grow(probe: Probe) -> None:
    """wasi:http/types, fields: a clone of received headers counts with all its entries once it is appended to."""
    with probe.open("request.headers().clone().append('x', b'')", headers=MANY) as conversation:
        assert conversation.head().status == 500
        assert "over the limit" in conversation.log("component trapped")["reason"]


def test_all_fields_of_an_invocation_are_bounded_together(probe: Probe) -> None:
    """wasi:http/types, fields: each within its limit, they may have 64 MiB in all that was ever written."""
    reason = probe.traps("""
        large = Fields.from_list([("a", bytes(100_000).replace(b"\\0", b"x"))])
        copies = [large.clone() for _ in range(700)]
    """)
    assert reason == "more than 67108864 bytes of header fields in one invocation"
