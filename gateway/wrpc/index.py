"""What goes by paths of its own: streams and futures, each by the path to where it stands among the values.

A path is the number of the parameter, or 0 for the result, and from there that of the field, or of the element of
a tuple, a list or a stream. Options, results, variants and futures have none for what is in them. (SPEC.md has one
for the cases of variants, too. The peers in Go and in Rust do not.)

Source: SPEC.md, "Indexing"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway.host import wit
from gateway.host.elements import Elements
from gateway.wrpc.cursor import Cursor

__all__ = ["Arrive", "IndexedCursor", "Outgoing", "Path"]

Path: TypeAlias = tuple[int, ...]
Arrive: TypeAlias = Callable[[Path, wit.Stream | wit.Future], Elements]


class Outgoing(bytearray):
    """What goes by one path.

    Args:
        path: that path.
        indexed: what goes by the others, each after that which it is in.

    Attributes:
        path: the path to the value that is written: longer than its own within a list, say.
        indexed: ditto.
        pending: what goes by paths of its own over time, as it comes: the path, the type, and where it comes from.
    """

    def __init__(self, path: Path = (), indexed: dict[Path, Outgoing] | None = None) -> None:
        super().__init__()
        self.path = path
        self.indexed = {} if indexed is None else indexed
        self.pending: list[tuple[Path, wit.Stream | wit.Future, Elements]] = []

    def later(self) -> Outgoing:
        """Where what is written here goes, if it goes by its own path."""
        made = self.indexed[self.path] = Outgoing(self.path, self.indexed)
        return made


class IndexedCursor(Cursor):
    """Where reading is in what came by one path.

    Args:
        data: what came.
        indexed: what came by other paths.
        path: that path.

    Attributes:
        arrive: gives what comes over time by a path, told its type; None where all of it is there.

    Attributes:
        path: as of `Outgoing`.
        arrive: ditto.
    """

    __slots__ = ("_indexed", "_own", "arrive", "path")

    def __init__(
        self,
        data: bytes,
        indexed: Mapping[Path, bytes],
        path: Path = (),
        arrive: Arrive | None = None,
    ) -> None:
        super().__init__(data)
        self._indexed = indexed
        self._own = path
        self.path = path
        self.arrive = arrive

    def from_start(self) -> IndexedCursor:
        """`Cursor.from_start`."""
        return IndexedCursor(self._data, self._indexed, self._own, self.arrive)

    def later(self) -> IndexedCursor:
        """Where the value is that goes by its own path: here, if this is what came by that.

        Raises:
            Malformed: nothing came by it.
        """
        if self.path == self._own:
            return self
        if self.path not in self._indexed:
            raise self.malformed(f"something by the path {list(self.path)}, which is referred to")
        return IndexedCursor(self._indexed[self.path], self._indexed, self.path)
