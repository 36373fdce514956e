"""A server in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from gateway.config import GatewayConfig
from tests import forked
from tests.harness import PATIENCE, Log
from tests.server.client import Connection

__all__ = ["ROOT", "Process"]

ROOT: Final = Path(__file__).parent.parent.parent


class Process:
    """`tests.server.echo.main` in a process group of its own, with its log."""

    def __init__(
        self,
        create_app: Callable[[GatewayConfig], Any],
        launcher: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        **options: Any,
    ) -> None:
        """Start it.

        Args:
            create_app: makes the application.
            launcher: a command that becomes the one that follows it.
            pass_fds: what it inherits.
            options: keys of the server.
        """
        arguments = [create_app.__name__, json.dumps({"log_format": "json", **options})]
        command = [*launcher, sys.executable, "-m", "tests.server.echo", *arguments]
        self.log = Log()
        reading, writing = os.pipe()
        self.log.follow(open(reading, "rb"))  # noqa: SIM115 - who follows it closes it
        with open(os.devnull, "r+b") as nothing, open(writing, "wb") as errors:
            files = nothing.fileno(), nothing.fileno(), errors.fileno()
            self.process = forked.start(
                command, os.environ, *files, new_session=True, pass_fds=pass_fds
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def events(self) -> list[str]:
        return [record["event"] for record in self.log.records()]

    @property
    def output(self) -> str:
        return "\n".join([*map(str, self.log.records()), *self.log.others()])

    def connect(self) -> Connection:
        """Connect, as soon as it listens."""
        url: str = self.wait_for(event="listening")["url"]
        return Connection(int(url.rpartition(":")[2]), 1 << 20)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_for(self, **fields: object) -> Any:
        return self.log.wait(PATIENCE, 0, fields)

    def ended(self) -> int:
        """Its exit status."""
        status = self.process.wait(PATIENCE)
        self.log.close()
        return status
