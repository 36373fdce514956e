"""wasi:http/types, requests and responses: what they start with, and what their setters accept."""

import pytest

from tests.conformance.probe import Probe

OK = {"Ok": None}
ERR = {"Err": None}


def test_a_new_request_is_a_get_of_nothing(probe: Probe) -> None:
    """wasi:http/types, outgoing-request: GET, without path, scheme and authority, unless they are set."""
    assert probe("""
        made = OutgoingRequest(Fields())
        result = [made.method(), made.path_with_query(), made.scheme(), made.authority()]
    """) == ["Method_Get", None, None, None]


SETTERS = {
    "method": """
        setter, getter = made.set_method, made.method
        value = lambda text: Method_Other(text)
        read = lambda method: method.value
        old = Method_Put()
    """,
    "path_with_query": """
        setter, getter = made.set_path_with_query, made.path_with_query
        value = read = lambda text: text
        old = "/old"
    """,
    "scheme": """
        setter, getter = made.set_scheme, made.scheme
        value = lambda text: Scheme_Other(text)
        read = lambda scheme: scheme.value
        old = Scheme_Http()
    """,
    "authority": """
        setter, getter = made.set_authority, made.authority
        value = read = lambda text: text
        old = "old.test"
    """,
}
"""How each setter of an outgoing-request is called with a text."""

VALID = {
    "method": ["FETCH", "get", "!#$%&'*+-.^_`|~09", "PROPFIND"],
    "path_with_query": ["/", "", "/a/b?c=d&e", "/%2F?%20", "?q", "*", "/a?b?c", "/:@!$&'()*+,;=-._~"],
    "scheme": ["ftp", "a", "x+y-z.9", "WS"],
    "authority": [
        "example.com", "example.com:80", "example.com:0", "example.com:65535", "EXAMPLE.com", "127.0.0.1",
        "[::]", "[::]:443", "[2001:db8::1]:8080", "a-b_c~d", "%41.test",
    ],
}  # fmt: skip

INVALID = {
    "method": ["", " ", "a b", "a\n", "a:", "é", "(", "GET /"],
    "path_with_query": [" ", "/a b", "/\n", "/é", "/a#b", "a", "http://a/", "/\x7f", "/\0"],
    "scheme": ["", "1a", "a b", "a:", "a_b", "é", "-a", "http://"],
    "authority": [
        "", " ", "a b", "a/b", "a?b", "a#b", "user@a", "a:", ":80", "a:b", "a:-1", "a:+1", "a:65536",
        "a:80:80", "[::", "::1", "[::1]x", "[g::]", "a\n", "é", "http://a",
    ],
}  # fmt: skip


@pytest.mark.parametrize("setter", SETTERS)
def test_setters_accept_what_is_valid(probe: Probe, setter: str) -> None:
    """wasi:http/types, outgoing-request: a valid value is set, and got as it was given."""
    seen = probe(f"""
        made = OutgoingRequest(Fields())
        {SETTERS[setter]}
        result = []
        for text in {VALID[setter]!r}:
            setter(value(text))
            result.append(read(getter()))
    """)
    assert seen == VALID[setter]


@pytest.mark.parametrize("setter", SETTERS)
def test_setters_refuse_what_is_not(probe: Probe, setter: str) -> None:
    """wasi:http/types, outgoing-request: an invalid value is an error, and the old one stays."""
    outcomes = probe(f"""
        made = OutgoingRequest(Fields())
        {SETTERS[setter]}
        setter(old)
        result = [[text, attempt(setter, value(text)), getter() == old] for text in {INVALID[setter]!r}]
    """)
    assert outcomes == [[text, ERR, True] for text in INVALID[setter]]


def test_the_named_methods_and_schemes(probe: Probe) -> None:
    """wasi:http/types, outgoing-request: each case of `method` and `scheme` can be set."""
    seen = probe("""
        made = OutgoingRequest(Fields())
        result = []
        for method in (Method_Get, Method_Head, Method_Post, Method_Put, Method_Delete, Method_Connect,
                       Method_Options, Method_Trace, Method_Patch):
            made.set_method(method())
            result.append(made.method() == method())
        for scheme in (Scheme_Http(), Scheme_Https(), None):
            made.set_scheme(scheme)
            result.append(made.scheme() == scheme)
    """)
    assert seen == [True] * 12


def test_what_is_optional_can_be_unset(probe: Probe) -> None:
    """wasi:http/types, outgoing-request: path, scheme and authority go back to none."""
    assert probe("""
        made = OutgoingRequest(Fields())
        made.set_path_with_query("/a")
        made.set_scheme(Scheme_Https())
        made.set_authority("a.test")
        made.set_path_with_query(None)
        made.set_scheme(None)
        made.set_authority(None)
        result = [made.path_with_query(), made.scheme(), made.authority()]
    """) == [None, None, None]


