"""A component whose instances come to nothing."""

from tests.harness import GuestPath, RawConnection, StartGateway


def test_a_start_function_that_traps_fails_each_request(
    guest: GuestPath, gateway: StartGateway
) -> None:
    """It compiles and links, so it is served; each request is answered with 500, and the log says why."""
    running = gateway(guest("wat/trap-start"))
    with RawConnection(running.port) as client:
        for request_id in ("first", "second"):
            client.send(f"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {request_id}\r\n\r\n".encode())
            assert client.read_until(b"\r\n").startswith(b"HTTP/1.1 500 ")
            assert request_id.encode() in client.read_until(b"}")
            running.wait_for_log(
                event="component trapped", request_id=request_id, trap="unreachable"
            )
