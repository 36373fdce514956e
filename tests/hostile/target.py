"""What a target is, and where the targets are."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.hostile import targets

__all__ = ["CORPUS", "NAMES", "Attack", "Fault", "Target", "load"]

Attack = Callable[[bytes], None]
"""Takes one input. Raises nothing but what is a finding."""

CORPUS: Final = Path(__file__).parent / "corpus"
"""Inputs that are kept, by target."""

NAMES: Final = tuple(module.name for module in pkgutil.iter_modules(targets.__path__))


class Fault(AssertionError):
    """What an attack sees itself, with the input that it lays it to.

    Attributes:
        kind: what is the same of all that have one cause.
        data: the input, if it is not the one that is being tried.
    """

    def __init__(self, kind: str, reason: str, data: bytes | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.data = data


@dataclass(frozen=True)
class Target:
    """Something that takes bytes from strangers.

    Attributes:
        attack: entered, it gives the attack; left, what that needed is gone, and whatever is left is a finding.
        seeds: inputs to begin with, such as are taken.
        max_size: of an input, in bytes.
        max_cpu_seconds: of this thread, for one input; some ten times what the slowest one takes.
        guided: whether it is Python code in this process, so that an engine can see which lines an input reaches.
        ci_inputs: how many the tests give it: a few seconds' worth.
    """

    attack: Callable[[], AbstractContextManager[Attack]]
    seeds: Callable[[], Sequence[bytes]]
    max_size: int = 4096
    max_cpu_seconds: float = 0.25
    guided: bool = True
    ci_inputs: int = 2000


def load(name: str) -> Target:
    """The target of a name: a module of `targets`, or `module:attribute`."""
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module if attribute else f"{targets.__name__}.{module}")
    target = getattr(found, attribute or "TARGET")
    assert isinstance(target, Target)
    return target
