"""A folder to begin a component with."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Final, Literal, get_args

__all__ = ["KINDS", "LANGUAGES", "BadName", "Kind", "Language", "Project"]

Language = Literal["python", "javascript", "c", "go", "rust"]
Kind = Literal["http", "rpc", "worker"]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_NAME: Final = re.compile("[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")
"""A name that is one for everything it becomes: a component, a package of npm, a crate and a module."""

MAX_NAME: Final = 63
"""Characters of one: what the name of a component has."""

_SUFFIX: Final = ".in"
"""Of each file, so that no tool takes what is copied for a part of this package."""

_WRITTEN: Final = "@0.2.12"
"""The version of WASI that the files of WIT have."""

_OF_JAVASCRIPT: Final = "@0.2.10"
"""The one that componentize-js makes a listener of fetch events the handler of, whatever the world says."""


@dataclass(frozen=True, slots=True)
class _Tools:
    """How a component in one language is built.

    Attributes:
        build: the command.
        watch: what it is made of.
        test: the command that runs its tests.
    """

    build: str
    watch: tuple[str, ...]
    test: str = "make test"


_TOOLS: Final[dict[Language, _Tools]] = {
    "python": _Tools("make", ("src", "wit", "requirements.txt", "Makefile")),
    "javascript": _Tools(
        "{ test -d node_modules || npm ci; } && npm run --silent build",
        ("src", "wit", "package-lock.json", "build.mjs"),
        "npm test",
    ),
    "c": _Tools("make", ("src", "wit", "requirements.txt", "Makefile")),
    "go": _Tools("make", ("src", "wit", "go.mod", "requirements.txt", "Makefile")),
    "rust": _Tools(
        "cargo build --release --target wasm32-wasip2 && "
        "cp target/wasm32-wasip2/release/app.wasm {{name}}.wasm",
        ("src", "wit", "Cargo.toml", "rust-toolchain.toml"),
        "cargo test",
    ),
}

_GRANTS: Final[dict[Kind, str]] = {
    "http": "",
    "rpc": "",
    "worker": """

[components.keyvalue]
results = "memory:"                   # "sqlite:results.db" keeps them

[components.messaging]
url = "memory:"                       # "nats://..." shares them with others
publish = ["jobs.*"]

[[components.messaging.subscriptions]]
subject = "jobs.*"
queue = "{{name}}\"""",
}

_TRY: Final[dict[Kind, str]] = {
    "http": "curl 'http://127.0.0.1:8080/?name=you'",
    "rpc": """curl http://127.0.0.1:8080/rpc/{{name}} -H 'content-type: application/json' \\
        -d '{"jsonrpc": "2.0", "method": "greet", "params": {"name": "you"}, "id": 1}'""",
    "worker": """curl http://127.0.0.1:8080/rpc/{{name}} -H 'content-type: application/json' \\
        -d '[{"jsonrpc": "2.0", "method": "submit", "params": ["to be or not"], "id": 1},
             {"jsonrpc": "2.0", "method": "counted", "params": [], "id": 2}]'""",
}


class BadName(ValueError):
    """A name that a component cannot have. The message says what it must be."""


@dataclass(frozen=True, slots=True)
class Project:
    """A component to begin with.

    Attributes:
        name: of the component, and of its folder.
        language: what it is written in.
        kind: what it is for: HTTP requests, calls with JSON, or messages.
    """

    name: str
    language: Language
    kind: Kind

    def __post_init__(self) -> None:
        """Refuse a name that not everything could have which gets it.

        Raises:
            BadName: it is one.
        """
        if not _NAME.fullmatch(self.name) or len(self.name) > MAX_NAME:
            raise BadName(
                f"must be lower-case words of letters and digits, joined by hyphens, at most {MAX_NAME} "
                f'characters, such as "image-resizer", not "{self.name}"'
            )

    def files(self) -> dict[PurePosixPath, str]:
        """What its folder has: texts, by their paths in it."""
        root = resources.files("gateway.scaffold") / "files"
        found: dict[PurePosixPath, str] = {}
        for top, place in (
            (root / self.language / "common", PurePosixPath()),
            (root / self.language / self.kind, PurePosixPath()),
            (root / "wit" / self.kind, PurePosixPath("wit")),
        ):
            found |= {place / path: text for path, text in _texts(top)}
        for name in ("gateway.toml", "README.md", "gitignore"):
            path = PurePosixPath(name.replace("gitignore", ".gitignore"))
            found[path] = (root / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
        return {path: self._filled(path, text) for path, text in sorted(found.items())}

    def write(self, folder: Path) -> None:
        """Write it to a new folder.

        Args:
            folder: the folder, which must not be there.

        Raises:
            FileExistsError: it is there; nothing has been written.
            OSError: it cannot be written, and nothing of it is left.
        """
        folder.mkdir()
        try:
            for path, text in self.files().items():
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _filled(self, path: PurePosixPath, text: str) -> str:
        tools = _TOOLS[self.language]
        for key, value in (
            ("grants", _GRANTS[self.kind]),
            ("command", tools.build),
            ("watch", json.dumps(tools.watch)),
            ("try", _TRY[self.kind]),
            ("test", tools.test),
            ("name", self.name),  # the last: others have it too
        ):
            text = text.replace(f"{{{{{key}}}}}", value)
        if self.language == "javascript" and path.suffix == ".wit":
            text = text.replace(_WRITTEN, _OF_JAVASCRIPT)
        return text


def _texts(folder: Traversable) -> Iterator[tuple[PurePosixPath, str]]:
    """The texts below a folder of the package, if it is there, by their paths from it."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from ((PurePosixPath(entry.name) / path, text) for path, text in _texts(entry))
        elif entry.name.endswith(_SUFFIX):
            name = entry.name.removesuffix(_SUFFIX)
            yield PurePosixPath(name), entry.read_text(encoding="utf-8")
