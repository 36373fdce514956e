"""A gateway as its users have it, for tests: a process, its log, its sockets, and guests to ask."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol, Self
from urllib.parse import urlsplit

from tests import ask, forked
from tests.patience import PATIENCE as PATIENCE  # noqa: PLC0414 - for all tests

LogRecord = Mapping[str, Any]

GuestPath = Callable[[str], Path]
"""The fixture `guest`: the path of the component with this name."""


class GatewayProcess:
    """`gateway serve`, in a process group of its own, on a free port of the loopback interface.

    Entered, it is listening; left, the whole group is gone, however it ended.

    Attributes:
        url: Where it listens, `http://127.0.0.1:PORT`.
        port: The port of `url`.
        pid: The process that was started, also the id of its group.
    """

    url: str
    port: int
    pid: int

    def __init__(
        self,
        target: str | Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        max_open_files: int | None = None,
        command: str = "serve",
    ) -> None:
        """Prepares to serve `target`, a component or a configuration.

        Args:
            target: The path of a `.wasm` or `.wat` file, or of a `gateway.toml`.
            options: More options of `gateway serve`.
            env: Environment variables to add.
            max_open_files: The limit of `ulimit -n`, if it is not to be that of the tests.
            command: `dev`, for `gateway dev`.
        """
        self._command = [sys.executable, "-m", "gateway", command, str(target)]
        self._command += ["--host", "127.0.0.1", "--port", "0", "--log-format", "json", *options]
        if max_open_files is not None:
            limited = f'ulimit -n {max_open_files} && exec "$@"'
            self._command = ["sh", "-c", limited, "sh", *self._command]
        self._env = os.environ | dict(env or {})
        self._log = Log()

    def __enter__(self) -> Self:
        reading, writing = os.pipe()
        self._log.follow(open(reading, "rb"))
        with open(os.devnull, "rb") as nothing, open(writing, "wb") as output:
            files = nothing.fileno(), output.fileno(), output.fileno()
            self._process = forked.start(self._command, self._env, *files, new_session=True)
        self.pid = self._process.pid
        try:
            self.url = self.wait_for_log(event="listening")["url"]
        except BaseException:
            self.stop()
            raise
        self.port = urlsplit(self.url).port or 0
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def logs(self) -> list[LogRecord]:
        """What it has logged so far."""
        return self._log.records()

    @property
    def output(self) -> list[str]:
        """What it has printed so far that is not a log record: usage, tracebacks."""
        return self._log.others()

    def wait_for_log(
        self, timeout: float = PATIENCE, after: int = 0, **fields: object
    ) -> LogRecord:
        """Waits for a record that has all these fields, such as `event="listening"`.

        Args:
            timeout: Seconds.
            after: How many of the first records to pass over, such as `len(gateway.logs)` was.
            fields: Values that the record must have; a pattern is searched for in the text of one.

        Raises:
            AssertionError: The time is up, or the process has ended without such a record.
        """
        return self._log.wait(timeout, after, fields)

    def processes(self) -> list[int]:
        """The ids of all processes of the group, workers included (Linux)."""
        group = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                # The name of the program stands in brackets and may have spaces and brackets in it.
                state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(process_group) == self.pid and state != "Z":
                    group.append(int(stat.parent.name))
        return group

    def rss(self) -> int:
        """Resident memory of the whole group, in bytes (Linux)."""
        pages = 0
        for pid in self.processes():
            with suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, timeout: float = PATIENCE) -> int:
        """Asks it to end as a supervisor does, by SIGTERM; ends what is left of the group after that.

        Args:
            timeout: Seconds that it may take.

        Returns:
            Its exit status; -9 if it did not end in time.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        status = self._process.wait()
        self._log.close()
        return status


class StartGateway(Protocol):
    """The fixture `gateway`: starts one that runs until the test ends."""

    def __call__(
        self, target: str | Path, *options: str, env: Mapping[str, str] | None = None
    ) -> GatewayProcess:
        """Serves `target`, see `GatewayProcess`; returns when it listens."""


class Log:
    """The lines of a stream, read in a thread: log records in JSON, and whatever else is printed."""

    def __init__(self) -> None:
        self._records: list[LogRecord] = []
        self._others: list[str] = []
        self._ended = False
        self._changed = threading.Condition()

    def follow(self, stream: IO[bytes]) -> None:
        """Starts to read `stream`, until it ends."""
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = line.decode(errors="backslashreplace").rstrip("\n")
            try:
                record = json.loads(text)
            except ValueError:
                record = None
            with self._changed:
                if isinstance(record, dict):
                    self._records.append(record)
                else:
                    self._others.append(text)
                self._changed.notify_all()
        stream.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def records(self) -> list[LogRecord]:
        """The records so far."""
        with self._changed:
            return list(self._records)

    def others(self) -> list[str]:
        """The other lines so far."""
        with self._changed:
            return list(self._others)

    def wait(self, timeout: float, after: int, fields: Mapping[str, object]) -> LogRecord:
        """Waits for a record that has `fields`, see `GatewayProcess.wait_for_log`."""
        deadline = time.monotonic() + timeout
        seen = after
        with self._changed:
            while True:
                for record in self._records[seen:]:
                    if matches(record, fields):
                        return record
                seen = max(after, len(self._records))
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(self._missing(fields))
                self._changed.wait(left)

    def _missing(self, fields: Mapping[str, object]) -> str:
        why = "it has ended" if self._ended else "the time is up"
        lines = [*map(json.dumps, self._records[-40:]), *self._others[-40:]]
        return f"the gateway logged no record with {fields}, and {why}. Last lines:\n" + "\n".join(
            lines
        )

    def close(self) -> None:
        """Waits for the end of the stream."""
        self._thread.join(PATIENCE)


