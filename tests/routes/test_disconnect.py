"""Clients that go away, in each phase of a request: the guest is stopped, and nothing of it is left."""

from collections.abc import Iterator

import pytest

from tests.routes.site import ObservedSite
from tests.routes.wire import HOST, WINDOW, Client


@pytest.fixture(autouse=True)
def _nothing_is_left(observed: ObservedSite) -> Iterator[None]:
    with observed.left_as_it_was():
        yield


def begin(
    client: Client,
    target: str,
    request_id: str,
    *headers: str,
    host: str = HOST,
    method: str = "GET",
) -> None:
    client.request(target, f"X-Request-Id: {request_id}", *headers, host=host, method=method)


def works(observed: ObservedSite, component: str) -> None:
    """A guest of this component is at work."""
    observed.wait_for(lambda state: state["in_flight"][component] == 1 and state["stores"] == 1)


def assert_cancelled(observed: ObservedSite, request_id: str, status: int = 0) -> None:
    ended = observed.ended(request_id)
    assert (ended["status"], ended["outcome"]) == (status, "cancelled")


def test_before_the_guest_has_begun(observed: ObservedSite) -> None:
    for _ in range(50):
        with observed.connect() as client:
            client.request("/sleep?ms=60000")
            client.reset()


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("target", ["/spin", "/sleep?ms=60000"])
def test_while_the_guest_has_not_answered(
    observed: ObservedSite, target: str, how: str, request_id: str
) -> None:
    with observed.connect() as client:
        begin(client, target, request_id)
        works(observed, "fail")
        if how == "reset":
            client.reset()
    assert_cancelled(observed, request_id)


def test_one_that_only_sends_no_more_is_answered(observed: ObservedSite, request_id: str) -> None:
    with observed.connect() as client:
        begin(client, "/sleep?ms=10", request_id)
        client.finish()
        assert client.response().status == 200
        assert client.read_to_end() == b""
    assert observed.ended(request_id)["outcome"] == "ok"


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("size", [1, 256 << 10, 288 << 10])
@pytest.mark.parametrize("target", ["/spin", "/sleep?ms=60000"])
def test_while_nobody_reads_its_body(
    observed: ObservedSite, target: str, size: int, how: str, request_id: str
) -> None:
    # The gateway holds 256 KiB for a guest: the rest of a larger body stays in the socket. The end comes behind
    # all of it, and not while there is no room for some.
    body = bytes(size)
    with observed.connect() as client:
        begin(client, target, request_id, f"Content-Length: {len(body)}", method="POST")
        client.send(body)
        works(observed, "fail")
        if how == "reset":
            client.reset()
    assert_cancelled(observed, request_id)


@pytest.mark.parametrize("how", ["reset", "close"])
def test_behind_another_request(observed: ObservedSite, how: str, request_id: str) -> None:
    with observed.connect() as client:
        begin(client, "/sleep?ms=60000", request_id)
        client.request("/hello")
        works(observed, "fail")
        if how == "reset":
            client.reset()
    assert_cancelled(observed, request_id)


def test_in_the_midst_of_its_body(observed: ObservedSite, request_id: str) -> None:
    with observed.connect() as client:
        begin(client, "/echo", request_id, "Content-Length: 10", method="POST")
        client.send(b"hello")
        assert client.read_head().status == 200
        assert client.read_chunk() == b"hello"
        client.reset()
    assert_cancelled(observed, request_id, 200)


@pytest.mark.parametrize("target", ["/spin-after", "/slow?n=2&ms=60000", "/flood?mib=4096"])
def test_in_the_midst_of_the_response(observed: ObservedSite, target: str, request_id: str) -> None:
    with observed.connect() as client:
        begin(client, target, request_id)
        assert client.read_head().status == 200
        assert client.read_chunk()
        client.reset()
    assert_cancelled(observed, request_id, 200)


def test_when_the_guest_has_ended_and_the_response_has_not(
    observed: ObservedSite, request_id: str
) -> None:
    with observed.connect(window=WINDOW) as client:
        begin(client, "/burst", request_id)
        observed.until_only_its_client_is_late(client, "fail")
        client.reset()
    # The guest has done what it could.
    ended = observed.ended(request_id)
    assert (ended["status"], ended["outcome"]) == (200, "ok")


def test_a_client_that_is_late_has_its_response(observed: ObservedSite) -> None:
    with observed.connect(window=WINDOW) as client:
        client.request("/burst")
        observed.until_only_its_client_is_late(client, "fail")
        assert client.read_until(b"\r\n0\r\n\r\n").endswith(b"\0\r\n0\r\n\r\n")
        assert client.get("/hello").status == 200


def test_when_the_response_is_over(observed: ObservedSite, request_id: str) -> None:
    with observed.connect() as client:
        begin(client, "/sleep-after?ms=60000", request_id, host="hurried.test")
        assert client.response().status == 200
        client.reset()
    # It was not for its client that the guest went on.
    assert observed.ended(request_id)["outcome"] == "deadline"


def test_a_deadline_while_the_client_does_not_read(observed: ObservedSite, request_id: str) -> None:
    with observed.connect() as client:
        begin(client, "/flood?mib=4096", request_id, host="hurried.test")
        assert client.read_head().status == 200
        assert observed.ended(request_id)["outcome"] == "deadline"
        assert not client.read_to_end().endswith(b"0\r\n\r\n")
