"""How responses are framed (RFC 9112 section 6), and that a connection goes on after any of them."""

import pytest

from tests.routes.site import Site
from tests.routes.wire import BrokenBody, Client

HELLO = b"Hello, World!\n"


def still_answers(client: Client) -> None:
    """The connection is where the next request begins."""
    assert client.get("/hello").body == HELLO


# --- of known and unknown length -----------------------------------------------------------------


def test_a_body_of_unknown_length_is_chunked(site: Site) -> None:
    with site.connect() as client:
        client.request("/slow?n=3&ms=1")
        head = client.read_head()
        assert head["transfer-encoding"] == "chunked"
        assert "content-length" not in head
        assert b"".join(client.read_chunks()) == b"chunk\n" * 3
        still_answers(client)


def test_a_body_that_is_whole_at_once_has_its_length_told(site: Site) -> None:
    with site.connect() as client:
        client.request("/hello")
        head = client.read_head()
        assert head["content-length"] == str(len(HELLO))
        assert "transfer-encoding" not in head
        assert client.read_content(head) == HELLO
        still_answers(client)


# --- without content -----------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/hello", "/status?code=404", "/slow?n=3&ms=1", "/trap", "/no"])
def test_a_response_to_head_ends_with_its_head(site: Site, target: str) -> None:
    status = site.get(target).status
    with site.connect() as client:
        client.request(target, method="HEAD")
        assert client.read_head().status == status
        still_answers(client)


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_ends_with_its_head(site: Site, status: int) -> None:
    with site.connect() as client:
        client.request(f"/status?code={status}")
        head = client.read_head()
        assert head.status == status
        assert "content-length" not in head
        assert "transfer-encoding" not in head
        still_answers(client)


# --- statuses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 299, 301, 404, 418, 499, 500, 599])
def test_a_final_status_is_the_guest_s_own(site: Site, status: int) -> None:
    with site.connect() as client:
        response = client.get(f"/status?code={status}")
        assert (response.status, response.body) == (status, b"status\n")
        still_answers(client)


@pytest.mark.parametrize("status", [100, 101, 103, 199, 600, 999])
def test_a_status_of_no_final_response_is_an_error(
    site: Site, status: int, request_id: str
) -> None:
    with site.connect() as client:
        response = client.get(f"/status?code={status}", f"X-Request-Id: {request_id}")
        assert (response.status, response.json["status"]) == (500, 500)
        still_answers(client)
    unusable, ended = site.story(request_id)
    assert unusable["event"] == "response unusable"
    assert str(status) in unusable["reason"]
    assert (ended["status"], ended["outcome"]) == (500, "err")


# --- HTTP/1.0 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/hello", "/slow?n=3&ms=1"])
def test_a_response_to_http_1_0_ends_with_the_connection(site: Site, target: str) -> None:
    body = site.get(target).body
    with site.connect() as client:
        client.request(target, version="1.0")
        head = client.read_head()
        assert "transfer-encoding" not in head
        assert client.read_to_end() == body


# --- connections ---------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(site: Site) -> None:
    with site.connect() as client:
        for number in range(20):
            body = b"x" * number
            assert client.post("/echo", body).body == body
            still_answers(client)


def test_pipelined_requests_are_answered_in_order(site: Site) -> None:
    with site.connect() as client:
        client.request("/slow?n=2&ms=1")
        client.request("/echo", method="POST", body=b"second")
        client.request("/trap")
        client.request("/sleep?ms=1")
        client.request("/hello", method="HEAD")
        client.request("/hello")
        assert client.response().body == b"chunk\nchunk\n"
        assert client.response().body == b"second"
        assert client.response().status == 500
        assert client.response().body == b"slept\n"
        assert client.response("HEAD").status == 200
        assert client.response().body == HELLO


def test_a_connection_is_closed_when_the_client_asks_for_it(site: Site) -> None:
    with site.connect() as client:
        response = client.get("/hello", "Connection: close")
        assert (response["connection"], response.body) == ("close", HELLO)
        assert client.read_to_end() == b""


# --- broken --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "begun"),
    [("/slow?n=2&ms=60000", b"chunk\n"), ("/spin-after", b"before the loop\n")],
)
def test_a_response_that_is_cut_short_is_broken(site: Site, target: str, begun: bytes) -> None:
    with site.connect() as client:
        client.request(target, host="hurried.test")
        head = client.read_head()
        assert (head.status, head["transfer-encoding"]) == (200, "chunked")
        with pytest.raises(BrokenBody) as broken:
            client.read_content(head)
    assert broken.value.args == (begun,)


@pytest.mark.parametrize("target", ["/slow?n=2&ms=60000", "/spin-after"])
def test_a_response_to_http_1_0_that_is_cut_short_is_reset(site: Site, target: str) -> None:
    # It has no other way to show that this is not its end.
    with site.connect() as client:
        client.request(target, host="hurried.test", version="1.0")
        assert client.read_head().status == 200
        with pytest.raises(ConnectionResetError):
            client.read_to_end()


def test_a_response_that_is_whole_is_sent_whatever_comes_then(site: Site) -> None:
    with site.connect() as client:
        assert client.get("/trap-last").body == b"answered\n"
        still_answers(client)
