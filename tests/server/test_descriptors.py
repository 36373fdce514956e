"""File descriptors: a process has so many, and guests may not have all of them."""

import contextlib
import resource
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.bindings.descriptors import RESERVE
from tests.harness import PATIENCE, GatewayProcess, GuestPath, RawConnection, probe_headers

LIMIT = 256

CONFIG = """
[server]
operational_routes = "first"

[[components]]
name = "probe"
source = "{source}"
allowed_outbound_hosts = ["http://127.0.0.1:{port}"]
"""

ASK_WITHOUT_END = """
import sys

futures = []
for number in range(64):
    message = types.OutgoingRequest(types.Fields())
    message.set_scheme(types.Scheme_Http())
    message.set_authority("127.0.0.1:{port}")
    message.set_path_with_query("/")
    futures.append(outgoing_handler.handle(message, None))
pollables = [future.subscribe() for future in futures]
print("all asked", file=sys.stderr, flush=True)
while True:
    waiting = [each for each in pollables if not each.ready()]
    poll.poll(waiting)
"""


def get(url: str) -> str:
    """What a new connection is answered."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:  # noqa: S310 - it is the gateway's
        text: str = response.read().decode()
        return text


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server with which any number of connections are made, and that never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener.getsockname()[1]


def test_guests_that_open_all_they_can_leave_the_server_its_connections(
    guest: GuestPath, silent: int, tmp_path: Path
) -> None:
    """Five requests, each of which makes 64 others: more than there are descriptors."""
    config = tmp_path / "gateway.toml"
    config.write_text(CONFIG.format(source=guest("python/probe"), port=silent))
    headers = probe_headers(ASK_WITHOUT_END.format(port=silent))
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET / HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n".encode()
    with (
        GatewayProcess(config, max_open_files=LIMIT) as gateway,
        contextlib.ExitStack() as clients,
    ):
        for _ in range(5):
            clients.enter_context(RawConnection(gateway.port)).send(request)
        after = 0
        for _ in range(5):
            gateway.wait_for_log(event="guest output", line="all asked", after=after)
            after = 1 + [log.get("line") for log in gateway.logs].index("all asked", after)
        gateway.wait_for_log(event="file descriptors exhausted", component="probe")
        for _ in range(LIMIT // 4):
            clients.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
        for _ in range(10):
            get(f"{gateway.url}/healthz")
        refused = 'gateway_descriptors_refused_total{component="probe"} '
        [line] = [
            line for line in get(f"{gateway.url}/metrics").splitlines() if line.startswith(refused)
        ]
        assert float(line.removeprefix(refused)) == 5 * 64 - (LIMIT // 2 - RESERVE)
        told = [log for log in gateway.logs if log["event"] == "file descriptors exhausted"]
        assert len(told) == 1


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="asks Linux for its limits")
def test_the_limit_is_raised_to_what_it_may_be(guest: GuestPath) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    try:
        with GatewayProcess(guest("c/hello")) as gateway:
            limits = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert limits == (hard, hard)
