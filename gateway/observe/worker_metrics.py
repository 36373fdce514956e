"""What several workers of one gateway have counted, together.

With more than one worker, a scrape reaches any of them and must be told of all. This is the multiprocess mode
of prometheus_client: each process keeps its values in memory-mapped files `TYPE_PID.db` of one directory, and
whoever is scraped reads the files of all.

Which mode a process is in is decided when it imports prometheus_client: by whether `PROMETHEUS_MULTIPROC_DIR`
is set in its environment then. So the supervisor sets it before it starts workers, and starts them as new
interpreters ("spawn"), never as forks of one that has imported the library without it. What forks later is no
concern: the library notices that the process id has changed and takes files of its own.

Three things are added to what the library does:

- The counts of a worker that has ended must stay, or every counter of the gateway would go down. The library keeps
  its files for good, and a worker that crashes each second would leave 170,000 of them in a day, all read by every
  scrape. Here they are added up in the files of a process 0, which is no worker's id.
- A full disk, or a directory that was cleared away, costs metrics and nothing else (`metric_file`).
- A scrape must never see a worker's counts both there and in its own files, or in neither. So adding up and
  reading exclude each other by a lock on a file (flock).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gateway.observe.metric_file import MetricFile

__all__ = ["ENVIRONMENT_VARIABLE", "WorkerMetrics"]

_log = structlog.get_logger("gateway.metrics")

ENVIRONMENT_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory; read by prometheus_client when it is imported."""

_ENDED: Final = 0
"""The process id under which the counts of workers that have ended are kept. No process of the system has it."""

_ACCUMULATING: Final = ("counter", "histogram")
"""The types whose values stay when their process ends."""


class WorkerMetrics:
    """The directory where the workers of one gateway keep their values.

    It is made, empty and for this gateway alone, by who starts the workers, and removed when the last has ended.

    Attributes:
        directory: where it is.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def collect(self) -> Iterable[Metric]:
        """The values of all workers: counts of those that have ended too, gauges only of those that live.

        None of them where they cannot be read: a scrape tells what else there is, rather than fail.
        """
        try:
            with self._lock(fcntl.LOCK_SH):
                # A file is empty between its creation and the first write of a worker that is just starting.
                files = [str(path) for path in self.directory.glob("*.db") if _size(path) > 0]
                # The library's annotations are incomplete.
                return list(MultiProcessCollector.merge(files, accumulate=True))  # type: ignore[no-untyped-call]
        except OSError as error:
            _log.error(
                "metrics not collected", directory=str(self.directory), reason=error.strerror
            )
            return []

    def pids(self) -> list[int]:
        """The processes that have gauges here: the workers that were not forgotten yet."""
        gauges = self.directory.glob("gauge_live*_*.db")
        return sorted({int(path.stem.rpartition("_")[2]) for path in gauges})

    def forget(self, pid: int) -> None:
        """Keep the counts of a worker that has ended, and let its gauges go.

        For who waits for the workers, once it knows that this one has ended: before its successor starts,
        which the system may give the same id. A worker that is not known here is no error.

        Raises:
            OSError: its counts cannot be added to the others; they are still told.
        """
        with self._lock(fcntl.LOCK_EX):
            mark_process_dead(pid, str(self.directory))  # type: ignore[no-untyped-call]
            for kind in _ACCUMULATING:
                path = self.directory / f"{kind}_{pid}.db"
                if path.exists():
                    _add(path, self.directory / f"{kind}_{_ENDED}.db")
                    path.unlink()

    @contextmanager
    def _lock(self, operation: int) -> Iterator[None]:
        descriptor = os.open(
            self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode=0o600
        )
        try:
            fcntl.flock(descriptor, operation)
            yield
        finally:
            os.close(descriptor)


def _add(source: Path, target: Path) -> None:
    try:
        values = list(MetricFile.read_all_values_from_file(source))  # type: ignore[no-untyped-call]
    except struct.error:
        # The worker ended between creating the file and its first write: it has counted nothing.
        return
    total = MetricFile(target)
    try:
        # All of them or none: so first whether there is room.
        befores = [total.read_value(key)[0] for key, _, _, _ in values]
        if total.missing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        for before, (key, value, _timestamp, _position) in zip(befores, values, strict=True):
            total.write_value(key, before + value, 0.0)
    finally:
        total.close()  # type: ignore[no-untyped-call]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
