"""Functions that are written for the types of the values which they read and write.

Most of what crosses is small: an integer, a handle, the `result` of one. To read or write it takes a few
statements, less than to call a closure for it. So these statements stand in the function that needs them: a
callback of the engine (`gateway.host.callbacks`), or, for a value within a larger one, a closure of its own
(`gateway.host.values`). Any other value is read and written by its closure.

What a function has of its own are its globals. Its source says nothing but the shapes of its types, no word that a
component has chosen, and those of one shape are compiled once for all components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any, Final

from gateway.host import wit
from gateway.host._capi import (
    new_value,
    resource_delete,
    resource_from_value,
    resource_new,
    resource_rep,
    resource_to_value,
    take_error,
    words,
)
from gateway.host.table import Resource
from gateway.host.trap import from_engine
from gateway.host.value_kinds import INTEGER_KINDS, RESOURCE, RESULT
from gateway.host.value_types import Err, Ok, mismatch

__all__ = ["Source", "is_short"]

_WORD: Final = (1 << 64) - 1

_EVERYWHERE: Final[Mapping[str, Any]] = {
    "Err": Err,
    "Ok": Ok,
    "Resource": Resource,
    "from_engine": from_engine,
    "mismatch": mismatch,
    "new_value": new_value,
    "resource_delete": resource_delete,
    "resource_from_value": resource_from_value,
    "resource_new": resource_new,
    "resource_rep": resource_rep,
    "resource_to_value": resource_to_value,
    "take_error": take_error,
    "words": words,
}
"""What the statements name."""


def is_short(ty: wit.Type) -> bool:
    """Whether values of a type are read and written in few statements."""
    match ty:
        case wit.Bool() | wit.Integer():
            return True
        case wit.Own(resource) | wit.Borrow(resource):
            return resource.imported
    return False


class Source:
    """A function, `call`, that is being written. Its local name `store` is for the store that values are in.

    Args:
        parameters: the names of its parameters.
        names: what its lines name, besides what `Source` itself writes.
    """

    def __init__(self, parameters: str, names: Mapping[str, Any]) -> None:
        self._lines = [f"def call({parameters}):"]
        self._names = {**_EVERYWHERE, **names}
        self._indent = "    "

    def add(self, *lines: str) -> None:
        """Add lines at the present depth."""
        self._lines += [self._indent + line for line in lines]

    @contextmanager
    def block(self, line: str) -> Iterator[None]:
        """Add a line, below which all that is added within the context is one level deeper."""
        self.add(line)
        self._indent += "    "
        yield
        self._indent = self._indent[:-4]

    def bind(self, value: object) -> str:
        """A name for an object."""
        name = f"_{len(self._names)}"
        self._names[name] = value
        return name

    def function(self, file: str) -> Callable[..., Any]:
        """The function.

        Args:
            file: where tracebacks and profiles say that it is.
        """
        exec(_compiled("\n".join(self._lines), file), self._names)  # noqa: S102 - all of it is from here
        function: Callable[..., Any] = self._names["call"]
        return function

    def read(self, ty: wit.Type, address: str) -> str:
        """Have a value read of a type that is short.

        Args:
            ty: the type.
            address: an expression for where it is.

        Returns:
            An expression for the value, to be used before anything else is read.
        """
        word = f"words[({address} >> 3) + 1]"
        match ty:
            case wit.Bool():
                return f"bool({word} & 0xFF)"
            case wit.Integer(bits, signed):
                number = f"{word} & {(1 << bits) - 1}"
                sign = 1 << (bits - 1)
                return f"(({number}) ^ {sign}) - {sign}" if signed else number
        self.add(
            "out = store.scratch",
            f"if failure := resource_from_value(store.context, {word}, out):",
            "    raise take_error(failure)",
            "host = words[out >> 3]",
            "rep = resource_rep(host)",
            "resource_delete(host)",
        )
        return "store.table.take(rep)" if isinstance(ty, wit.Own) else "store.table[rep]"

    def write(self, ty: wit.Type, address: str, value: str) -> None:
        """Have a value written of a type that is short.

        Args:
            ty: the type.
            address: an expression for where to, where a valid value must be, such as zeroes.
            value: the name that has it.
        """
        match ty:
            case wit.Bool():
                self.add(
                    f"if {value} is not True and {value} is not False:",
                    f"    raise mismatch('bool', {value})",
                    f"words[({address} >> 3) + 1] = {value}",
                )
            case wit.Integer(bits, signed):
                low, high = ty.minimum, ty.maximum
                self.add(
                    f"if type({value}) is not int or not {low} <= {value} <= {high}:",
                    f"    raise mismatch('{ty}, an integer from {low} to {high}', {value})",
                    f"word = {address} >> 3",
                    f"words[word + 1] = {value} & {_WORD}"
                    if signed
                    else f"words[word + 1] = {value}",
                    f"words[word] = {INTEGER_KINDS[bits, signed]}",
                )
            case wit.Own(resource) | wit.Borrow(resource):
                owned = isinstance(ty, wit.Own)
                self.add(
                    f"if not isinstance({value}, Resource):",
                    f"    raise mismatch({self.bind(f'resource {ty}')}, {value})",
                    f"rep = store.table.push({value})" if owned else f"rep = {value}.rep",
                    f"host = resource_new({owned}, rep, {self.bind(resource.host_id)})",
                    f"failure = resource_to_value(store.context, host, {address} + 8)",
                    "resource_delete(host)",
                    f"word = {address} >> 3",
                    "if failure:  # the guest holds as many handles as the engine has",
                    "    words[word + 1] = 0",
                    "    raise from_engine(take_error(failure), None)",
                    f"words[word] = {RESOURCE}",
                )

    def write_result(
        self, ty: wit.Result, address: str, value: str, lower: Callable[[wit.Type], object]
    ) -> None:
        """Have a `result` written.

        Args:
            ty: its type.
            address: as of `write`.
            value: the name that has it, or its ok side, and loses it.
            lower: makes the closure that writes values of a type which is not short.
        """
        self.add(
            f"is_ok = type({value}) is not Err",
            f"if not is_ok or type({value}) is Ok:",
            f"    {value} = {value}.value",
            f"word = {address} >> 3",
            "words[word + 1] = is_ok",
            "words[word + 2] = 0",
            f"words[word] = {RESULT}",
        )
        for condition, side in (("if is_ok:", ty.ok), ("else:", ty.err)):
            with self.block(condition):
                if side is None:
                    self.add(
                        f"if {value} is not None:", f"    raise mismatch({self.bind(ty)}, {value})"
                    )
                    continue
                self.add("box = words[word + 2] = new_value()")
                if is_short(side):
                    self.write(side, "box", value)
                else:
                    self.add(f"{self.bind(lower(side))}(store, box, {value})")


@lru_cache(maxsize=1024)
def _compiled(source: str, file: str) -> CodeType:
    return compile(source, file, "exec")
