"""Whoever is slow makes the other side wait; the gateway holds little in between."""

from tests.harness import PATIENCE
from tests.routes.site import Site
from tests.routes.wire import Client

MIB = 1 << 20

BUFFERED = 48 * MIB
"""Bytes that may be on their way: in the gateway a few MiB, in the kernel's buffers of both ends up to 10 MiB
each way, and slack."""

GROWTH = 24 * MIB
"""Bytes that the gateway itself may grow by."""


def others_are_served(site: Site) -> None:
    """Answers 100 requests: many turns for whoever could go on."""
    with site.connect() as client:
        for _ in range(100):
            assert client.get("/hello").status == 200


def send_until_full(client: Client, most: int) -> int:
    """Sends zeroes until the socket takes no more; returns how many that were."""
    client.socket.setblocking(False)
    sent = 0
    try:
        while sent < most:
            sent += client.socket.send(bytes(min(MIB, most - sent)))
    except BlockingIOError:
        return sent
    finally:
        client.socket.settimeout(PATIENCE)
    return sent


def send_while_taken(site: Site, client: Client, most: int) -> int:
    """Sends until nothing more is taken, even after others were served; returns how many bytes."""
    total = sent = send_until_full(client, most)
    while sent:
        others_are_served(site)
        sent = send_until_full(client, most - total)
        total += sent
    return total


def test_a_client_that_does_not_read_makes_the_guest_wait(site: Site, request_id: str) -> None:
    with site.connect() as client:
        before = site.rss()
        client.request("/flood?mib=4096", f"X-Request-Id: {request_id}")
        assert client.read_head().status == 200
        others_are_served(site)
        assert site.rss() - before < GROWTH
        client.reset()
    ended = site.ended(request_id)
    assert ended["outcome"] == "cancelled"
    assert 0 < ended["sent"] < BUFFERED


def test_a_guest_that_waited_for_its_client_goes_on(site: Site) -> None:
    with site.connect() as client:
        client.request("/flood?mib=16")
        assert client.read_head().status == 200
        others_are_served(site)
        assert sum(map(len, client.read_chunks())) == 16 * MIB


def test_a_guest_that_does_not_read_makes_the_client_wait(site: Site, request_id: str) -> None:
    with site.connect() as client:
        before = site.rss()
        # It reads no more than it may write, and nobody reads what it has written.
        client.request(
            "/echo",
            f"X-Request-Id: {request_id}",
            f"Content-Length: {4096 * MIB}",
            method="POST",
        )
        assert send_while_taken(site, client, 4096 * MIB) < BUFFERED
        assert site.rss() - before < GROWTH
        client.reset()
    assert site.ended(request_id)["outcome"] == "cancelled"


def test_a_client_that_waited_for_the_guest_goes_on(site: Site) -> None:
    with site.connect() as client:
        client.request("/echo", "Transfer-Encoding: chunked", method="POST")
        client.send(b"%x\r\n" % (4096 * MIB))
        total = send_while_taken(site, client, 4096 * MIB)
        assert client.read_head().status == 200
        echoed = 0
        while echoed < total:
            echoed += len(client.read_chunk())
        assert echoed == total
