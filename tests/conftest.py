"""Fixtures that the tests share."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.guests import build
from tests.guests.toolchains import Unavailable
from tests.harness import GatewayProcess, GuestPath, StartGateway


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Makes a skipped test a failed one in CI, which has everything that any test needs."""
    report = yield
    if build.IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The loop that the gateway runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def guest() -> GuestPath:
    """`guest("c/hello")`: the path of a component, built if need be.

    A test of a guest whose tools are missing on this machine is skipped with the reason.
    """

    def path(name: str) -> Path:
        try:
            return build.ALL[name].build()
        except Unavailable as missing:
            pytest.skip(f"{name}: {missing}")

    return path


@pytest.fixture
def gateway() -> Iterator[StartGateway]:
    """`gateway(guest("c/hello"), "--max-memory", "64MiB")`: a running gateway."""
    with ExitStack() as running:

        def start(
            target: str | Path, *options: str, env: Mapping[str, str] | None = None
        ) -> GatewayProcess:
            return running.enter_context(GatewayProcess(target, *options, env=env))

        yield start
