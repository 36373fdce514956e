"""The length that a guest announces, and what it then writes (RFC 9110 section 8.6)."""

import textwrap

import pytest

from tests.harness import probe, probe_headers
from tests.routes.site import Site
from tests.routes.wire import Client, Head

ANNOUNCED = [("content-length", b"5")]

# It responds with `headers`, `status` and, unless that is None, with `content`, which it does not begin to write
# before it is told to. What becomes of the content is on its standard output.
SOURCE = """
    response_set = True
    headers, status, content = {}, {}, {}
    response = types.OutgoingResponse(types.Fields.from_list(headers))
    response.set_status_code(status)
    body = None if content is None else response.body()
    types.ResponseOutparam.set(response_out, Ok(response))
    if body is not None:
        with request.consume() as incoming, incoming.stream() as told:
            told.blocking_read(1)
        try:
            with body.write() as stream:
                if content:
                    stream.blocking_write_and_flush(content)
            types.OutgoingBody.finish(body, None)
            print("finished", flush=True)
        except Err as error:
            kept = error
            print(error.value, flush=True)
"""


def respond(
    client: Client,
    headers: list[tuple[str, bytes]],
    content: bytes | None,
    *more: str,
    status: int = 200,
    method: str = "POST",
) -> Head:
    """Asks for a response like this; when its head is there, the content may follow."""
    source = textwrap.dedent(SOURCE).format(headers, status, content)
    carrier = [f"{name}: {value}" for name, value in probe_headers(source).items()]
    client.request("/", *carrier, *more, "Content-Length: 1", method=method)
    head = client.read_head()
    client.send(b".")
    return head


def still_answers(client: Client) -> None:
    """The connection is where the next request begins."""
    head = respond(client, [], b"next")
    assert client.read_content(head) == b"next"


def test_a_length_that_is_kept_frames_the_body(probe_site: Site) -> None:
    with probe_site.connect() as client:
        head = respond(client, ANNOUNCED, b"hello")
        assert head["content-length"] == "5"
        assert "transfer-encoding" not in head
        assert client.read_content(head) == b"hello"
        still_answers(client)


@pytest.mark.parametrize("headers", [[], [("content-length", b"0")]])
def test_a_response_without_body_has_length_0(
    probe_site: Site, headers: list[tuple[str, bytes]]
) -> None:
    with probe_site.connect() as client:
        head = respond(client, headers, None)
        assert head["content-length"] == "0"
        assert "transfer-encoding" not in head
        still_answers(client)


WHOLE = """
    response_set = True
    response = types.OutgoingResponse(types.Fields.from_list({}))
    body = response.body()
    with body.write() as stream:
        stream.check_write()
        stream.write({})
    types.OutgoingBody.finish(body, {})
    types.ResponseOutparam.set(response_out, Ok(response))
"""


@pytest.mark.parametrize("content", ["b''", "b'hello'", "b'x' * 50_000"])
@pytest.mark.parametrize("headers", [[], [("x-own", b"1")]])
@pytest.mark.parametrize("trailers", ["None", 'types.Fields.from_list([("x-sum", b"1")])'])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_body_that_is_whole_before_its_head_has_its_length_told(
    probe_site: Site, content: str, headers: object, trailers: str, version: str
) -> None:
    """There are no trailers in uvicorn, whether the guest gives some or not."""
    written = eval(content)  # noqa: S307 - as the guest does
    source = textwrap.dedent(WHOLE).format(headers, content, trailers)
    carrier = [f"{name}: {value}" for name, value in probe_headers(source).items()]
    with probe_site.connect() as client:
        client.request("/", *carrier, "Connection: keep-alive", version=version)
        head = client.read_head()
        assert head["content-length"] == str(len(written))
        assert "transfer-encoding" not in head
        assert client.read_content(head) == written
        if version == "1.1":
            still_answers(client)


def test_what_a_guest_wrote_is_not_taken_for_the_length_of_a_response_to_head(
    probe_site: Site,
) -> None:
    source = textwrap.dedent(WHOLE).format([], b"", None)
    carrier = [f"{name}: {value}" for name, value in probe_headers(source).items()]
    with probe_site.connect() as client:
        client.request("/", *carrier, method="HEAD")
        head = client.read_head()
        assert head.status == 200
        assert "content-length" not in head
        still_answers(client)


def test_an_empty_body_that_ends_later_is_chunked(probe_site: Site) -> None:
    with probe_site.connect() as client:
        head = respond(client, [], b"")
        assert (head["transfer-encoding"], client.read_content(head)) == ("chunked", b"")
        still_answers(client)


