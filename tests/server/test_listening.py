"""Where the server listens, and what is said where it cannot."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config import ServerConfig
from gateway.server import ListenError, Sockets
from gateway.server.listener import Listener
from tests.harness import PATIENCE
from tests.ports import free_port


def url_of(sockets: Sockets, config: ServerConfig) -> str:
    return str(sockets.listen(config)["url"])


def test_an_address_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            Sockets.bind(ServerConfig(port=port))
    assert str(caught.value) == (
        f"cannot listen on http://127.0.0.1:{port}: the port is in use: stop what listens there, or "
        "choose another port"
    )


def test_an_address_that_was_taken_since_is_told() -> None:
    config = ServerConfig(port=0)
    with Sockets.bind(config) as first:
        config = ServerConfig(port=first.main[0].sock.getsockname()[1])
        # Two sockets may share an address until one of them listens.
        with Sockets.bind(config) as second:
            first.listen(config)
            with pytest.raises(ListenError, match="the port is in use"):
                second.listen(config)


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
        Sockets.bind(ServerConfig(host=host, port=0))


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False  # as in many containers
    return True


def _addresses() -> Iterator[tuple[str, str, str]]:
    """What can be listened on here, the host of its URL, and an address that reaches it."""
    yield "127.0.0.1", "127.0.0.1", "127.0.0.1"
    yield "localhost", "localhost", "127.0.0.1"
    if not _has_ipv6():
        return
    yield "::1", "[::1]", "::1"
    yield "[::1]", "[::1]", "::1"
    yield "::", "[::]", "::1"
    if socket.has_dualstack_ipv6():
        yield "::", "[::]", "127.0.0.1"


@pytest.mark.parametrize(("host", "url_host", "address"), list(_addresses()))
@pytest.mark.parametrize("key", ["host", "bind"])
def test_an_address_is_listened_on(key: str, host: str, url_host: str, address: str) -> None:
    bracketed = host if host.startswith("[") or ":" not in host else f"[{host}]"
    said: dict[str, Any] = {"host": host, "port": 0}
    if key == "bind":
        said = {"bind": [f"{bracketed}:0"]}
    config = ServerConfig.model_validate(said)
    with Sockets.bind(config) as sockets:
        url = url_of(sockets, config)
        port = sockets.main[0].sock.getsockname()[1]
        assert url == f"http://{url_host}:{port}"
        socket.create_connection((address, port), PATIENCE).close()


def test_all_addresses_are_listened_on_in_the_place_of_host_and_port(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    said = {"port": 1, "bind": ["127.0.0.1:0", "localhost:0"], "uds": path}
    config = ServerConfig.model_validate(said)
    with Sockets.bind(config) as sockets:
        told = sockets.listen(config)
        ports = [listener.sock.getsockname()[1] for listener in sockets.main[:2]]
        assert told == {
            "url": f"http://127.0.0.1:{ports[0]}",
            "more_urls": [f"http://localhost:{ports[1]}", f"unix:{path}"],
        }
        for port in ports:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        connect(path).close()


def test_if_one_of_them_cannot_be_had_none_is(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    config = ServerConfig.model_validate({"port": 1, "uds": path, "admin_addr": "192.0.2.1:0"})
    with pytest.raises(ListenError, match="no such address"):
        Sockets.bind(config)
    assert not path.exists()


@pytest.mark.skipif(
    not _has_ipv6() or not socket.has_dualstack_ipv6(), reason="there is no IPv6 here"
)
def test_all_addresses_of_ipv6_leave_a_port_to_ipv4_that_has_an_entry_of_its_own() -> None:
    port = free_port()
    config = ServerConfig.model_validate({"bind": [f"[::]:{port}", f"0.0.0.0:{port}"]})
    with Sockets.bind(config) as sockets:
        sockets.listen(config)
        for host, listener in (("::1", sockets.main[0]), ("127.0.0.1", sockets.main[1])):
            with socket.create_connection((host, port), PATIENCE):
                listener.sock.settimeout(PATIENCE)
                listener.sock.accept()[0].close()


# --- Unix sockets --------------------------------------------------------------------------------


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    try:
        client.settimeout(PATIENCE)
        client.connect(str(path))
    except OSError:
        client.close()
        raise
    return client


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sock"


def at(path: Path, **more: Any) -> ServerConfig:
    return ServerConfig.model_validate({"uds": path, **more})


@pytest.mark.parametrize(("said", "mode"), [({}, 0o660), ({"uds_mode": "0600"}, 0o600)])
@pytest.mark.parametrize("umask", [0, 0o777])
def test_a_unix_socket_has_its_permissions_before_anyone_can_connect(
    path: Path, said: dict[str, str], mode: int, umask: int
) -> None:
    config = at(path, **said)
    before = os.umask(umask)
    try:
        with Sockets.bind(config) as sockets:
            assert stat.S_IMODE(path.stat().st_mode) == mode
            with pytest.raises(ConnectionRefusedError):
                connect(path)
            assert url_of(sockets, config) == f"unix:{path}"
            connect(path).close()
        assert not path.exists()
    finally:
        assert os.umask(before) == umask


def test_the_permissions_of_a_unix_socket_are_not_set_by_its_path(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which leads elsewhere, if who may write to the folder is faster.
    monkeypatch.delattr(os, "chmod")
    with Sockets.bind(at(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_one_that_was_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    config = at(path)
    with Sockets.bind(config) as sockets:
        sockets.listen(config)
        connect(path).close()


@pytest.mark.parametrize("full", [False, True])
def test_one_that_is_in_use_is_not(path: Path, full: bool) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        waiting = [connect(path)] if full else []
        with pytest.raises(ListenError) as caught:
            Sockets.bind(at(path))
        assert str(caught.value) == (
            f"cannot listen on unix:{path}: a process listens there: stop it, or choose another path"
        )
        assert path.is_socket()
        for each in waiting:
            each.close()


def test_what_is_no_socket_stays(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(ListenError, match="there is a file that is no socket"):
        Sockets.bind(at(path))
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="its folder does not exist"):
        Sockets.bind(at(tmp_path / "run" / "gateway.sock"))


def test_one_that_was_put_in_its_place_stays(path: Path) -> None:
    config = at(path)
    # Nothing listens at the first one yet, so it looks as if it was left.
    with Sockets.bind(config) as first, Sockets.bind(config) as second:
        second.listen(config)
        with pytest.raises(ListenError, match="another process has put its own socket there"):
            first.listen(config)
        first.remove()
        connect(path).close()


def test_another_process_does_not_remove_it(path: Path) -> None:
    with Sockets.bind(at(path)) as sockets:
        child = os.fork()
        if not child:
            sockets.remove()
            os._exit(0)
        os.waitpid(child, 0)
        assert path.is_socket()


# --- what was handed over --------------------------------------------------------------------------


@pytest.fixture
def given(path: Path) -> Iterator[Listener]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        yield Listener.of(sock, handed_over=True)


def test_what_is_handed_over_takes_the_place_of_addresses(path: Path, given: Listener) -> None:
    config = ServerConfig.model_validate({"port": 0, "admin_addr": "127.0.0.1:0"})
    with Sockets.bind(config, [("web", given)]) as sockets:
        assert sockets.main == (given,)
        told = sockets.listen(config)
        assert told["url"] == f"unix:{path}"
        assert told["admin_url"].startswith("http://127.0.0.1:")
    assert path.is_socket()  # it is of who has made it


def test_one_that_is_named_admin_takes_the_place_of_admin_addr(path: Path, given: Listener) -> None:
    config = ServerConfig.model_validate({"port": 0, "admin_addr": "127.0.0.1:0"})
    with Sockets.bind(config, [("admin", given)]) as sockets:
        told = sockets.listen(config)
        assert told["url"].startswith("http://127.0.0.1:")
        assert told["admin_url"] == f"unix:{path}"


def test_it_is_refused_where_nothing_is_served_there(given: Listener) -> None:
    with pytest.raises(ListenError, match=re.escape('it is named "admin"')):
        Sockets.bind(ServerConfig(port=0), [("admin", given)])


def test_who_has_made_it_chooses_how_many_wait(path: Path, given: Listener) -> None:
    given.sock.listen(0)
    given.listen(16)
    with connect(path), socket.socket(socket.AF_UNIX) as second:
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.connect(str(path))


def test_one_of_the_abstract_name_space_has_a_name() -> None:
    name = f"gateway-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"\0{name}")
        assert Listener.of(sock).url == f"unix:@{name}"
