"""A guest: a source, and what makes a component or a core module of it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from tests.guests import toolchains, wit
from tests.guests.toolchains import BUILD, Toolchain


@dataclass(frozen=True)
class Guest:
    """A source and what makes a component of it."""

    name: str
    source: Path
    toolchain: Toolchain

    @property
    def path(self) -> Path:
        """Where the component is once it is built."""
        return BUILD / f"{self.name}-{self._digest()}.wasm"

    def build(self) -> Path:
        """Builds the component unless it is there.

        Returns:
            The path of the component.

        Raises:
            Unavailable: A tool that it needs is not on this machine.
            BuildFailed: A tool refused the source.
        """
        built = self.path
        if not built.exists():
            built.parent.mkdir(parents=True, exist_ok=True)
            partial = built.with_suffix(f".{os.getpid()}")
            self.toolchain.compile(self.source, partial)
            for stale in built.parent.glob(f"{built.name.rpartition('-')[0]}-*.wasm"):
                stale.unlink(missing_ok=True)
            partial.rename(built)
        return built

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for version in self.toolchain.versions():
            digest.update(version.encode() + b"\0")
        code = [Path(module.__file__ or "") for module in (toolchains, wit)]
        for path in sorted({*self.toolchain.inputs(self.source), *code}):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:12]
