"""wasi:http/incoming-handler: what a guest is told of a request, and what becomes of its answer."""

import re

import pytest

from gateway.bindings.http.error_code import CASES
from tests.conformance.probe import Probe

CLOSED = {"Err": "StreamError_Closed"}


# --- the request -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "case"),
    [
        ("GET", "Method_Get"),
        ("POST", "Method_Post"),
        ("PUT", "Method_Put"),
        ("DELETE", "Method_Delete"),
        ("OPTIONS", "Method_Options"),
        ("TRACE", "Method_Trace"),
        ("PATCH", "Method_Patch"),
        ("PROPFIND", {"Method_Other": "PROPFIND"}),
    ],
)
def test_the_method(probe: Probe, method: str, case: object) -> None:
    """wasi:http/types, incoming-request: a case of its own, or `other`."""
    assert probe("result = request.method()", method=method) == case


def test_the_method_head(probe: Probe) -> None:
    """wasi:http/types, incoming-request: HEAD is not made a GET on the way."""
    source = "finish(*respond(('x-method', type(request.method()).__name__)))"
    assert probe.response(source, method="HEAD").header("x-method") == ["Method_Head"]


def test_connect_is_refused(probe: Probe) -> None:
    """wasi:http/incoming-handler: a gateway is no tunnel; no guest sees CONNECT."""
    head, _ = probe.wire("respond()", "CONNECT probe.test:80 HTTP/1.1", "host: probe.test:80")
    assert head.startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/b",
        "/a%2Fb/%7euser/%",
        "/a/../b//c/.",
        "//a",
        "/a?b=c&d=%20+e&&=",
        "/a?b?c",
        "/:@!$&'()*+,;=-._~",
        "/?",
    ],
)
def test_the_target_is_as_it_was_sent(probe: Probe, target: str) -> None:
    """wasi:http/types, incoming-request: path and query of the request's URI, undecoded and unresolved."""
    assert probe("result = request.path_with_query()", target=target) == target


def test_scheme_and_authority(probe: Probe) -> None:
    """wasi:http/types, incoming-request: the scheme that the host says, HTTP, and the authority of `Host`."""
    seen = probe("result = [request.scheme(), request.authority()]")
    assert seen == ["Scheme_Http", "probe.test"]


def test_the_authority_of_the_uri_goes_first(probe: Probe) -> None:
    """wasi:http/types, incoming-request: of a target in absolute form, it is that one's, and not of `Host`."""
    assert probe(
        "result = [request.authority(), request.path_with_query(), request.headers().has('host')]",
        target="http://other.test:81/a?b",
    ) == ["other.test:81", "/a?b", False]


def test_a_request_without_an_authority(probe: Probe) -> None:
    """wasi:http/types, incoming-request: where neither URI nor `Host` has one, the request is refused.

    HTTP/1.0 has no such duty: there the guest is told the address that was connected to, where Wasmtime fails.
    """
    source = "result = request.authority()"
    refused, _ = probe.wire(source, "GET / HTTP/1.1")
    assert refused.startswith(b"HTTP/1.1 400 ")
    _, answer = probe.wire(source, "GET / HTTP/1.0")
    assert b'{"ok": "127.0.0.1:' in answer


def test_headers_in_order_with_repeats(probe: Probe) -> None:
    """wasi:http/types, incoming-request: headers as they were sent, each value by itself."""
    pairs = [("x-b", "2"), ("X-A", "1"), ("x-b", ""), ("x-a", "1"), ("cookie", "a=1, b=2")]
    assert probe(
        """
        names = {"x-a", "x-b", "cookie"}
        result = [pair for pair in request.headers().entries() if pair[0] in names]
        """,
        headers=pairs,
    ) == [[name.lower(), value] for name, value in pairs]


# --- response-outparam -------------------------------------------------------------------------------------


