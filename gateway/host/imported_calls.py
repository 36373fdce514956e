"""The interfaces with asynchronous functions that a guest of WASI 0.3 imports of others, and their adapters.

Source: `gateway.wasm.wasip3.imported`, which works on texts; here they are made of the types of WIT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final

from gateway.host import wit
from gateway.wasm.wasip3.ends import letters
from gateway.wasm.wasip3.family import FAMILIES, Family
from gateway.wasm.wasip3.imported import HOST_PREFIX, Imported

__all__ = ["ends_of", "imported_interfaces"]

_MAX_INTERFACES: Final = 100
"""Interfaces that are adapted; those after them are not. Adapters tell theirs from others by seven bits."""

_ERROR: Final = """(type $error-code' (enum "none"))
(export "{}-error-code" (type $error-code (eq $error-code')))"""
"""What streams of adapters fail with, of which these have none."""


def imported_interfaces(
    imports: Mapping[str, wit.Item], assemble: Callable[[str], bytes]
) -> Iterator[tuple[str, Imported]]:
    """Those that can be adapted, by the names of their imports.

    Args:
        imports: what a guest imports.
        assemble: makes binary components of text.
    """
    adapted = (
        (name, item)
        for name, item in imports.items()
        if isinstance(item, wit.Interface) and not name.startswith("wasi:") and _is_adapted(item)
    )
    for number, (name, interface) in zip(range(_MAX_INTERFACES), adapted, strict=False):
        text = _Text(interface)
        tag = len(FAMILIES) + 1 + number
        host = f"{HOST_PREFIX}{letters(number)}"
        family = Family(name, host, partial(str, text.text), tag, ends=text.ends)
        plain = tuple(each for each in interface.functions if each not in text.functions)
        binary = assemble(family.text())
        yield name, Imported.read(family, text.types, text.functions, plain, binary)


def _is_adapted(interface: wit.Interface) -> bool:
    if interface.resources or interface.others:
        return False
    functions = interface.functions.values()
    carried = not any(
        isinstance(leaf, wit.Own | wit.Borrow | wit.Unsupported)
        for ty in functions
        for leaf in ty.leaves()
    )
    return carried and any(map(_is_changed, functions))


def _is_changed(ty: wit.Function) -> bool:
    return ty.is_async or any(isinstance(leaf, wit.Stream | wit.Future) for leaf in ty.leaves())


def ends_of(interface: wit.Interface) -> list[wit.Type]:
    """The types of streams and futures that functions of an interface have, by the numbers that adapters know."""
    leaves = (leaf for ty in interface.functions.values() for leaf in ty.leaves())
    return list(dict.fromkeys(it for it in leaves if isinstance(it, wit.Stream | wit.Future)))


@dataclass
class _Text:
    """The text of an interface's types and functions.

    Args:
        interface: the interface.

    Attributes:
        types: what its types are called in the text, by their names.
        functions: the same of its functions that the host cannot have.
        ends: what the types of `ends_of` are called.
        text: the text.
    """

    interface: wit.Interface

    def __post_init__(self) -> None:
        # What has no place in the text but by its own name is told from all that the text names.
        plain = [name for name, ty in self.interface.functions.items() if not _is_changed(ty)]
        self._own = next(
            word
            for word in map(letters, count())
            if not any(name.startswith(f"{word}-") for name in plain)
        )
        self._lines = [_ERROR.format(self._own)]
        self._known: dict[wit.Type, str] = {}
        self.types: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        for name, ty in self.interface.types.items():
            if isinstance(ty, wit.Named):
                self._of(ty)
                self.types[name] = self._known[ty]
            else:
                self.types[name] = self._define(self._of(ty))
        self.ends = [self._of(end)[1:] for end in ends_of(self.interface)]
        for name, function in self.interface.functions.items():
            own = name
            if _is_changed(function):
                own = self.functions[name] = f"{self._own}-call-{letters(len(self.functions))}"
            params = " ".join(f'(param "{each}" {self._of(ty)})' for each, ty in function.params)
            result = "" if function.result is None else f"(result {self._of(function.result)})"
            how = "async" * function.is_async
            self._lines.append(f'(export "{own}" (func {how} {params} {result}))')
        self.text = "\n".join(self._lines)

    def _define(self, body: str) -> str:
        """A type with a name, which it gives."""
        name = f"{self._own}-type-{letters(len(self._lines))}"
        self._lines.append(
            f"""(type ${name}' {body}) (export "{name}" (type ${name} (eq ${name}')))"""
        )
        return name

    def _of(self, ty: wit.Type) -> str:
        """How a type is referred to."""
        # The text format has no streams in the place of an ok.
        if isinstance(ty, wit.Named | wit.Stream | wit.Future):
            if ty not in self._known:
                body = self._body(ty)
                self._known[ty] = self._define(body)
            return f"${self._known[ty]}"
        return self._body(ty)

    def _body(self, ty: wit.Type) -> str:
        def optional(part: wit.Type | None, form: str = "{}") -> str:
            return "" if part is None else form.format(self._of(part))

        def members(keyword: str, pairs: Iterable[tuple[str, wit.Type | None]]) -> str:
            return " ".join(f'({keyword} "{name}" {optional(of)})' for name, of in pairs)

        def quoted(names: Iterable[str]) -> str:
            return " ".join(f'"{name}"' for name in names)

        match ty:
            case wit.Record(fields):
                return f"(record {members('field', fields)})"
            case wit.Variant(cases):
                return f"(variant {members('case', cases)})"
            case wit.Enum(names):
                return f"(enum {quoted(names)})"
            case wit.Flags(names):
                return f"(flags {quoted(names)})"
            case wit.Stream(element):
                return f"(stream {self._of(element)})"
            case wit.Future(payload):
                return f"(future {self._of(payload)})"
            case wit.List(element):
                return f"(list {self._of(element)})"
            case wit.Option(payload):
                return f"(option {self._of(payload)})"
            case wit.Tuple(elements):
                return f"(tuple {' '.join(map(self._of, elements))})"
            case wit.Result(ok, err):
                return f"(result {optional(ok)} {optional(err, '(error {})')})"
        return wit.text(ty)
