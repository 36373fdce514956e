"""Python's names for WIT's.

WIT's names are words joined by hyphens; a word is all small or, as an acronym, all capital letters.

| of                           | `get-URL-2` becomes |
|------------------------------|---------------------|
| types, cases, exceptions     | `GetURL2`           |
| functions, parameters, fields | `get_url_2`        |
| members of enums and flags   | `GET_URL_2`         |
| private constants            | `_GET_URL_2`        |

What is the same name for two things is made longer for all of them, by the name of their interface, then of its
package, its namespace and its version, until the names differ. What is left after that, and what is a keyword or
means something else where it stands, gets an underscore or a number, in the order of the component.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import count
from typing import Final

__all__ = [
    "CLASS_SCOPE",
    "FIELD_SCOPE",
    "Scope",
    "Words",
    "attribute_names",
    "class_name",
    "constant",
    "member_names",
    "qualified",
    "settle",
    "snake",
    "words",
]

Words = tuple[str, ...]

CLASS_SCOPE: Final = frozenset({"bool", "bytes", "float", "int", "list", "str", "tuple"})
"""What types are called in classes, where no field or function may be called the same."""

FIELD_SCOPE: Final = CLASS_SCOPE | {"mro"}
"""What no field of a dataclass may be called: every class has an `mro`, which would be the field's default."""


def words(name: str) -> Words:
    """The words of a name. `[static]blob.merge` is a function `blob-merge` to Python."""
    return tuple(re.findall("[A-Za-z0-9]+", name.rpartition("]")[2])) or ("unnamed",)


def class_name(parts: Words) -> str:
    """`GetURL`: acronyms stay as they are."""
    return "".join(word[0].upper() + word[1:] for word in parts)


def snake(parts: Words) -> str:
    """`get_url`."""
    return "_".join(parts).lower()


def constant(parts: Words) -> str:
    """`_GET_URL`."""
    return f"_{_upper(parts)}"


def _upper(parts: Words) -> str:
    return "_".join(parts).upper()


def attribute_names(names: Iterable[str], reserved: AbstractSet[str] = CLASS_SCOPE) -> list[str]:
    """What functions, fields or parameters of one scope are called, by their names in WIT (`settle`)."""
    return settle([[snake(words(name))] for name in names], reserved)


def member_names(names: Iterable[str]) -> list[str]:
    """What the members of an enumeration are called, by their names in WIT."""
    return settle([[_upper(words(name))] for name in names])


def qualified(name: Words, interface: str | None) -> Iterator[Words]:
    """A name in an interface, alone and then with more and more of what the interface is called."""
    yield name
    if interface is None:
        return
    path, _, version = interface.partition("@")
    package, _, local = path.rpartition("/")
    prefix = words(local)
    yield prefix + name
    for part in filter(None, reversed(package.split(":"))):
        prefix = words(part) + prefix
        yield prefix + name
    if version:
        yield (*prefix, "v", *words(version), *name)


def settle(
    candidates: Sequence[Sequence[str]], reserved: AbstractSet[str] = frozenset()
) -> list[str]:
    """Give each of several things in one scope a name that no other has.

    Args:
        candidates: for each the names it may have, the shortest first.
        reserved: the names that none may have, besides Python's keywords.
    """
    levels = [0] * len(candidates)
    while True:
        chosen = [names[level] for names, level in zip(candidates, levels, strict=True)]
        uses = Counter(chosen)
        good = [uses[name] == 1 and not _taken(name, reserved) for name in chosen]
        longer = [
            not fine and level + 1 < len(names)
            for fine, level, names in zip(good, levels, candidates, strict=True)
        ]
        if not any(longer):
            break
        levels = [level + more for level, more in zip(levels, longer, strict=True)]
    taken = {name for name, fine in zip(chosen, good, strict=True) if fine} | reserved
    settled = []
    for name, fine in zip(chosen, good, strict=True):
        start = f"{name}_" if _taken(name, reserved) else name
        unique = name if fine else next(it for it in _numbered(start) if it not in taken)
        taken |= {unique}
        settled.append(unique)
    return settled


class Scope:
    """The names of a module, as they are given away.

    Args:
        reserved: the names that mean something already.
    """

    def __init__(self, reserved: AbstractSet[str]) -> None:
        self._taken = set(reserved)

    def claim(self, candidates: Sequence[Sequence[str]]) -> list[str]:
        """Give each of several things a name that nothing in the module has (`settle`)."""
        names = settle(candidates, self._taken)
        self._taken.update(names)
        return names


def _taken(name: str, names: AbstractSet[str]) -> bool:
    return name in names or keyword.iskeyword(name)


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name.removesuffix('_')}_{number}"
