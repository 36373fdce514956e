"""The functions that a guest exports, once more, with `list<u8>` in disguise.

They are for the host alone, and stand beside those that are exported as they were:

    (component
      ...
      <a memory>                             ;; before the guest: so the host can be told where it is
      (instance $inner (instantiate $guest ...))
      ...
      <each type that needs a name, exported as "gateway-bytes-t0", "gateway-bytes-t1", ...>
      <each function whose type has `list<u8>` in it, lowered onto the memory, lifted from it with
       `tuple<u32, u32>`, and exported as "gateway-bytes-f0", "gateway-bytes-f1", ...>)

Functions that the guest exports outside of interfaces name types of its own, which the component around it does
not have. So they are exported again with types that it has, which get names too: "gateway-bytes-w0" and so on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.cursor import MalformedBinary
from gateway.wasm.binary.extern import ExternName, Sort, encode_extern_name
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.binary.types import (
    Enumeration,
    Flags,
    Func,
    Primitive,
    Record,
    TypeDefinition,
    ValType,
    Variant,
    parts,
    remap,
)
from gateway.wasm.byte_blocks.exported_functions import (
    ExportedFunction,
    read_exported_functions,
)
from gateway.wasm.byte_blocks.forwarding import Forwarding
from gateway.wasm.byte_blocks.imported_interface import InterfaceFunction
from gateway.wasm.byte_blocks.prelude import UnbridgeableError
from gateway.wasm.byte_blocks.shapes import (
    BYTES,
    DISGUISE,
    MAX_RESULT_SIZE,
    Shape,
    primitive_shape,
    shape,
)
from gateway.wasm.canonical_abi import joined_flat

__all__ = ["PREFIX", "ExportedBytes", "exported_bytes"]

PREFIX: Final = "gateway-bytes-"
"""What the names of these types and functions begin with."""

_NAMED: Final = (Record, Variant, Enumeration, Flags)


@dataclass(frozen=True, slots=True)
class ExportedBytes:
    """What a guest exports.

    Attributes:
        types: what the types of its functions are made of, each after its parts.
        shapes: the shape of each of them.
        functions: the functions that take or return bytes, and can be exported in disguise.
        own: the types of those functions that are outside of interfaces, by name.
    """

    types: Sequence[TypeDefinition]
    shapes: Sequence[Shape]
    functions: Sequence[ExportedFunction]
    own: Mapping[str, Func]

    @property
    def names(self) -> dict[tuple[str | None, str], str]:
        """By interface and name, what each of `functions` is called in disguise."""
        return {
            (function.interface, function.name): f"{PREFIX}f{number}"
            for number, function in enumerate(self.functions)
        }

    def define_own(self, out: ComponentWriter) -> dict[str, int]:
        """Define the types of `own` in the component around the guest; gives their indices, by name."""
        functions = dict(self.own)
        types = self._define(out, functions.values(), "w", in_disguise=False)
        return dict(zip(functions, types, strict=True))

    def export(
        self,
        out: ComponentWriter,
        forwarding: Forwarding,
        find: Callable[[ExportedFunction], int],
    ) -> None:
        """Export `functions` in disguise.

        Args:
            out: the component around the guest.
            forwarding: the memory that bytes lie in.
            find: gives the index of a function of the guest.
        """
        types = self._define(out, [each.type for each in self.functions], "t", in_disguise=True)
        lifted = forwarding.add(
            [self._described(at, each) for at, each in enumerate(self.functions)],
            [find(function) for function in self.functions],
            types,
        )
        for name, index in zip(self.names.values(), lifted, strict=True):
            out.export(encode_extern_name(ExternName(name)), Sort.FUNC, index)

    def _define(
        self, out: ComponentWriter, functions: Iterable[Func], letter: str, *, in_disguise: bool
    ) -> list[int]:
        """Define function types and all that they use, and export what needs a name; gives their indices."""
        functions = list(functions)
        indices: dict[int, int] = {}

        def add(definition: TypeDefinition) -> int:
            def valtype(ty: ValType) -> ValType:
                return ty if isinstance(ty, Primitive) else indices[ty]

            encoded = encode_type(remap(definition, valtype, lambda resource: resource))
            return out.add(ComponentSection.TYPE, encoded, Sort.TYPE)

        for index in sorted(self._used(functions)):
            definition = self.types[index]
            indices[index] = add(DISGUISE if in_disguise and definition == BYTES else definition)
            if isinstance(definition, _NAMED):
                name = encode_extern_name(ExternName(f"{PREFIX}{letter}{index}"))
                indices[index] = out.export(name, Sort.TYPE, indices[index])
        return [add(function) for function in functions]

    def _used(self, functions: Iterable[Func]) -> set[int]:
        left = [ty for function in functions for ty in parts(function)]
        found: set[int] = set()
        while left:
            ty = left.pop()
            if not isinstance(ty, Primitive) and ty not in found:
                found.add(ty)
                left += parts(self.types[ty])
        return found

    def _described(self, at: int, function: ExportedFunction) -> InterfaceFunction:
        result = function.type.result
        return InterfaceFunction(
            name=ExternName(function.name),
            type=at,
            parameters=joined_flat(
                _shape_of(self.shapes, ty).layout for _, ty in function.type.parameters
            ),
            result=None if result is None else _shape_of(self.shapes, result),
            borrows=(),
            pairs=(),
            holds_bytes=True,
            bridgeable=True,
        )


def exported_bytes(component: bytes) -> ExportedBytes:
    """What a component exports; without functions where that cannot be told."""
    try:
        found = read_exported_functions(component)
    except (MalformedBinary, UnbridgeableError):
        return _NOTHING
    shapes: list[Shape] = []
    for definition in found.types:
        of = shape(definition, lambda ty: _shape_of(shapes, ty))
        if of is None:  # an instance, say
            return _NOTHING
        shapes.append(of)
    functions = [
        function
        for function in found.functions
        if any(_shape_of(shapes, ty).holds_bytes for ty in parts(function.type))
        and _fits(shapes, function.type.result)
    ]
    own = {each.name: each.type for each in found.functions if each.interface is None}
    return ExportedBytes(found.types, shapes, functions, own)


_NOTHING: Final = ExportedBytes((), (), (), {})


def _fits(shapes: Sequence[Shape], result: ValType | None) -> bool:
    return result is None or _shape_of(shapes, result).layout.size <= MAX_RESULT_SIZE


def _shape_of(shapes: Sequence[Shape], ty: ValType) -> Shape:
    return primitive_shape(ty) if isinstance(ty, Primitive) else shapes[ty]
