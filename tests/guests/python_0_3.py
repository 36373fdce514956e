"""Guests of componentize-py for WASI 0.3."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.guests.toolchains import GUESTS, Python, run

__all__ = ["Python03"]

PACKAGES = sorted(GUESTS.glob("wit-0-3/*.wit"))


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
    parts = [path.read_text() for path in (world, *PACKAGES)]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, world.name)
        path.write_text("\n".join(parts))
        yield path