@pytest.mark.parametrize("content", [b"hell", b""])
def test_a_body_that_is_too_short_is_broken_off(
    probe_site: Site, content: bytes, request_id: str
) -> None:
    with probe_site.connect() as client:
        head = respond(client, ANNOUNCED, content, f"X-Request-Id: {request_id}")
        assert head["content-length"] == "5"
        assert client.read_to_end() == content
    *_, output, ended = probe_site.story(request_id)
    assert f"HttpResponseBodySize(value={len(content)})" in output["line"]
    assert (ended["status"], ended["outcome"]) == (200, "err")


def test_a_body_that_is_too_long_is_broken_off(probe_site: Site, request_id: str) -> None:
    with probe_site.connect() as client:
        head = respond(client, ANNOUNCED, b"hello!", f"X-Request-Id: {request_id}")
        assert head["content-length"] == "5"
        assert client.read_to_end() == b""
    *_, output, ended = probe_site.story(request_id)
    assert "LastOperationFailed" in output["line"]
    assert ended["outcome"] == "err"


def test_a_length_without_a_body_is_an_error(probe_site: Site, request_id: str) -> None:
    with probe_site.connect() as client:
        head = respond(client, ANNOUNCED, None, f"X-Request-Id: {request_id}")
        assert head.status == 500
        assert b"component-failed" in client.read_content(head)
        still_answers(client)
    unusable, ended = probe_site.story(request_id)
    assert unusable["event"] == "response unusable"
    assert (ended["status"], ended["outcome"]) == (500, "err")


def test_lengths_that_contradict_each_other_are_an_error(probe_site: Site) -> None:
    with probe_site.connect() as client:
        head = respond(client, [*ANNOUNCED, ("content-length", b"6")], None)
        assert head.status == 500
        assert b"component-failed" in client.read_content(head)
        still_answers(client)


def test_a_response_to_head_keeps_its_length(probe_site: Site) -> None:
    with probe_site.connect() as client:
        for content in (None, b"hello"):
            head = respond(client, ANNOUNCED, content, method="HEAD")
            assert head["content-length"] == "5"
        head = respond(client, [], None, method="HEAD")
        assert "content-length" not in head
        still_answers(client)


@pytest.mark.parametrize("content", [None, b"hello"])
@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_promises_none(
    probe_site: Site, status: int, content: bytes | None
) -> None:
    with probe_site.connect() as client:
        head = respond(client, ANNOUNCED, content, status=status)
        assert head.status == status
        assert "content-length" not in head
        assert "transfer-encoding" not in head
        still_answers(client)


@pytest.mark.parametrize("content", [None, b"hello"])
def test_a_reset_of_the_content_has_none(probe_site: Site, content: bytes | None) -> None:
    with probe_site.connect() as client:
        head = respond(client, ANNOUNCED, content, status=205)
        assert (head.status, head["content-length"]) == (205, "0")
        assert "transfer-encoding" not in head
        still_answers(client)


# --- nobody wants it -----------------------------------------------------------------------------


def test_the_body_of_a_response_that_is_dropped_takes_nothing(probe_site: Site) -> None:
    ended = probe(
        probe_site.url,
        """
        response = types.OutgoingResponse(types.Fields())
        body = response.body()
        stream = body.write()
        response.__exit__(None, None, None)
        try:
            result = stream.check_write()
        except Err as error:
            result = error.value
        """,
    )
    assert ended == "StreamError_Closed"


@pytest.mark.parametrize(("status", "method"), [(600, "GET"), (204, "GET"), (200, "HEAD")])
def test_the_body_of_a_response_without_content_takes_nothing(
    probe_site: Site, status: int, method: str, request_id: str
) -> None:
    source = f"""
        response_set = True
        response = types.OutgoingResponse(types.Fields())
        response.set_status_code({status})
        body = response.body()
        types.ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            try:
                # However fast it writes, it learns of that: it would wait for room otherwise.
                while True:
                    stream.blocking_write_and_flush(bytes(4096))
            except Err as error:
                print(error.value, flush=True)
    """
    carrier = [f"{name}: {value}" for name, value in probe_headers(source).items()]
    with probe_site.connect() as client:
        client.request("/", *carrier, f"X-Request-Id: {request_id}", method=method)
        client.response(method)
        still_answers(client)
    output = next(record for record in probe_site.story(request_id) if "line" in record)
    assert output["line"] == "StreamError_Closed()"
