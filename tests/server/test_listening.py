"""Where the server listens, and what is said where it cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gateway.config import ServerConfig
from gateway.server import ListenError, bind, listen
from tests.harness import PATIENCE


def test_an_address_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            bind(ServerConfig(port=port))
    assert str(caught.value) == (
        f"cannot listen on http://127.0.0.1:{port}: the port is in use: stop what listens there, or "
        "choose another port"
    )


def test_an_address_that_was_taken_since_is_told() -> None:
    config = ServerConfig(port=0)
    with bind(config) as first:
        config = ServerConfig(port=first.getsockname()[1])
        # Two sockets may share an address until one of them listens.
        with bind(config) as second:
            listen(first, config)
            with pytest.raises(ListenError, match="the port is in use"):
                listen(second, config)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "no such address"),
        ("no-such-host.invalid", 'cannot listen on "no-such-host.invalid": '),
        ("a" * 70, "it is no host name"),
    ],
)
def test_a_host_of_no_use_is_told(host: str, reason: str) -> None:
    with pytest.raises(ListenError, match=reason):
        bind(ServerConfig(host=host, port=0))


def _addresses() -> Iterator[tuple[str, str, str]]:
    """What can be listened on here, the host of its URL, and an address that reaches it."""
    yield "127.0.0.1", "127.0.0.1", "127.0.0.1"
    yield "localhost", "localhost", "127.0.0.1"
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return  # many containers have no IPv6
    yield "::1", "[::1]", "::1"
    yield "[::1]", "[::1]", "::1"
    yield "::", "[::]", "::1"
    if socket.has_dualstack_ipv6():
        yield "::", "[::]", "127.0.0.1"


@pytest.mark.parametrize(("host", "url_host", "address"), list(_addresses()))
def test_an_address_is_listened_on(host: str, url_host: str, address: str) -> None:
    config = ServerConfig(host=host, port=0)
    with bind(config) as sock:
        url = listen(sock, config)
        port = sock.getsockname()[1]
        assert url == f"http://{url_host}:{port}"
        socket.create_connection((address, port), PATIENCE).close()
