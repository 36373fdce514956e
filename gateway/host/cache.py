"""Compiled components on disk.

Compiling takes seconds, loading what was compiled takes milliseconds. An entry's name says what was compiled (the
digest of the component, the engine's version and configuration, the machine's architecture) and what came out
(the digest of the entry itself); so nothing in the cache is ever out of date, and what was damaged is noticed
before the engine runs it. Entries are written beside their place and renamed into it, so that workers that
start together see whole entries or none.

The engine runs what an entry holds as machine code. Whoever can write to the folder can run code as the gateway;
it is made accessible to its owner only, and a folder that others can write to is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import tempfile
from pathlib import Path
from typing import Final

import structlog
from wasmtime import WasmtimeError
from wasmtime.component import Component

from gateway.host.engine import Engine

__all__ = ["CompileCache"]

_SUFFIX: Final = ".cwasm"

_log = structlog.get_logger("gateway.cache")


class CompileCache:
    """A folder of compiled components.

    Args:
        folder: where they are; it is made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def component(self, engine: Engine, binary: bytes) -> Component:
        """The compiled form of a component: from the cache, or compiled now and kept.

        A cache that cannot be read or written costs time and a warning, never the component.

        Raises:
            WasmtimeError: the engine refuses the component.
        """
        with contextlib.suppress(OSError):  # one that is not there yet is made private
            if not _is_private(self.folder):
                return Component(engine.wasmtime, binary)
        key = _key(engine, binary)
        for path in sorted(self.folder.glob(f"{key}-*{_SUFFIX}")):
            cached = _load(engine, path)
            if cached is not None:
                return cached
        component = Component(engine.wasmtime, binary)
        self._keep(key, component.serialize())
        return component

    def _keep(self, key: str, compiled: bytearray) -> None:
        name = f"{key}-{hashlib.sha256(compiled).hexdigest()}{_SUFFIX}"
        temporary: Path | None = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, path = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".tmp")
            temporary = Path(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(compiled)
            temporary.replace(self.folder / name)
        except OSError as error:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            _log.warning(
                "compiled component not kept",
                folder=str(self.folder),
                reason=str(error),
                effect="it is compiled again at the next start",
                remedy="make the cache folder writable, or turn the cache off",
            )


def _key(engine: Engine, binary: bytes) -> str:
    parts = (engine.fingerprint, platform.machine(), hashlib.sha256(binary).hexdigest())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _load(engine: Engine, path: Path) -> Component | None:
    try:
        if not _is_private(path):
            return None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if path.name.removesuffix(_SUFFIX).rpartition("-")[2] == digest:
            return Component.deserialize_file(engine.wasmtime, str(path))
        reason = "its content is not what was written"
    except FileNotFoundError:
        return None
    except (OSError, WasmtimeError) as error:
        reason = str(error)
    _log.warning("compiled component damaged", path=str(path), reason=reason, effect="rebuilt")
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _is_private(place: Path) -> bool:
    """Whether nobody but this user, and root, can write a file, or to a folder."""
    status = place.stat()
    if status.st_uid in (os.getuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    _log.warning(
        "cache ignored",
        path=str(place),
        reason="others may write to it, and the engine runs what it holds",
        remedy="chmod go-w it, or choose another folder",
    )
    return False
