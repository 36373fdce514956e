"""Requests that are too large or too many: refused, and then everything goes on."""

from contextlib import ExitStack

import pytest

from tests.routes.site import ObservedSite, Site
from tests.routes.wire import WINDOW, BrokenBody, Client, Response

MAX_BODY = 64 << 10
"""Bytes that the components behind brief.test and brief-echo.test accept."""

MAX_HEADERS = 16 << 10
"""Bytes of headers that the gateway accepts."""


def assert_problem(response: Response, status: int, kind: str) -> None:
    assert response.status == status
    assert response["content-type"] == "application/problem+json"
    assert response.json["type"] == f"urn:component-gateway:problem:{kind}"


# --- the body ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_may_be_as_large_as_the_limit(site: Site, chunked: bool) -> None:
    body = bytes(MAX_BODY)
    with site.connect() as client:
        if chunked:
            client.request("/", "Transfer-Encoding: chunked", method="POST", host="brief-echo.test")
            client.send_chunk(body)
            client.send_chunk(b"")
        else:
            client.request("/", method="POST", host="brief-echo.test", body=body)
        assert client.response().body == body


def test_a_body_that_announces_too_much_is_refused_at_once(site: Site, request_id: str) -> None:
    with site.connect() as client:
        client.request(
            "/",
            f"Content-Length: {MAX_BODY + 1}",
            f"X-Request-Id: {request_id}",
            method="POST",
            host="brief-echo.test",
        )
        # Nothing of it was sent.
        assert_problem(client.response(), 413, "content-too-large")
        client.send(bytes(MAX_BODY + 1))
        assert client.get("/hello").status == 200
    (ended,) = site.story(request_id)
    assert (ended["status"], ended["outcome"]) == (413, "rejected")


def test_a_client_that_asks_first_is_not_told_to_go_on(site: Site) -> None:
    with site.connect() as client:
        client.request(
            "/",
            "Expect: 100-continue",
            f"Content-Length: {MAX_BODY + 1}",
            method="POST",
            host="brief-echo.test",
        )
        assert_problem(client.response(), 413, "content-too-large")


def test_a_body_that_grows_too_large_is_refused(site: Site, request_id: str) -> None:
    with site.connect() as client:
        client.request(
            "/sleep?ms=60000",
            "Transfer-Encoding: chunked",
            f"X-Request-Id: {request_id}",
            method="POST",
            host="brief.test",
        )
        client.send_chunk(bytes(MAX_BODY))
        client.send_chunk(b"x")
        assert_problem(client.response(), 413, "content-too-large")
        # The rest is read and forgotten.
        client.send_chunk(bytes(MAX_BODY))
        client.send_chunk(b"")
        assert client.get("/hello").status == 200
    stopped, ended = site.story(request_id)
    assert (stopped["event"], stopped["outcome"]) == ("invocation stopped", "rejected")
    assert (ended["status"], ended["outcome"]) == (413, "rejected")


def test_a_body_that_grows_too_large_breaks_a_response_that_has_begun(
    site: Site, request_id: str
) -> None:
    with site.connect() as client:
        client.request(
            "/",
            "Transfer-Encoding: chunked",
            f"X-Request-Id: {request_id}",
            method="POST",
            host="brief-echo.test",
        )
        client.send_chunk(b"begun")
        head = client.read_head()
        assert (head.status, client.read_chunk()) == (200, b"begun")
        client.send_chunk(bytes(MAX_BODY))
        with pytest.raises((BrokenBody, ConnectionResetError)):
            client.read_content(head)
    assert (site.ended(request_id)["status"], site.ended(request_id)["outcome"]) == (
        200,
        "rejected",
    )


def test_a_response_that_is_whole_is_sent_whatever_the_client_sends(
    observed: ObservedSite,
) -> None:
    with observed.connect(window=WINDOW) as client:
        client.request("/burst", "Transfer-Encoding: chunked", method="POST", host="brief.test")
        observed.until_only_its_client_is_late(client, "brief")
        client.send_chunk(bytes(64 << 20))
        client.send_chunk(b"")
        # Else the response may be over before, and what has still to come is more than is read after one.
        client.until_taken()
        assert client.read_until(b"\r\n0\r\n\r\n").endswith(b"\0\r\n0\r\n\r\n")
        assert client.get("/hello").status == 200


# --- the headers ---------------------------------------------------------------------------------


def test_headers_that_are_too_large_are_refused(site: Site) -> None:
    with site.connect() as client:
        client.request("/hello", *[f"X-{number}: {'x' * 1000}" for number in range(17)])
        assert_problem(client.response(), 431, "headers-too-large")


def test_headers_may_be_as_large_as_the_limit(site: Site) -> None:
    with site.connect() as client:
        room = MAX_HEADERS - len("/hello" + "Host" + "gateway.test" + "X") - 2 * 4
        assert client.get("/hello", f"X: {'x' * room}").status == 200


# --- the number ----------------------------------------------------------------------------------


def hold(client: Client, request_id: str) -> None:
    """Begins a request that goes on until its body ends."""
    client.request(
        "/",
        "Transfer-Encoding: chunked",
        f"X-Request-Id: {request_id}",
        method="POST",
        host="few.test",
    )
    assert client.read_head().status == 200


def test_more_than_max_concurrency_are_refused_until_one_ends(site: Site, request_id: str) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(site.connect()) for _ in range(2)]
        for number, client in enumerate(held):
            hold(client, f"{request_id}-{number}")

        for number in range(10):
            with site.connect() as client:
                refused = f"{request_id}-refused-{number}"
                response = client.post("/", b"x", f"X-Request-Id: {refused}", host="few.test")
                assert_problem(response, 503, "overloaded")
                assert int(response["retry-after"]) > 0
                # The others of the worker are not concerned, on the same connection.
                assert client.get("/hello").status == 200
            ended = site.ended(refused)
            assert (ended["status"], ended["outcome"]) == (503, "exhausted")

        held[0].send_chunk(b"")
        assert held[0].read_chunk() == b""
        site.ended(f"{request_id}-0")
        assert site.post("/", b"again", host="few.test").body == b"again"
        held[1].reset()
        site.ended(f"{request_id}-1")
        for _ in range(5):
            assert site.post("/", b"again", host="few.test").body == b"again"


def test_what_was_refused_is_counted(observed: ObservedSite, request_id: str) -> None:
    before = observed.idle()["invocations"]
    with observed.connect() as first, observed.connect() as second:
        hold(first, f"{request_id}-0")
        hold(second, f"{request_id}-1")
        assert observed.post("/", b"", host="few.test").status == 503
        assert observed.post("/", bytes(MAX_BODY + 1), host="brief.test").status == 413
    after = observed.idle()["invocations"]

    def counted(component: str, outcome: str) -> float:
        was = before.get(component, {}).get(outcome, 0)
        return float(after[component][outcome] - was)

    assert counted("few", "exhausted") == 1
    assert counted("few", "cancelled") == 2
    assert counted("brief", "rejected") == 1
