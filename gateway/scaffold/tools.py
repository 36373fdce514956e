"""What has to be on a machine before a component can be built on it, in each language.

Only that: compilers that a component's own build fetches, in the version that it names, are none of it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.scaffold.project import Language

__all__ = ["Missing", "missing"]

_TIME: Final = 20.0
"""Seconds that a program has to tell its version. Threat: one that waits for an answer, or for a server."""

_NUMBERS: Final = re.compile(r"(?<!\d)(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that is not there.

    Attributes:
        what: it, in words, and what there is in its place.
        remedy: what to do.
    """

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Tool:
    """A program that a build begins with.

    Attributes:
        program: its name.
        what: it in words, with the oldest version that will do.
        remedy: where it comes from.
        asked: the command that fails where something of it is missing, and else tells its version.
        oldest: the oldest version that will do; None where any will.
    """

    program: str
    what: str
    remedy: str
    asked: tuple[str, ...] = ()
    oldest: tuple[int, int] | None = None

    def lack(self) -> Missing | None:
        """What is missing of it."""
        if shutil.which(self.program) is None:
            return Missing(self.what, self.remedy)
        if not self.asked:
            return None
        told = _told(self.asked)
        if told is None:
            return Missing(f"{self.what} (`{' '.join(self.asked)}` fails)", self.remedy)
        version = _NUMBERS.search(told)
        if self.oldest is not None and version is not None:
            found = int(version[1]), int(version[2])
            if found < self.oldest:
                return Missing(f"{self.what} (this is {version[0]})", self.remedy)
        return None


def missing(language: Language) -> list[Missing]:
    """What a component in a language lacks to be built on this machine: nothing, where it can be."""
    return [lack for tool in _TOOLS[language] if (lack := tool.lack()) is not None]


def _told(command: tuple[str, ...]) -> str | None:
    """What a command prints; None where it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - of this file
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIME,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


_MAKE: Final = _Tool("make", "make", "apt install make, or xcode-select --install")
_PYTHON: Final = _Tool(
    "python3",
    "python3, 3.11 or newer, with venv",
    "apt install python3-venv, or https://www.python.org/downloads",
    ("python3", "-c", "import ensurepip, venv, platform; print(platform.python_version())"),
    (3, 11),
)
_NODE: Final = "https://nodejs.org, or apt install nodejs npm where that is new enough"

_TOOLS: Final[Mapping[Language, tuple[_Tool, ...]]] = {
    "python": (_MAKE, _PYTHON),
    "javascript": (
        _Tool("node", "Node.js 20 or newer", _NODE, ("node", "--version"), (20, 0)),
        _Tool("npm", "npm", _NODE),
    ),
    "c": (_MAKE, _PYTHON),
    "go": (
        _MAKE,
        _PYTHON,
        _Tool("go", "Go 1.24 or newer", "https://go.dev/dl", ("go", "version"), (1, 24)),
    ),
    "rust": (
        _Tool("cargo", "cargo", "https://rustup.rs"),
        _Tool("rustup", "rustup, which brings the target wasm32-wasip2", "https://rustup.rs"),
    ),
}
