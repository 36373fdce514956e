"""The resource of the interface `api`: componentize-py looks for it in a module of that name."""

from __future__ import annotations

from typing import ClassVar, Self

from componentize_py_types import Err
from wit_world.exports import api


class Counter(api.Counter):
    """A counter, which ends when nobody has it any more."""

    live: ClassVar = 0

    def __init__(self, start: int) -> None:
        Counter.live += 1
        self.count = start

    @classmethod
    def open(cls, name: str) -> Self:
        """One that begins with the length of its name."""
        if not name:
            raise Err("no name")
        return cls(len(name))

    def value(self) -> int:
        return self.count

    def add(self, by: int) -> int:
        self.count += by
        return self.count

    def beyond(self, other: Counter) -> bool:
        return self.count > other.count

    def fold(self, other: Counter) -> None:
        self.count += other.count

    def break_off(self) -> None:
        raise RuntimeError

    def spin(self) -> None:
        while True:
            pass

    def __del__(self) -> None:
        Counter.live -= 1
