"""The methods of a component: which of its exports can be called with JSON, and by which names.

A function of an exported interface is called by its full name, `ns:package/interface@1.2.3#function`, and by
`interface.function` where no other method has that name too. A function at the root of the component has its
name alone.

The specification reserves names that begin with "rpc." for itself (section 4): a function of an interface
called `rpc` only has its full name.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.host import wit

__all__ = ["RESERVED_PREFIX", "LeftOut", "Method", "Methods"]

RESERVED_PREFIX: Final = "rpc."
"""What the names of the protocol's own methods begin with."""

_CALLED_OTHERWISE: Final = frozenset(
    (
        "wasi:http/incoming-handler",
        "wasi:http/handler",
        "wasmcloud:messaging/handler",
        "wasi:keyvalue/watcher",
    )
)
"""Exports that HTTP requests, messages and changes of stores call."""


_BUILD_ENTRY: Final = ("exports", "init", ("app-name", "symbols", "stub-wasi"))
"""What componentize-py calls while it builds a component, and leaves in it: interface, function and parameters."""

_SHOWN: Final = 10
"""Methods that are named where one was not found."""


@dataclass(frozen=True, slots=True)
class Method:
    """A function that can be called with JSON.

    Attributes:
        interface: the full name of the exported interface that has the function, None at the root.
        function: the function's own name.
        type: its WIT type.
        short: `interface.function`, None where that is ambiguous or reserved, and at the root.
    """

    interface: str | None
    function: str
    type: wit.Function
    short: str | None

    @property
    def name(self) -> str:
        """The full name: the only one that every method has."""
        return self.function if self.interface is None else f"{self.interface}#{self.function}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An export that is not served.

    Attributes:
        name: its full name.
        reason: what keeps it from being served, to follow the name and a colon.
        missed: whether anyone could want to call it: not what a toolchain has left behind.
    """

    name: str
    reason: str
    missed: bool = True


class Methods:
    """What a component offers to callers with JSON.

    Args:
        exports: what it exports, by full name.

    Attributes:
        served: the methods, in the order of the component.
        left_out: the exports that are none, likewise. `wasi:http/incoming-handler` and `handler`,
            `wasmcloud:messaging/handler` and `wasi:keyvalue/watcher` are neither: HTTP requests, messages and
            changes of stores call them.
        by_name: the methods by every name that they have.
    """

    def __init__(self, exports: Mapping[str, wit.Item]) -> None:
        found: list[tuple[str | None, str, wit.Function]] = []
        left_out: list[LeftOut] = []
        for name, item in exports.items():
            match item:
                case wit.Function():
                    _sort(None, name, item, found, left_out)
                case wit.Interface() if unversioned(name) not in _CALLED_OTHERWISE:
                    left_out += _not_functions(name, item)
                    for function, ty in item.functions.items():
                        _sort(name, function, ty, found, left_out)
                case wit.Resource():
                    left_out.append(LeftOut(name, "a resource, which has no form in JSON"))
                case str():
                    left_out.append(LeftOut(name, f"{_article(item)} {item}, not a function"))
        self.served = tuple(_named(found))
        self.left_out = tuple(left_out)
        self.by_name = {method.short: method for method in self.served if method.short is not None}
        # Second: a root function is never hidden by the short name of another.
        self.by_name |= {method.name: method for method in self.served}
        self._folded: dict[str, str] = {}
        for method in self.served:
            called = method.short or method.name
            for known in (method.function, called, method.name):
                self._folded.setdefault(_folded(known), called)

    def near(self, name: str) -> str | None:
        """The name of a method that may have been meant by one that there is none of: one lookup.

        Capitals, and which of `-`, `_`, `.` and `#` stand between words, do not count, nor does the interface.
        """
        folded = _folded(name[:MAX_NAME])
        return self._folded.get(folded) or self._folded.get(folded.rpartition(".")[2])

    def meant(self, name: str) -> str:
        """Say, of a name that no method has, which was meant, or else which there are."""
        near = self.near(name) or next(
            iter(difflib.get_close_matches(name, self.by_name, n=1)), None
        )
        if near:
            return f'did you mean "{near}"?'
        shown = [method.short or method.name for method in self.served]
        if len(shown) > _SHOWN:
            shown[_SHOWN:] = ["..."]
        return f"it has {', '.join(shown) or 'none'}."


MAX_NAME: Final = 256
"""Characters of a name that are looked at, to find which was meant. Arbitrary."""

_SIGNS: Final = str.maketrans("_#/", "-..")


def _folded(name: str) -> str:
    return name.lower().translate(_SIGNS)


def unversioned(name: str) -> str:
    """The name of an interface without its version."""
    return name.partition("@")[0]


def _named(found: list[tuple[str | None, str, wit.Function]]) -> Iterator[Method]:
    short_names = [_short(interface, function) for interface, function, _ in found]
    uses = Counter(short_names)
    for (interface, function, ty), short in zip(found, short_names, strict=True):
        unambiguous = uses[short] == 1 and not short.startswith(RESERVED_PREFIX)
        yield Method(
            interface, function, ty, short if interface is not None and unambiguous else None
        )


def _short(interface: str | None, function: str) -> str:
    if interface is None:
        return function
    return f"{unversioned(interface).rpartition('/')[2]}.{function}"


def _sort(
    interface: str | None,
    function: str,
    ty: wit.Function,
    found: list[tuple[str | None, str, wit.Function]],
    left_out: list[LeftOut],
) -> None:
    name = function if interface is None else f"{interface}#{function}"
    if (interface, function, tuple(param for param, _ in ty.params)) == _BUILD_ENTRY:
        reason = "what componentize-py called to build the component, of no use to anyone else"
        left_out.append(LeftOut(name, reason, missed=False))
    elif (hindrance := _hindrance(ty)) is not None:
        left_out.append(LeftOut(name, hindrance))
    else:
        found.append((interface, function, ty))


def _not_functions(name: str, interface: wit.Interface) -> Iterator[LeftOut]:
    for local, resource in interface.resources.items():
        if not resource.imported:
            yield LeftOut(f"{name}#{local}", "a resource, which has no form in JSON")
    for local, kind in interface.others.items():
        yield LeftOut(f"{name}#{local}", f"{_article(kind)} {kind}, not a function")


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"


def _hindrance(ty: wit.Function) -> str | None:
    """Why a function of this type cannot be called with JSON."""
    for leaf in ty.leaves():
        match leaf:
            case wit.Own(resource) | wit.Borrow(resource):
                return f"it takes or gives the resource {resource.name}, which has no form in JSON"
            case wit.Unsupported(name):
                return f"it takes or gives a {name}, which has no form in JSON"
    return None
