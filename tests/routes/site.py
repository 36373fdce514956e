"""A gateway with a component for each kind of trouble, each behind a host of its own."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

from tests.harness import PATIENCE, GatewayProcess, LogRecord
from tests.routes.wire import HOST, Client, Response, get, post

CONFIG: Final = """
[server]
port = 0
max_header_bytes = "16KiB"

[defaults]
max_concurrency = 128

[[components]]
name = "fail"
source = "{fail}"

[[components]]
name = "hello"
source = "{hello}"
routes = [{{ path = "/hello" }}]

[[components]]
name = "echo"
source = "{echo}"
routes = [{{ path = "/echo" }}]
max_execution_time = "10m"

# The same guests, given less.
[[components]]
name = "hasty"
source = "{fail}"
routes = [{{ host = "hasty.test" }}]
max_execution_time = "100ms"

# Time enough to begin a response, however busy the machine.
[[components]]
name = "hurried"
source = "{fail}"
routes = [{{ host = "hurried.test" }}]
max_execution_time = "1s"

# Time without end, and little to compute in it.
[[components]]
name = "thrifty"
source = "{fail}"
routes = [{{ host = "thrifty.test" }}]
max_execution_time = "unlimited"
max_cpu_time = "50ms"

[[components]]
name = "small"
source = "{fail}"
routes = [{{ host = "small.test" }}]
max_memory = "16MiB"

[[components]]
name = "brief"
source = "{fail}"
routes = [{{ host = "brief.test" }}]
max_body = "64KiB"

[[components]]
name = "brief-echo"
source = "{echo}"
routes = [{{ host = "brief-echo.test" }}]
max_body = "64KiB"

[[components]]
name = "few"
source = "{echo}"
routes = [{{ host = "few.test" }}]
max_concurrency = 2
"""


def write_config(folder: Path, sources: Mapping[str, Path]) -> Path:
    """Writes `CONFIG`; `sources` are the paths of the guests `fail`, `hello` and `echo`."""
    path = folder / "gateway.toml"
    path.write_text(CONFIG.format_map(sources))
    return path


class Site(GatewayProcess):
    """A gateway to connect to."""

    def connect(self, step: int = 1 << 16, window: int | None = None) -> Client:
        """A new connection, see `Client`."""
        return Client(self.port, step, window)

    def get(self, target: str, *headers: str, host: str = HOST) -> Response:
        """Answers to a GET on a connection of its own."""
        return get(self, target, *headers, host=host)

    def post(self, target: str, body: bytes, *headers: str, host: str = HOST) -> Response:
        """Answers to a POST on a connection of its own."""
        return post(self, target, body, *headers, host=host)

    def ended(self, request_id: str) -> LogRecord:
        """Waits for the end of a request, and gives the record that tells of it."""
        return self.wait_for_log(event="request", request_id=request_id)

    def story(self, request_id: str) -> list[LogRecord]:
        """All that the log has of a request, once that has ended."""
        self.ended(request_id)
        return [record for record in self.logs if record.get("request_id") == request_id]


class ObservedSite(Site):
    """A gateway that tells what it holds: `tests.routes.observed`."""

    def __init__(self, config: Path) -> None:
        super().__init__(config)
        self._command = [sys.executable, "-m", "tests.routes.observed", str(config)]
        self._env |= {"PYTHONPATH": os.pathsep.join(sys.path)}

    def state(self) -> Any:
        """What `tests.routes.observed.Observed.state` gives."""
        return self.get("/.state").json

    def memory(self) -> Any:
        """What `tests.routes.observed.memory` gives."""
        return self.get("/.memory").json

    def wait_for(self, condition: Callable[[Any], bool]) -> Any:
        """Asks for the state until it is as wanted.

        Raises:
            AssertionError: The time is up.
        """
        deadline = monotonic() + PATIENCE
        while not condition(state := self.state()):
            assert monotonic() < deadline, state
        return state

    def idle(self) -> Any:
        """Waits until no component is at work, and gives the state."""
        return self.wait_for(lambda state: not any(state["in_flight"].values()))

    @contextmanager
    def left_as_it_was(self) -> Iterator[None]:
        """Sees that what is done meanwhile leaves nothing."""
        before = self.idle()
        yield
        after = self.idle()
        assert after["stores"] == 0
        assert after["tasks"] == before["tasks"]

    def until_only_its_client_is_late(self, client: Client, component: str) -> None:
        """Waits until the guest of `/burst` has ended, while most of its response is still to be sent."""
        assert client.read_head().status == 200
        state = self.wait_for(lambda state: not state["stores"])
        assert state["in_flight"][component] == 1