def test_a_response_goes_out_while_the_guest_goes_on(probe: Probe) -> None:
    """wasi:http/types, response-outparam: head and body are sent as they are written, the guest streams on."""
    with probe.open(
        """
        turn = incoming()
        body, stream = respond(("x-early", "1"), status=201)
        for part in (b"one", b"two", b"three"):
            assert turn.blocking_read(1) == b"."
            stream.blocking_write_and_flush(part)
        assert turn.blocking_read(1) == b"."
        finish(body, stream)
        """,
        streaming=True,
    ) as conversation:
        response = conversation.head()
        assert (response.status, response.getheader("x-early")) == (201, "1")
        for part in (b"one", b"two", b"three"):
            conversation.send_chunk(b".")
            assert response.read(len(part)) == part
        conversation.send_chunk(b".")
        assert response.read() == b""


def test_a_guest_may_work_on_after_its_response(probe: Probe) -> None:
    """wasi:http/incoming-handler: the response is whole for the client before the guest returns."""
    with probe.open(
        """
        turn = incoming()
        finish(*respond(), b"whole")
        attempt(turn.blocking_read, 1)
        say("worked on")
        """,
        streaming=True,
    ) as conversation:
        assert conversation.response().body == b"whole"
        assert conversation.lines() == ["worked on"]


@pytest.mark.parametrize(
    ("source", "consumed"),
    [
        ("finish(*respond(), b'first')", "second = Err(ErrorCode_InternalError(None))"),
        (
            "response = OutgoingResponse(Fields()); kept = forge(response); body = response.body();"
            "ResponseOutparam.set(response_out, Ok(response));"
            "response_set = True;"
            "finish(body, body.write(), b'first')",
            "kept.status_code()",
        ),
    ],
    ids=["outparam", "response"],
)
def test_set_consumes_what_it_is_given(probe: Probe, source: str, consumed: str) -> None:
    """wasi:http/types, response-outparam: to `set` again, or use the response, traps; the first stands."""
    with probe.open(f"""
        outparam = forge(response_out)
        {source}
        {consumed}
        ResponseOutparam.set(outparam, second)
    """) as conversation:
        assert conversation.response().body == b"first"
        trapped = conversation.log("component trapped")
        assert trapped["reason"].startswith("unknown handle index")


def test_a_client_that_has_gone(probe: Probe) -> None:
    """wasi:http/incoming-handler: a guest whose client goes away is stopped; that is no trap."""
    with probe.open(
        """
        turn = incoming()
        say("begun")
        turn.blocking_read(1)
        finish(*respond(), b"to nobody")
        """,
        streaming=True,
    ) as conversation:
        conversation.said("begun")
        conversation.hang_up()
        conversation.log("request", outcome="cancelled")
        assert "component trapped" not in [record["event"] for record in conversation.logs()]
    assert probe("result = 'served'") == "served"


# --- without a response ------------------------------------------------------------------------------------


def constructed(case: str) -> str:
    """The Python expression for a case of `error-code`, without anything optional in it."""
    name = "ErrorCode_" + "".join(part.capitalize() for part in case.split("-"))
    payload = CASES[case].payload
    if payload is None:
        return f"{name}()"
    if payload.startswith("option"):
        return f"{name}(None)"
    records = {"DNS-error": "DnsError", "TLS-alert-received": "TlsAlertReceived"}
    return f"{name}({records.get(case, 'FieldSize')}Payload(None, None))"


@pytest.mark.parametrize("case", CASES)
def test_an_error_in_place_of_a_response(probe: Probe, case: str) -> None:
    """wasi:http/types, response-outparam: an `error-code` becomes a status, where Wasmtime always answers 500."""
    with probe.open(f"""
        ResponseOutparam.set(response_out, Err({constructed(case)}))
        response_set = True
    """) as conversation:
        response = conversation.response()
        assert (response.status, response.problem) == (CASES[case].status_code, "component-error")
        assert case in conversation.log("component set an error")["error"]
        assert case.encode() not in response.body


