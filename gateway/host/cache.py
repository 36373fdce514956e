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
import fcntl
import hashlib
import itertools
import os
import platform
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Final, TypeVar

import structlog
from wasmtime import Module, WasmtimeError
from wasmtime.component import Component

from gateway.host.compiler import Compiler
from gateway.host.engine import Engine
from gateway.host.files import open_regular

__all__ = ["CompileCache", "compile_component", "compile_key", "compile_module"]

F = TypeVar("F", Component, Module)

_SUFFIX: Final = ".cwasm"

_MAX_TRIED: Final = 4
"""How many entries of one key are looked at. There is one, unless something is wrong with the folder; each that
is damaged is read whole before that is known."""

_WAIT: Final = 0.05
"""Seconds between two looks whether another process has compiled the same component."""

_log = structlog.get_logger("gateway.cache")


class CompileCache:
    """A folder of compiled components.

    Args:
        folder: where they are; it is made when the first one is written.
        patience: seconds to wait for another process that compiles the same component.
    """

    def __init__(self, folder: Path, *, patience: float = 300.0) -> None:
        self.folder = folder
        self._patience = patience

    def component(
        self, engine: Engine, binary: bytes, compiler: Compiler | None = None
    ) -> Component:
        """The compiled form of a component: `compiled`."""
        return self.compiled(Component, engine, binary, compiler or Compiler())

    def compiled(self, form: type[F], engine: Engine, binary: bytes, compiler: Compiler) -> F:
        """The compiled form of a component or a core module: from the cache, or compiled now and kept.

        Processes that want the same one at the same time compile it once. A cache that cannot be read or written
        costs time and a warning, never the component.

        Args:
            form: which of the two.
            engine: what is to run it.
            binary: the component or the module.
            compiler: what compiles it.

        Raises:
            Invalid: the engine refuses it.
            CompileFailed: as `Compiler.compile`.
        """
        with contextlib.suppress(OSError):  # one that is not there yet is made private
            if not _is_private(self.folder):
                return form.deserialize(
                    engine.wasmtime, compiler.compile(binary, concurrent=engine.concurrent)
                )
        key = compile_key(engine, binary)
        useless: set[Path] = set()
        if cached := self.find(form, engine, key, useless):
            return cached
        with self._alone(key, compiler):
            if cached := self.find(form, engine, key, useless):
                return cached
            compiled = compiler.compile(binary, concurrent=engine.concurrent)
            self._keep(key, compiled)
        return form.deserialize(engine.wasmtime, compiled)

    def find(
        self, form: type[F], engine: Engine, key: str, useless: set[Path] | None = None
    ) -> F | None:
        """The component or module of this `compile_key`, if it is kept.

        Args:
            form: which of the two.
            engine: what is to run it.
            key: which.
            useless: entries that are not looked at; those that are found to be useless are added.
        """
        useless = set() if useless is None else useless
        paths = (it for it in self.folder.glob(f"{key}-*{_SUFFIX}") if it not in useless)
        for path in itertools.islice(paths, _MAX_TRIED):
            cached = _load(form, engine, path)
            if cached is not None:
                return cached
            useless.add(path)
        return None

    @contextlib.contextmanager
    def _alone(self, key: str, compiler: Compiler) -> Iterator[None]:
        """Wait until no other process compiles a component, and have others wait for this one."""
        try:
            lock = self._lock(key, compiler)
        except OSError:
            yield  # `_keep` will say what is wrong
            return
        try:
            yield
        finally:
            # In this order: who opens the file after this makes a new one.
            with contextlib.suppress(OSError):
                self._lock_path(key).unlink()
            os.close(lock)

    def _lock(self, key: str, compiler: Compiler) -> int:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = monotonic() + self._patience
        while True:
            descriptor = os.open(
                self._lock_path(key),
                os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                0o600,
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had it may have unlinked it in between; then it locks nobody out.
                if os.path.samestat(os.fstat(descriptor), self._lock_path(key).stat()):
                    return descriptor
            except FileNotFoundError:
                pass
            except BlockingIOError:
                if monotonic() > deadline:
                    return descriptor
                compiler.check()
                sleep(_WAIT)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _lock_path(self, key: str) -> Path:
        return self.folder / f".{key}.lock"

    def _keep(self, key: str, compiled: bytes) -> None:
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


def compile_component(
    engine: Engine, binary: bytes, cache: CompileCache | None, compiler: Compiler
) -> Component:
    """The compiled form of a component, from a cache where there is one.

    Raises:
        Invalid: the engine refuses the component.
        CompileFailed: as `Compiler.compile`.
    """
    return _compile(Component, engine, binary, cache, compiler)


def compile_module(
    engine: Engine, binary: bytes, cache: CompileCache | None, compiler: Compiler
) -> Module:
    """The compiled form of a core module, which the components of an engine share.

    Raises:
        Invalid: the engine refuses the module.
        CompileFailed: as `Compiler.compile`.
    """
    key = compile_key(engine, binary)
    module = engine.modules.get(key)
    if module is None:
        module = engine.modules[key] = _compile(Module, engine, binary, cache, compiler)
    return module


def _compile(
    form: type[F], engine: Engine, binary: bytes, cache: CompileCache | None, compiler: Compiler
) -> F:
    if cache is None:
        compiled = compiler.compile(binary, concurrent=engine.concurrent)
        return form.deserialize(engine.wasmtime, compiled)
    return cache.compiled(form, engine, binary, compiler)


def compile_key(engine: Engine, binary: bytes) -> str:
    """What stands for the compiled form of a component or a core module."""
    parts = (engine.fingerprint, platform.machine(), hashlib.sha256(binary).hexdigest())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _load(form: type[F], engine: Engine, path: Path) -> F | None:
    try:
        with open_regular(path) as file:
            if not _is_ours(path, os.fstat(file.fileno())):
                return None
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if path.name.removesuffix(_SUFFIX).rpartition("-")[2] == digest:
            return form.deserialize_file(engine.wasmtime, str(path))
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
    """Whether nobody but this user, and root, can write to a folder."""
    return _is_ours(place, place.stat())


def _is_ours(place: Path, status: os.stat_result) -> bool:
    if status.st_uid in (os.getuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    _log.warning(
        "cache ignored",
        path=str(place),
        reason="others may write to it, and the engine runs what it holds",
        remedy="chmod go-w it, or choose another folder",
    )
    return False