def test_status_codes(probe: Probe) -> None:
    """wasi:http/types, outgoing-response: 200 at first; 100 to 999 can be set, what cannot leaves the old one."""
    assert probe("""
        made = OutgoingResponse(Fields())
        result = [made.status_code()]
        for status in (100, 204, 404, 599, 600, 999, 99, 0, 1000, 65535):
            result.append([attempt(made.set_status_code, status), made.status_code()])
    """) == [
        200,
        *([OK, status] for status in (100, 204, 404, 599, 600, 999)),
        *[[ERR, 999]] * 4,
    ]


@pytest.mark.parametrize(
    "source",
    [
        "message = OutgoingRequest(Fields()); call = message.body",
        "message = OutgoingResponse(Fields()); call = message.body",
        "message = OutgoingRequest(Fields()); body = message.body(); call = body.write",
        "message = OutgoingResponse(Fields()); body = message.body(); call = body.write",
        "call = request.consume",
        "body = request.consume(); call = body.stream",
    ],
    ids=["request.body", "response.body", "request write", "response write", "consume", "stream"],
)
@pytest.mark.parametrize("dropped", [False, True])
def test_the_second_call_is_an_error(probe: Probe, source: str, dropped: bool) -> None:
    """wasi:http/types: `body`, `consume`, `stream` and `write` succeed once, though what they gave be dropped."""
    assert probe(f"""
        {source}
        first = call()
        if {dropped}:
            drop(first)
        result = [attempt(call), attempt(call)]
    """) == [ERR, ERR]


@pytest.mark.parametrize("message", ["OutgoingRequest", "OutgoingResponse"])
def test_a_body_of_no_certain_length_is_an_error(probe: Probe, message: str) -> None:
    """wasi:http/types: `body` is an error where `content-length` cannot be understood, again and again.

    One that is no number is refused by the fields already; two that differ are not.
    """
    assert probe(f"""
        made = {message}(fields(("content-length", "1"), ("content-length", "2")))
        result = [attempt(made.body), attempt(made.body)]
    """) == [ERR, ERR]


def test_request_options(probe: Probe) -> None:
    """wasi:http/types, request-options: each timeout is none, then what was set, without an error."""
    assert probe("""
        options = RequestOptions()
        names = ["connect_timeout", "first_byte_timeout", "between_bytes_timeout"]
        result = [getattr(options, name)() for name in names]
        for duration in (0, 1, 2**64 - 1, None):
            outcomes = [attempt(getattr(options, "set_" + name), duration) for name in names]
            result.append([*outcomes, *(getattr(options, name)() == duration for name in names)])
        options.set_connect_timeout(1)
        options.set_first_byte_timeout(2)
        options.set_between_bytes_timeout(3)
        result.append([getattr(options, name)() for name in names])
    """) == [None, None, None, *[[OK, OK, OK, True, True, True]] * 4, [1, 2, 3]]


def test_outgoing_requests_are_denied(probe: Probe) -> None:
    """wasi:http/outgoing-handler: where none is granted; the request is consumed all the same, its body closed."""
    assert probe("""
        message, body, stream = outgoing(OutgoingRequest)
        message.set_authority("example.com")
        message.set_path_with_query("/")
        outcome = attempt(outgoing_handler.handle, message, RequestOptions())
        result = [outcome, hasattr(message, "handle"), attempt(stream.check_write)]
    """) == [{"Err": "ErrorCode_HttpRequestDenied"}, False, {"Err": "StreamError_Closed"}]


def test_the_headers_of_a_response_go_out_as_they_are(probe: Probe) -> None:
    """wasi:http/types, outgoing-response: in order, with repeats, any bytes, and no whitespace around values."""
    names = {"x-one", "set-cookie", "x-empty", "x-bytes", "x-space"}
    response = probe.response("""
        pairs = [
            ("x-one", b"1"), ("set-cookie", b"a=1"), ("x-empty", b""), ("Set-Cookie", b"b=2"),
            ("x-bytes", b"caf\\xc3\\xa9 \\xff"), ("x-space", b" \\t in \\t side \\t "),
        ]
        response = OutgoingResponse(Fields.from_list(pairs))
        ResponseOutparam.set(response_out, Ok(response))
        response_set = True
    """)
    assert [(name, value) for name, value in response.headers if name in names] == [
        ("x-one", "1"),
        ("set-cookie", "a=1"),
        ("x-empty", ""),
        ("set-cookie", "b=2"),
        ("x-bytes", b"caf\xc3\xa9 \xff".decode("latin-1")),
        ("x-space", "in \t side"),
    ]
