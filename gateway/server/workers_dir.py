"""The directory that the workers of a gateway share: for the values of their metrics, and to find each other."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from gateway.observe.metric_file import INITIAL_SIZE, allocate
from gateway.observe.worker_metrics import ENVIRONMENT_VARIABLE

__all__ = ["workers_dir"]

_log = structlog.get_logger("gateway.server")

_MEMORY: Final = Path("/dev/shm")  # noqa: S108
"""A file system in memory: no disk that fills up, and nothing that clears old files away."""

_PREFIX: Final = "gateway-workers-"
_HELD: Final = "supervisor"
"""The name of a file that is locked (flock) as long as who made the directory lives."""

_ROOM: Final = 8 * INITIAL_SIZE
"""Bytes for the files of a worker: there are three to six of them, of which one or two have grown."""

_NEW: Final = 60.0
"""Seconds in which a directory that is not locked may be one that is just being made. Arbitrary."""


@contextmanager
def workers_dir(workers: int) -> Iterator[Path]:
    """A directory for the workers. Its metrics they find by their environment when they start.

    Args:
        workers: how many there are.

    Raises:
        OSError: there is no room for it.
    """
    before = os.environ.get(ENVIRONMENT_VARIABLE)
    parent = _parent(workers * _ROOM)
    _clear(parent)
    with tempfile.TemporaryDirectory(
        prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True
    ) as name:
        os.environ[ENVIRONMENT_VARIABLE] = name
        descriptor = os.open(Path(name, _HELD), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(descriptor)
            if before is None:
                del os.environ[ENVIRONMENT_VARIABLE]
            else:
                os.environ[ENVIRONMENT_VARIABLE] = before


def _parent(size: int) -> Path:
    """Where it is to be: in memory, if that has so many bytes left, else where temporary files are."""
    try:
        with tempfile.TemporaryFile(dir=_MEMORY) as file:
            allocate(file.fileno(), size)
    except OSError as error:
        parent = Path(tempfile.gettempdir())
        _log.debug("metrics not kept in memory", reason=error.strerror, instead=str(parent))
        return parent
    return _MEMORY


def _clear(parent: Path) -> None:
    """Remove the directories of gateways that were killed before they could."""
    for directory in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = directory.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < _NEW:
                continue
            descriptor = os.open(directory / _HELD, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(descriptor)