@pytest.mark.parametrize("source", ["", "drop(response_out)"], ids=["kept", "dropped"])
def test_no_response(probe: Probe, source: str) -> None:
    """wasi:http/incoming-handler: a guest that returns without `set` is answered for with 500, and logged."""
    with probe.open(f"{source}\nresponse_set = True") as conversation:
        response = conversation.response()
        assert (response.status, response.problem) == (500, "no-response")
        conversation.log("guest never invoked `response-outparam::set` method")


def test_a_trap_before_the_response(probe: Probe) -> None:
    """wasi:http/incoming-handler: 500 as well; nothing of the trap is told to the client."""
    with probe.open("poll.poll([])") as conversation:
        response = conversation.response()
        assert (response.status, response.problem) == (500, "component-failed")
        assert b"poll" not in response.body
        conversation.log("component trapped", reason="poll of an empty list")


@pytest.mark.parametrize(
    "source",
    ["monotonic_clock.subscribe_duration(2**64 - 1).block()", "while True: pass"],
    ids=["asleep", "busy"],
)
def test_a_guest_that_takes_too_long(hasty_probe: Probe, probe: Probe, source: str) -> None:
    """wasi:http/incoming-handler: 504 where its time is up before it has answered; others are served meanwhile."""
    with hasty_probe.open(source) as conversation:
        assert probe("result = 'served'") == "served"
        response = conversation.response()
        assert (response.status, response.problem) == (504, "deadline")
        stopped = conversation.log("invocation stopped", outcome="deadline")
        assert stopped["reason"] == "still running after 1 s"
    assert hasty_probe("result = 'served'") == "served"


# --- framing -----------------------------------------------------------------------------------------------

NO_BODY = """
response = OutgoingResponse(Fields())
response.set_status_code(status)
ResponseOutparam.set(response_out, Ok(response))
response_set = True
"""
# Answered last: a guest may be interrupted between any two calls, and its head is sent once it is known.
EMPTY = """
response, body, stream = outgoing(OutgoingResponse)
response.set_status_code(status)
finish(body, stream)
ResponseOutparam.set(response_out, Ok(response))
response_set = True
"""
WHOLE = EMPTY.replace("finish(body, stream)", "finish(body, stream, b'content')")
CHUNKED = """
body, stream = respond(status=status)
monotonic_clock.subscribe_duration(10**8).block()
finish(body, stream, b"content")
"""
ANNOUNCED = "finish(*respond(('content-length', '7'), status=status), b'content')"


HEAD_ONLY = [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)]


@pytest.mark.parametrize(
    ("source", "content", "framing"),
    [
        (NO_BODY, b"", {"content-length": "0"}),
        (EMPTY, b"", {"content-length": "0"}),
        (WHOLE, b"content", {"content-length": "7"}),
        (CHUNKED, b"content", {"transfer-encoding": "chunked"}),
        (ANNOUNCED, b"content", {"content-length": "7"}),
    ],
    ids=["no body", "empty", "whole", "chunked", "announced"],
)
def test_the_framing_of_a_response(
    probe: Probe, source: str, content: bytes, framing: dict[str, str]
) -> None:
    """wasi:http/incoming-handler: no body has length 0; one whose length is not known with its head is chunked.

    Wasmtime chunks what is not announced, even where it is whole.
    """
    response = probe.response(f"status = 200\n{source}")
    assert response.body == content
    assert response.framing == framing


