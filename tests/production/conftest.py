"""The gateways of these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness import GuestPath
from tests.production.gateways import Gateway

COMPONENTS = """
[[components]]
name = "hello"
source = "{hello}"

[[components]]
name = "echo"
source = "{echo}"
routes = [{{ path = "/echo" }}]

[[components]]
name = "fail"
source = "{fail}"
routes = [{{ host = "fail.test" }}, {{ path = "/sleep" }}, {{ path = "/slow" }}]
"""

StartGateway = Callable[..., Gateway]


@pytest.fixture(scope="session")
def config(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of three components."""
    path = tmp_path_factory.mktemp("production") / "gateway.toml"
    names = ("hello", "echo", "fail")
    path.write_text(COMPONENTS.format_map({name: guest(f"c/{name}") for name in names}))
    return path


@pytest.fixture
def start(config: Path) -> Iterator[StartGateway]:
    """`start("--workers", "2")`: a gateway that serves until the test ends."""
    with ExitStack() as started:

        def start(*options: str, target: Path = config) -> Gateway:
            return started.enter_context(Gateway(target, "--admin-addr", "127.0.0.1:0", *options))

        yield start
