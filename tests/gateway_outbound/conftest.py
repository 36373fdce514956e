"""The gateway that these tests share, and the servers that its components ask."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from tests.gateway_outbound.peers import StartPeer, peers
from tests.harness import GuestPath
from tests.routes.site import Site

CONFIG: Final = """
[[components]]
name = "hello"
source = "{hello}"
routes = [{{ path = "/hello" }}]

[[components]]
name = "fetcher"
source = "{fetcher}"
allowed_outbound_hosts = ["http://127.0.0.1:*"]

[[components]]
name = "proxy"
source = "{proxy}"
routes = [{{ host = "proxy.test" }}]
allowed_outbound_hosts = ["http://127.0.0.1:*"]
max_execution_time = "10m"

# Time enough to ask, however busy the machine.
[[components]]
name = "hurried"
source = "{proxy}"
routes = [{{ host = "hurried.test" }}]
allowed_outbound_hosts = ["http://127.0.0.1:*"]
max_execution_time = "1s"

# The same of WASI 0.3, and what else one may do with a request there.
[[components]]
name = "three"
source = "{three}"
routes = [{{ host = "proxy-0-3.test" }}]
allowed_outbound_hosts = ["http://127.0.0.1:*"]
max_execution_time = "10m"

[[components]]
name = "hurried-three"
source = "{three}"
routes = [{{ host = "hurried-0-3.test" }}]
allowed_outbound_hosts = ["http://127.0.0.1:*"]
max_execution_time = "1s"

[[components]]
name = "denied"
source = "{fetcher}"
routes = [{{ host = "denied.test" }}]

# All hosts, of which special addresses are none.
[[components]]
name = "public"
source = "{fetcher}"
routes = [{{ host = "public.test" }}]
allowed_outbound_hosts = ["http://*:*"]
"""


@pytest.fixture(scope="session")
def site(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway whose components may ask other servers, or may not."""
    sources: dict[str, Path] = {
        "hello": guest("c/hello"),
        "fetcher": guest("js/echo"),
        "proxy": guest("c/proxy"),
        "three": guest("wat/wasi-0-3-client"),
    }
    config = tmp_path_factory.mktemp("gateway_outbound") / "gateway.toml"
    config.write_text(CONFIG.format_map(sources))
    with Site(config) as site:
        yield site


@pytest.fixture
def start_peer() -> Iterator[StartPeer]:
    """`start_peer(script)`: a server that runs until the test ends."""
    with peers() as start:
        yield start


@pytest.fixture
def request_id() -> str:
    """An id that joins a request and its log."""
    return uuid4().hex
