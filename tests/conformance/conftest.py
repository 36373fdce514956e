"""One gateway for all of these tests."""

from collections.abc import Iterator

import pytest

from tests.conformance.probe import Probe
from tests.harness import GatewayProcess, GuestPath

CONFIG = """
[server]
admin_addr = "127.0.0.1:0"

[defaults]
max_concurrency = 16

[[components]]
name = "probe"
source = "{source}"
arguments = ["first", "second argument"]
environment = {{ ZEBRA = "1", ANT = "", MIX = "a=b ü" }}

# The same with little time, for guests that never end: enough to begin, however busy the machine.
[[components]]
name = "hasty"
source = "{source}"
routes = [{{ path = "/hasty" }}]
max_execution_time = "1s"
"""


@pytest.fixture(scope="session")
def serving(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with the guest `python/probe`."""
    config = tmp_path_factory.mktemp("conformance") / "gateway.toml"
    config.write_text(CONFIG.format(source=guest("python/probe")))
    with GatewayProcess(config) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def probe(serving: GatewayProcess) -> Probe:
    """The guest, to ask."""
    return Probe(serving, "/")


@pytest.fixture(scope="session")
def hasty_probe(serving: GatewayProcess) -> Probe:
    """The same guest, which is given a second for each request."""
    return Probe(serving, "/hasty")
