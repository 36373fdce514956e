"""Rust for the guests: the compiler of this machine, and a standard library for components.

Where rustup has installed the target, cargo finds all that it needs. Where only the library's source is there, of
rustup's `rust-src` or of Debian's `rust-web-src`, cargo makes the library first, once for all guests, with the C
library of ziglang, which the guests in C have too. That one asks for WASI 0.1, which wasm-component-ld adapts; the
sockets of `std::net` are what it lacks.
"""

import functools
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.guests.toolchains import BUILD, GUESTS, BuildFailed, Unavailable, distribution, run

__all__ = ["Compiler", "Crate", "compiler"]

TARGET = "wasm32-wasip2"

_SHARED = BUILD / ".rust"
"""What cargo has compiled, for the next guest."""

_HINT = f"rustup target add {TARGET}, or apt-get install rustc-web rust-web-src"


@dataclass(frozen=True)
class Compiler:
    """rustc, and a cargo that need not be of the same version."""

    rustc: Path
    cargo: Path
    linker: Path
    installed: bool
    """Whether the target's library is there; its source is, where it is not."""

    def versions(self) -> list[str]:
        made = [] if self.installed else [distribution("ziglang")]
        return [run(self.rustc, "--version").strip(), *made]

    def environment(self) -> dict[str, str]:
        """Variables by which `cargo build --target wasm32-wasip2` works, whatever is on the PATH.

        Raises:
            BuildFailed: The C library was refused.
        """
        path = os.pathsep.join([str(self.cargo.parent), os.environ.get("PATH", "")])
        tools = {
            "PATH": path,
            "RUSTC": str(self.rustc),
            "CARGO_TARGET_WASM32_WASIP2_LINKER": str(self.linker),
            "CARGO_BUILD_BUILD_DIR": str(_SHARED),
        }
        if self.installed:
            return tools
        return tools | {
            # An unstable option, which this variable allows to compilers that are not a nightly.
            "RUSTC_BOOTSTRAP": "1",
            "CARGO_UNSTABLE_BUILD_STD": "std panic_abort",
            "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(_links_with_zig()),
        }


class Crate:
    """A folder with a package of cargo, whose library is called `app`."""

    def inputs(self, source: Path) -> Iterable[Path]:
        manifests = [source / "Cargo.toml", source / "Cargo.lock"]
        return [*manifests, *source.glob("src/*.rs"), *source.glob("wit/**/*.wit"), Path(__file__)]

    def versions(self) -> Iterable[str]:
        return compiler().versions()

    def compile(self, source: Path, out: Path) -> None:
        with tempfile.TemporaryDirectory() as made:
            variables = [f"{name}={value}" for name, value in compiler().environment().items()]
            build = ("cargo", "build", "--quiet", "--release", "--locked", "--target", TARGET)
            run("env", *variables, *build, "--target-dir", made, cwd=source)
            out.write_bytes(Path(made, TARGET, "release/app.wasm").read_bytes())


@functools.cache
def compiler() -> Compiler:
    """The Rust of this machine.

    Raises:
        Unavailable: There is none that can make components.
    """
    sysroots = list(_sysroots())
    for wanted, installed in ((TARGET, True), ("src/rust/library/std/Cargo.toml", False)):
        for own in sysroots:
            if (own / "lib/rustlib" / wanted).exists():
                by_choice = [own, *sysroots]
                cargo = _tool("bin/cargo", by_choice)
                linker = _tool("lib/rustlib/*/bin/wasm-component-ld", by_choice)
                return Compiler(own / "bin/rustc", cargo, linker, installed)
    raise Unavailable(f"no Rust here has the target {TARGET}: {_HINT}")


def _tool(pattern: str, sysroots: Iterable[Path]) -> Path:
    """A tool of the first installation that has it: not all do."""
    for tool in (found for sysroot in sysroots for found in sysroot.glob(pattern)):
        return tool
    name = pattern.rpartition("/")[2]
    raise Unavailable(
        f"no Rust here has {name}: rustup brings it, or apt-get install cargo-web rust-web-llvm"
    )


def _sysroots() -> Iterator[Path]:
    """Where the compilers of this machine are installed, without rustup's programs that stand for them."""
    for rustc in dict.fromkeys((shutil.which("rustc"), "/usr/bin/rustc")):
        if rustc is not None and Path(rustc).exists():
            try:
                yield Path(run(rustc, "--print", "sysroot", cwd=GUESTS).strip())
            except BuildFailed:
                continue  # rustup without a toolchain


@functools.cache
def _links_with_zig() -> tuple[str, ...]:
    """Flags of rustc for a linker and a C library."""
    zig = shlex.join([sys.executable, "-m", "ziglang"])
    linker = _SHARED / "wasm-ld"
    _SHARED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SHARED) as scratch:
        script = Path(scratch, "wasm-ld")
        script.write_text(f'#!/bin/sh\nexec {zig} wasm-ld "$@"\n')
        script.chmod(0o755)
        script.rename(linker)
        source = Path(scratch, "empty.c")
        source.write_text("int main(void) { return 0; }\n")
        # What it tells is how it links: with libraries that it has made before.
        told = run(
            *(*shlex.split(zig), "cc", "-target", "wasm32-wasi", "-v"),
            *(source, "-o", source.with_suffix(".wasm")),
        )
    links = next(line for line in told.splitlines() if line.startswith("wasm-ld "))
    archives = [Path(word).absolute() for word in shlex.split(links) if word.endswith(".a")]
    (libc,) = (path for path in archives if path.name == "libc.a")
    beside = [path for path in archives if path.name in {"libzigc.a", "libcompiler_rt.a"}]
    return (
        f"-Lnative={libc.parent}",
        *(f"-Clink-arg={path}" for path in beside),
        f"-Clink-arg=--wasm-ld-path={linker}",
    )
