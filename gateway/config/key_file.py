"""The file of the keys, looked at again while the gateway runs.

Issuers rotate their keys, and what fetches a JWK Set replaces the file. Nobody should have to tell the gateway.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from gateway.config.admin import AdminConfig
from gateway.config.token_keys import InvalidKeys, Keys

__all__ = ["KeyFile"]

_log = structlog.get_logger("gateway.admin")

INTERVAL: Final = 5.0
"""Seconds from one look at the file to the next. Arbitrary: soon enough for whoever has just rotated a key, and a
`stat` that anyone can cause by sending tokens stays a rare one."""


class KeyFile:
    """The keys in a file, as they are now or were a moment ago.

    A file that has gone, or has no usable keys any more, leaves those in use that it had before, and an error
    in the log: half-written files must not lock operators out.

    Args:
        config: which file, and for which algorithms.
        clock: tells seconds; never goes back.

    Raises:
        InvalidKeys: there are no keys to begin with.
    """

    def __init__(self, config: AdminConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._looked = clock()
        self._seen = self._state()
        self._keys = self._read()

    @property
    def keys(self) -> Keys:
        """The keys. Looks at the file again if the last time is `INTERVAL` ago."""
        now = self._clock()
        if now - self._looked >= INTERVAL:
            self._looked = now
            # Before the content: what is replaced in between is seen as changed the next time.
            state = self._state()
            if state != self._seen:
                self._seen = state
                self._refresh()
        return self._keys

    def _refresh(self) -> None:
        try:
            self._keys = self._read()
        except InvalidKeys as error:
            _log.error(
                "admin keys refused", reason=str(error), effect="the keys from before stay in use"
            )
        else:
            _log.info("admin keys read again", file=str(self._config.key_file))

    def _read(self) -> Keys:
        keys = self._config.read_keys()
        if keys.ignored:
            _log.warning(
                "admin keys ignored", file=str(self._config.key_file), keys=list(keys.ignored)
            )
        return keys

    def _state(self) -> tuple[int, ...] | None:
        """What changes when the file does: written anew, or another file in its place. None: there is none."""
        try:
            status = self._config.key_file.stat()
        except OSError:
            return None
        return (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
