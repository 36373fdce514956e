"""Gateways that are stopped and started again at the same addresses."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import httpx

from tests import ask
from tests.harness import PATIENCE, GatewayProcess

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"


class Gateway(GatewayProcess):
    """A gateway with an address for those who run it.

    Attributes:
        admin_url: that address.
    """

    admin_url: str

    def __enter__(self) -> Self:
        super().__enter__()
        self.admin_url = self.wait_for_log(event="listening")["admin_url"]
        return self

    def workers(self) -> set[int]:
        """The processes that serve, of several."""
        found = set()
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(pid)
        return found

    def signal(self, number: signal.Signals) -> int:
        """Send a signal; gives how many records had been logged before."""
        seen = len(self.logs)
        os.kill(self.pid, number)
        return seen

    def wait_until_reloaded(self, after: int) -> None:
        """Wait until each worker has told that it has, in the records behind so many."""
        number = len(self.workers()) or 1
        until(lambda: sum(line["event"] == "reloaded" for line in self.logs[after:]) >= number)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def ended(self) -> int:
        """Wait for the end without asking for it; gives the exit status."""
        return self._process.wait(PATIENCE)

    def in_flight(self, component: str) -> float:
        """How many invocations of a component are under way, as Prometheus is told."""
        text = ask.get(f"{self.admin_url}/metrics").text
        name = f'gateway_invocations_in_flight{{component="{component}"}} '
        (value,) = [line.removeprefix(name) for line in text.splitlines() if line.startswith(name)]
        return float(value)

    def ready(self) -> httpx.Response:
        """Ask whether requests may be sent there."""
        return ask.get(f"{self.admin_url}/readyz")


def until(condition: Callable[[], Any]) -> Any:
    """Ask until the answer is a true one, and give it.

    Raises:
        AssertionError: the time is up.
    """
    deadline = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.01)  # for what it waits for
    return answer


class Asking:
    """A request that is under way, in a thread.

    Attributes:
        response: the answer, once `wait` has returned.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self.response = ask.get(self._url)
        except httpx.HTTPError as error:
            self._failure = error

    def wait(self) -> httpx.Response:
        """Wait for the answer."""
        self._thread.join(PATIENCE)
        if self._failure is not None:
            raise self._failure
        return self.response