def matches(record: LogRecord, fields: Mapping[str, object]) -> bool:
    """Whether `record` has all of `fields`; a pattern is searched for in the text of one."""
    return all(
        want.search(str(record.get(name, "")))
        if isinstance(want, re.Pattern)
        else name in record and record[name] == want
        for name, want in fields.items()
    )


class RawConnection:
    """A connection for tests that need the exact bytes of the wire, a few at a time."""

    def __init__(self, port: int | Path, step: int = 10, window: int | None = None) -> None:
        """Connects to `port` of the loopback interface, or to a Unix socket.

        Args:
            port: The port, or the path of the socket.
            step: Bytes that are sent and read at once.
            window: Bytes that the kernel takes unread; None is its own choice, and up to 10 MiB.
        """
        at_unix = isinstance(port, Path)
        self._socket = socket.socket(socket.AF_UNIX if at_unix else socket.AF_INET)
        self._socket.settimeout(PATIENCE)
        if window is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            # As over Ethernet: for the large segments of the loopback interface the other side's kernel takes
            # megabytes, whatever the window is.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
        try:
            self._socket.connect(str(port) if at_unix else ("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        if not at_unix:  # without this the kernel would join the small pieces again
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._step = step
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends all of `data`."""
        for start in range(0, len(data), self._step):
            self._socket.sendall(data[start : start + self._step])

    def read(self) -> bytes:
        """Reads what there is, waiting for something; nothing is the end of the stream.

        Raises:
            ConnectionResetError: The other side has reset the connection.
        """
        if self._unread:
            unread, self._unread = self._unread, b""
            return unread
        return self._socket.recv(self._step)

    def read_until(self, mark: bytes) -> bytes:
        """Reads up to `mark` and with it.

        Raises:
            EOFError: The stream has ended before; its argument is what came until then.
            ConnectionResetError: The other side has reset the connection.
        """
        while mark not in self._unread:
            piece = self._socket.recv(self._step)
            if not piece:
                raise EOFError(self._unread)
            self._unread += piece
        head, mark, self._unread = self._unread.partition(mark)
        return head + mark

    def read_exactly(self, size: int) -> bytes:
        """Reads so many bytes.

        Raises:
            EOFError: The stream has ended before; its argument is what came until then.
        """
        while len(self._unread) < size:
            piece = self._socket.recv(max(self._step, 1 << 16))
            if not piece:
                raise EOFError(self._unread)
            self._unread += piece
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def read_to_end(self) -> bytes:
        """Reads until the other side closes.

        Raises:
            ConnectionResetError: The other side has reset the connection.
        """
        return b"".join(iter(self.read, b""))

    def finish(self) -> None:
        """Sends the end of the stream; reading goes on."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Goes away without a word, as a client that has crashed."""
        linger_for_no_time = b"\1\0\0\0\0\0\0\0"
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
        self._socket.close()


def exchange(port: int, request: bytes, step: int = 10) -> bytes:
    """Sends the bytes of a request, and returns all bytes until the server closes."""
    with RawConnection(port, step) as connection:
        connection.send(request)
        return connection.read_to_end()


class GuestError(AssertionError):
    """An exception that the source of a probe let out.

    Attributes:
        kind: The name of its class; `Err` is the error of a WIT `result`.
        message: Its text.
        payload: The error in JSON, if `kind` is `Err`.
    """

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error['type']}: {error['message']}")
        self.kind: str = error["type"]
        self.message: str = error["message"]
        self.payload: Any = error.get("payload")


def probe_result(document: bytes | str) -> Any:
    """What the guest `python/probe` found, from its answer.

    Raises:
        GuestError: The source let an exception out.
    """
    answer = json.loads(document)
    if "error" in answer:
        raise GuestError(answer["error"])
    return answer["ok"]


def probe(url: str, source: str, headers: Iterable[tuple[str, str]] = ()) -> Any:
    """Runs Python source in the guest `python/probe` that is served at `url`.

    Args:
        url: Where to send the source.
        source: It may be indented; it leaves what it found in `result`.
        headers: More headers for the request.

    Raises:
        GuestError: The source let an exception out.
    """
    response = ask.post(url, content=textwrap.dedent(source), headers=list(headers))
    assert response.status_code == 200, response.text
    return probe_result(response.content)


def probe_headers(source: str) -> dict[str, str]:
    """The header that carries the source of a probe when the request has a body of its own."""
    return {"probe-source": base64.b64encode(textwrap.dedent(source).encode()).decode()}