@pytest.mark.parametrize(
    "source",
    [NO_BODY, EMPTY, WHOLE, CHUNKED, ANNOUNCED],
    ids=["no body", "empty", "whole", "chunked", "announced"],
)
@pytest.mark.parametrize(("method", "status"), HEAD_ONLY)
def test_a_response_that_has_no_content(
    probe: Probe, source: str, method: str, status: int
) -> None:
    """wasi:http/incoming-handler: to HEAD, and of 204 and 304, a head is all that is sent.

    It tells no length, but for the one that the guest gives for what GET would get.
    """
    request_line = f"{method} / HTTP/1.1"
    head, content = probe.wire(f"status = {status}\n{source}", request_line, "host: probe.test")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert content == b""
    lengths = re.findall(rb"\r\n(content-length: \d+|transfer-encoding:)", head)
    assert lengths == ([b"content-length: 7"] if source is ANNOUNCED and method == "HEAD" else [])


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("PUT", 204), ("PUT", 304)])
def test_content_that_is_not_sent_is_closed(probe: Probe, method: str, status: int) -> None:
    """wasi:http/types, outgoing-body: where there is no content, a guest that goes on writing finds it closed."""
    with probe.open(
        f"""
        turn = incoming()
        body, stream = respond(status={status})
        attempt(turn.blocking_read, 1)
        tell(attempt(stream.check_write), attempt(stream.blocking_write_and_flush, b"content"))
        """,
        method=method,
        streaming=True,
    ) as conversation:
        response = conversation.response()
        assert (response.status, response.body) == (status, b"")
        assert conversation.told() == [CLOSED, CLOSED]


def test_http_1_0_gets_content_to_the_end_of_the_connection(probe: Probe) -> None:
    """wasi:http/incoming-handler: HTTP/1.0 knows no chunks; content of unknown length ends with the connection."""
    head, content = probe.wire(f"status = 200\n{CHUNKED}", "GET / HTTP/1.0", "host: probe.test")
    assert content == b"content"
    assert re.search(rb"\r\n(content-length|transfer-encoding):", head) is None


@pytest.mark.parametrize("status", [100, 101, 103, 199, 600, 999])
def test_a_status_that_is_none_of_a_response(probe: Probe, status: int) -> None:
    """wasi:http/incoming-handler: 1xx is not final, and 600 to 999 are nothing: 500.

    Wasmtime refuses only 1xx; RFC 9110, section 15, has clients treat all others as a 5xx anyway.
    """
    with probe.open(f"status = {status}\n{NO_BODY}") as conversation:
        response = conversation.response()
        assert (response.status, response.problem) == (500, "component-failed")
        assert str(status) in conversation.log("response unusable")["reason"]


def test_a_body_that_was_announced_and_never_asked_for(probe: Probe) -> None:
    """wasi:http/incoming-handler: a `content-length` without `body()` can only be a broken response: 500."""
    response = probe.response("""
        ResponseOutparam.set(response_out, Ok(OutgoingResponse(fields(("content-length", "7")))))
        response_set = True
    """)
    assert (response.status, response.problem) == (500, "component-failed")


def test_the_date_is_added(probe: Probe) -> None:
    """wasi:http/incoming-handler: a response has a `date`."""
    assert len(probe.response("finish(*respond())").header("date")) == 1


def test_there_is_one_date(probe: Probe) -> None:
    """wasi:http/incoming-handler: the guest's `date`, or where it gives none, the server's own."""
    given = "Tue, 15 Nov 1994 08:12:31 GMT"
    assert probe.response(f"finish(*respond(('date', {given!r})))").header("date") == [given]
    assert len(probe.response("finish(*respond())").header("date")) == 1


def test_trailers_are_not_sent(probe: Probe) -> None:
    """wasi:http/types, outgoing-body: trailers are optional to recipients; this server sends none.

    Not even where hyper would: chunked, announced in `Trailer`, and asked for by `TE: trailers`.
    """
    _, content = probe.wire(
        """
        body, stream = respond(("trailer", "x-checksum"))
        monotonic_clock.subscribe_duration(10**8).block()
        stream.blocking_write_and_flush(b"content")
        drop(stream)
        OutgoingBody.finish(body, fields(("x-checksum", "1")))
        """,
        "GET / HTTP/1.1",
        "host: probe.test",
        "te: trailers",
    )
    assert content == b"7\r\ncontent\r\n0\r\n\r\n"
