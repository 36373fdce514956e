"""Peers that refuse, break off or stall, and clients that leave: everyone learns of it, nothing is left."""

from typing import Final

import pytest

from tests.gateway_outbound.peers import CHUNKED, Stalling, StartPeer, chunk, refusing, resetting
from tests.routes.site import Site
from tests.routes.wire import BrokenBody

ROUTES: Final = pytest.mark.parametrize(
    ("host", "route"),
    [
        pytest.param("gateway.test", "/pipe?url=http:/", id="js/echo"),
        pytest.param("proxy.test", "", id="c/proxy"),
    ],
)
"""Guests that hand on a response: a request to `host` for `route/AUTHORITY/`."""

HALF: Final = CHUNKED + chunk(b"half of it")
"""A response that is not whole."""


def log_of_failure(site: Site, request_id: str) -> str:
    """The `error-code` of the request that failed."""
    failed = site.wait_for_log(event="outbound request failed", request_id=request_id)
    error: str = failed["error"]
    return error


# --- refused, reset --------------------------------------------------------------------------------------


def test_a_peer_that_refuses_is_an_error_of_fetch(site: Site, request_id: str) -> None:
    with refusing() as authority:
        response = site.get(f"/get?url=http://{authority}/", f"X-Request-Id: {request_id}")
    assert response.status == 502
    assert "error" in response.json
    assert log_of_failure(site, request_id) == "connection-refused"


def test_a_peer_that_breaks_off_before_its_response_is_an_error_of_fetch(
    site: Site, start_peer: StartPeer, request_id: str
) -> None:
    peer = start_peer(resetting(b"HTTP/1.1 200"))
    response = site.get(f"/get?url=http://{peer.authority}/", f"X-Request-Id: {request_id}")
    assert response.status == 502
    assert "error" in response.json
    assert log_of_failure(site, request_id) == "connection-terminated"


def test_a_peer_that_breaks_off_in_its_response_is_an_error_of_its_text(
    site: Site, start_peer: StartPeer, request_id: str
) -> None:
    peer = start_peer(resetting(HALF))
    response = site.get(f"/get?url=http://{peer.authority}/", f"X-Request-Id: {request_id}")
    assert response.status == 502
    assert "error" in response.json
    assert log_of_failure(site, request_id) == "connection-terminated"


def test_a_response_that_breaks_off_is_not_taken_for_a_whole_one(
    site: Site, start_peer: StartPeer, request_id: str
) -> None:
    # StarlingMonkey ends a response whose body it is copying from one that breaks off: ask a guest in C.
    peer = start_peer(resetting(HALF))
    with site.connect() as client:
        client.request(f"/{peer.authority}/", f"X-Request-Id: {request_id}", host="proxy.test")
        head = client.read_head()
        with pytest.raises(BrokenBody):
            client.read_content(head)
    assert log_of_failure(site, request_id) == "connection-terminated"


# --- the client leaves -----------------------------------------------------------------------------------


@ROUTES
def test_a_client_that_leaves_takes_the_request_along(
    site: Site, start_peer: StartPeer, request_id: str, host: str, route: str
) -> None:
    stalling = Stalling()
    peer = start_peer(stalling)
    with site.connect() as client:
        client.request(f"{route}/{peer.authority}/", f"X-Request-Id: {request_id}", host=host)
        stalling.reached.wait()
        client.reset()
    stalling.hung_up.wait()
    assert site.ended(request_id)["outcome"] == "cancelled"


@ROUTES
def test_a_client_that_leaves_in_the_response_takes_the_request_along(
    site: Site, start_peer: StartPeer, request_id: str, host: str, route: str
) -> None:
    stalling = Stalling(HALF)
    peer = start_peer(stalling)
    with site.connect() as client:
        client.request(f"{route}/{peer.authority}/", f"X-Request-Id: {request_id}", host=host)
        assert client.read_head().status == 200
        assert client.read_chunk() == b"half of it"
        client.reset()
    stalling.hung_up.wait()
    assert site.ended(request_id)["outcome"] == "cancelled"


def test_a_client_that_leaves_in_its_request_takes_the_request_along(
    site: Site, start_peer: StartPeer, request_id: str
) -> None:
    stalling = Stalling()
    peer = start_peer(stalling)
    with site.connect() as client:
        target = f"/{peer.authority}/"
        headers = (f"X-Request-Id: {request_id}", "Transfer-Encoding: chunked")
        client.request(target, *headers, method="POST", host="proxy.test")
        client.send_chunk(b"half of it")
        stalling.reached.wait()
        client.reset()
    stalling.hung_up.wait()
    assert site.ended(request_id)["outcome"] == "cancelled"


# --- the deadline ----------------------------------------------------------------------------------------


def test_the_deadline_ends_a_request_that_is_not_answered(
    site: Site, start_peer: StartPeer, request_id: str
) -> None:
    stalling = Stalling()
    peer = start_peer(stalling)
    response = site.get(f"/{peer.authority}/", f"X-Request-Id: {request_id}", host="hurried.test")
    assert response.status == 504
    stalling.hung_up.wait()
    assert site.ended(request_id)["outcome"] == "deadline"


def test_the_deadline_ends_a_response_that_does_not_go_on(
    site: Site, start_peer: StartPeer, request_id: str
) -> None:
    stalling = Stalling(HALF)
    peer = start_peer(stalling)
    with site.connect() as client:
        client.request(f"/{peer.authority}/", f"X-Request-Id: {request_id}", host="hurried.test")
        head = client.read_head()
        assert head.status == 200
        with pytest.raises(BrokenBody):
            client.read_content(head)
    stalling.hung_up.wait()
    assert site.ended(request_id)["outcome"] == "deadline"
