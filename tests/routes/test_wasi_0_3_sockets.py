"""Sockets of components of WASI 0.3."""

from collections.abc import Iterator
from random import Random

import pytest

from tests.bindings.outbound.peer import Wire
from tests.gateway_outbound.peers import Signal, StartPeer, peers, refusing
from tests.harness import GuestPath
from tests.routes.site import ObservedSite
from tests.routes.test_body import MIB

CONFIG = """
[server]
port = 0

[[components]]
name = "sockets"
source = "{guest}"
allowed_outbound_hosts = ["tcp://127.0.0.1:*"]
max_execution_time = "10m"

[[components]]
name = "inside"
source = "{guest}"
routes = [{{ host = "inside.test" }}]
"""

ACCESS_DENIED, INVALID_STATE, CONNECTION_REFUSED = 400, 405, 409


@pytest.fixture(scope="module")
def gateway(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedSite]:
    """Two components, of which one may connect to this machine."""
    path = tmp_path_factory.mktemp("wasi-0-3-sockets") / "gateway.toml"
    path.write_text(CONFIG.format(guest=guest("wat/wasi-0-3-sockets")))
    with ObservedSite(path) as site:
        yield site


@pytest.fixture
def start_peer() -> Iterator[StartPeer]:
    """`start_peer(script)`: a server that runs until the test ends."""
    with peers() as start:
        yield start


@pytest.fixture(autouse=True)
def _nothing_is_left(gateway: ObservedSite) -> Iterator[None]:
    with gateway.left_as_it_was():
        yield


@pytest.mark.parametrize("host", ["gateway.test", "inside.test"])
@pytest.mark.parametrize("target", ["/tcp", "/udp", "/c"])
def test_a_guest_talks_to_itself(gateway: ObservedSite, target: str, host: str) -> None:
    response = gateway.get(target, host=host)
    assert (response.status, response.body) == (200, b"ping")


async def echo(wire: Wire) -> None:
    """Sends back what comes, to the end."""
    while data := await wire.some():
        await wire.send(data)


@pytest.mark.parametrize("size", [0, 5, 3 * MIB + 1])
def test_bytes_go_out_and_come_back(
    gateway: ObservedSite, start_peer: StartPeer, size: int
) -> None:
    content = Random(size).randbytes(size)  # noqa: S311 - not for secrets
    assert gateway.post(f"/o{start_peer(echo).port}", content).body == content


def test_a_client_that_leaves_ends_the_connection(
    gateway: ObservedSite, start_peer: StartPeer, request_id: str
) -> None:
    reached, hung_up = Signal("the peer was asked"), Signal("its connection was closed")

    async def script(wire: Wire) -> None:
        await wire.read(4)
        reached.set()
        await wire.hung_up()
        hung_up.set()

    with gateway.connect() as client:
        port = start_peer(script).port
        client.request(
            f"/o{port}", f"X-Request-Id: {request_id}", "Content-Length: 5", method="POST"
        )
        client.send(b"ping")
        reached.wait()
    hung_up.wait()
    assert gateway.ended(request_id)["outcome"] == "cancelled"


def test_what_is_not_granted_is_denied(gateway: ObservedSite, start_peer: StartPeer) -> None:
    target = f"/o{start_peer(echo).port}"
    assert gateway.get(target, host="inside.test").status == ACCESS_DENIED


def test_errors_have_their_codes(gateway: ObservedSite) -> None:
    with refusing() as nobody:
        port = nobody.rpartition(":")[2]
        assert gateway.get(f"/o{port}").status == CONNECTION_REFUSED
    assert gateway.get("/e").status == INVALID_STATE


@pytest.mark.parametrize(
    ("name", "status"),
    [("127.0.0.1", 201), ("::1", 201), ("localhost", 202), ("a:b", 401), ("example.test", 404)],
)
def test_names_are_resolved(gateway: ObservedSite, name: str, status: int) -> None:
    assert gateway.get(f"/r{name}").status == status
