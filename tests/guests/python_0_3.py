"""Guests of componentize-py for WASI 0.3, whose signatures are with the example that ships them."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.guests.toolchains import Python, run
from tests.guests.wit import ROOT

__all__ = ["Python03"]

PACKAGES = sorted(ROOT.glob("examples/digests/wit/deps/*.wit"))

_PACKAGE = re.compile(r"^package ([^;]+);$", re.MULTILINE)


class Python03(Python):
    """A folder with `app.py` and the WIT file of its world, which uses WASI 0.3."""

    def inputs(self, source: Path) -> Iterable[Path]:
        return [*source.glob("*.py"), self._world(source), *PACKAGES, Path(__file__)]

    def compile(self, source: Path, out: Path) -> None:
        with _document(self._world(source)) as text:
            world = ("-q", "-d", text, "-w", source.name)
            run("componentize-py", *world, "componentize", "-p", source, "app", "-o", out)


@contextmanager
def _document(world: Path) -> Iterator[Path]:
    """A world and the packages of WASI 0.3 as one file, in a directory for the while."""
    nested = (_PACKAGE.sub(r"package \1 {", path.read_text(), count=1) + "}" for path in PACKAGES)
    parts = [world.read_text(), *nested]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, world.name)
        path.write_text("\n".join(parts))
        yield path
