"""Fixtures that the tests share."""

import gc
import re
import signal
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, find, settings
from hypothesis.strategies import none

from tests.capabilities.servers import Nats, Redis
from tests.guests import build
from tests.guests.toolchains import Unavailable
from tests.harness import GatewayProcess, GuestPath, StartGateway

HOST = Path(__file__).parent / "host"
"""What Python runs on the stacks of fibers depends on its version more than anything else does."""

STACK = re.compile("asyncio|uvloop|h11|httptools")
"""The loops and parsers, in the name of a test that runs on some of them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--smoke",
        action="store_true",
        help="run all tests of the host, and of every other file the first on each loop and parser: "
        "for other versions of Python",
    )


# Nothing may depend on how fast the machine is. In CI hypothesis has a profile of its own that says so.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
if not build.IN_CI:
    settings.load_profile("any-machine")


def pytest_configure() -> None:
    # A shell without job control has what it starts in the background ignore this, and all that it starts in turn.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # First, so that nothing waits for one at the end.
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    if not config.getoption("smoke"):
        return
    short = [item for item in items if item.get_closest_marker("long") is None]
    first = {(item.path, *STACK.findall(item.name)): item for item in reversed(short)}
    kept = {item for item in short if item.path.parent == HOST} | set(first.values())
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def pytest_collection_finish() -> None:
    # Thousands of tests and their parameters stay until the end. Many a test collects all garbage, which takes
    # half a second for as long as these are looked at. Hypothesis asks the collector who holds its random numbers
    # when the first of its tests runs, and what is frozen is not told of: it has to ask before.
    find(none(), lambda _: True)
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Makes a skipped test a failed one in CI, which has everything that any test needs."""
    report = yield
    if build.IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def structlog_as_before() -> Iterator[None]:
    """Leaves structlog as no application has configured it: another test's gateway tells its lines to `caplog`."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The loop that the gateway runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A NATS server for tests that leave it as it is."""
    with Nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis server for tests that leave it as it is."""
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


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
