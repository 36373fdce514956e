"""The files that a component is made of."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["MAX_FILES", "sources"]

MAX_FILES: Final = 10_000
"""Files that are watched for one component. Threat: a folder such as a home directory, which is walked again and
again. Arbitrary: more than people write."""

_GENERATED: Final = frozenset(("node_modules", "target", "__pycache__"))
"""Folders of what tools fetch and make: npm, cargo, Python."""


def sources(watched: Iterable[Path]) -> list[Path]:
    """The files that are meant by files and folders, `MAX_FILES` at most; files that are missing too.

    In folders, hidden files and folders do not count, nor what tools fetch and make, WebAssembly among it.

    Args:
        watched: the files and folders.
    """
    return list(itertools.islice(_walk(watched), MAX_FILES))


def _walk(watched: Iterable[Path]) -> Iterator[Path]:
    for path in watched:
        if not os.path.isdir(path):  # unlike Path.is_dir, where it may not be looked at
            yield path
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(
                name for name in folders if name[0] != "." and name not in _GENERATED
            )
            for name in sorted(files):
                if name[0] != "." and not name.endswith((".wasm", ".cwasm", "~")):
                    yield Path(folder, name)
