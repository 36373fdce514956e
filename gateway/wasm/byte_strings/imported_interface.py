"""An imported interface: its functions, and its type with `list<u8>` disguised as `string`."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gateway.wasm.binary.definitions import OuterAlias
from gateway.wasm.binary.extern import ExternName, ExternType, Sort
from gateway.wasm.binary.types import (
    Borrow,
    Declaration,
    ExportDeclaration,
    Func,
    InstanceType,
    ListOf,
    Primitive,
    TypeDefinition,
    ValType,
    parts,
    remap,
)
from gateway.wasm.byte_strings.prelude import Prelude, TypeSource, UnbridgeableError
from gateway.wasm.byte_strings.shapes import (
    MAX_RESULT_SIZE,
    Shape,
    joined_strings,
    opaque,
    primitive_shape,
    shape,
)
from gateway.wasm.canonical_abi import Flat, joined_flat

__all__ = ["ImportedInterface", "InterfaceFunction", "read_interfaces"]


@dataclass(frozen=True, slots=True)
class InterfaceFunction:
    """A function of an interface.

    Attributes:
        name: its name in the interface.
        type: the index of its type, in the type index space of the interface.
        parameters: its core parameters, if they fit in registers.
        result: the shape of its result, if it has one.
        borrows: where a parameter is a borrowed handle: its place among the core parameters and the
            index of its resource type.
        strings: for each string of its disguised type, in order, whether it is bytes.
        bridgeable: whether it has a `list<u8>` and nothing that stands in the way of disguising it.
    """

    name: ExternName
    type: int
    parameters: Flat
    result: Shape | None
    borrows: tuple[tuple[int, int], ...]
    strings: tuple[bool, ...]
    bridgeable: bool


@dataclass(frozen=True, slots=True)
class _LocalType:
    """An entry of an interface's type index space.

    Attributes:
        definition: what it is, other names within the interface resolved; None for a resource type
            and for a type of another interface.
        shape: its shape, if it is a value type.
        original: the entry that it is only another name of, or its own index.
    """

    definition: TypeDefinition | None
    shape: Shape | None
    original: int


class ImportedInterface:
    """The type of an imported instance.

    Attributes:
        type: the instance type as the component has it.
        exported_shapes: the shapes of the value types that it exports, by name.
        functions: in order.
    """

    def __init__(self, instance_type: InstanceType, outer: Sequence[Shape | None]) -> None:
        """Reads `instance_type`, given the shapes of the types around it.

        Raises:
            UnbridgeableError: it refers to types that are not there, or exports anything but types
                and functions.
        """
        self.type = instance_type
        self.exported_shapes: dict[str, Shape] = {}
        self.functions: list[InterfaceFunction] = []
        self._types: list[_LocalType] = []
        for declaration in instance_type.declarations:
            self._read(declaration, outer)

    @property
    def bridgeable(self) -> list[InterfaceFunction]:
        """The functions that can be bridged."""
        return [function for function in self.functions if function.bridgeable]

    def disguised(self) -> InstanceType:
        """The type with every `list<u8>` in the bridgeable functions replaced by `string`.

        What is there stays where it is, since aliases and other functions refer to it by index:
        changed copies of the functions, and of the types they are made of, come after it.
        """
        names = {function.name.name for function in self.bridgeable}
        kept = [
            declaration
            for declaration in self.type.declarations
            if not _declares_function(declaration, names)
        ]
        copies: list[TypeDefinition] = []
        disguises: dict[int, ValType] = {}

        def disguise(valtype: ValType) -> ValType:
            if isinstance(valtype, Primitive):
                return valtype
            return disguises.get(self._types[valtype].original, valtype)

        def copy(definition: TypeDefinition) -> int:
            copies.append(remap(definition, disguise, resource=lambda index: index))
            return len(self._types) + len(copies) - 1

        for index, local in enumerate(self._types):
            if local.original != index or local.shape is None or not local.shape.holds_bytes:
                continue
            if local.definition == ListOf(Primitive.U8):
                disguises[index] = Primitive.STRING
            elif local.definition is not None:
                disguises[index] = copy(local.definition)
        exports = [
            ExportDeclaration(
                function.name, ExternType(Sort.FUNC, copy(self._function_type(function.type)))
            )
            for function in self.bridgeable
        ]
        return InstanceType((*kept, *copies, *exports))

    def _read(self, declaration: Declaration, outer: Sequence[Shape | None]) -> None:
        match declaration:
            case OuterAlias(_, 1, index) if index < len(outer):
                its_shape = outer[index]
                self._add(None, its_shape and opaque(its_shape))
            case ExportDeclaration(name, ExternType(Sort.FUNC, int(index))):
                self.functions.append(self._function(name, index))
            case ExportDeclaration(_, ExternType(Sort.TYPE, None)):
                self._add(None, None)
            case ExportDeclaration(name, ExternType(Sort.TYPE, int(index))):
                original = self._at(index)
                self._types.append(original)
                if original.shape is not None:
                    self.exported_shapes[name.name] = original.shape
            case OuterAlias() | ExportDeclaration():
                raise UnbridgeableError
            case definition:
                for part in parts(definition):
                    if not isinstance(part, Primitive):
                        self._at(part)
                self._add(definition, shape(definition, self._shape))

    def _add(self, definition: TypeDefinition | None, its_shape: Shape | None) -> None:
        self._types.append(_LocalType(definition, its_shape, len(self._types)))

    def _at(self, index: int) -> _LocalType:
        if index >= len(self._types):
            raise UnbridgeableError
        return self._types[index]

    def _shape(self, valtype: ValType) -> Shape:
        if isinstance(valtype, Primitive):
            return primitive_shape(valtype)
        found = self._at(valtype).shape
        if found is None:
            raise UnbridgeableError
        return found

    def _function_type(self, index: int) -> Func:
        definition = self._at(index).definition
        if not isinstance(definition, Func):
            raise UnbridgeableError
        return definition

    def _function(self, name: ExternName, index: int) -> InterfaceFunction:
        definition = self._function_type(index)
        parameters = [self._shape(valtype) for _, valtype in definition.parameters]
        result = None if definition.result is None else self._shape(definition.result)
        sides = parameters if result is None else [*parameters, result]
        flat = joined_flat(each.layout for each in parameters)
        strings = joined_strings(sides)
        borrows = self._borrows(definition, parameters)
        return InterfaceFunction(
            name=name,
            type=index,
            parameters=flat,
            result=result,
            borrows=borrows,
            strings=strings or (),
            bridgeable=(
                flat is not None
                and strings is not None
                and any(side.holds_bytes for side in sides)
                and (result is None or result.layout.size <= MAX_RESULT_SIZE)
                # A borrowed handle must be dropped before the call returns, so it must be in reach.
                and sum(side.holds_borrow for side in sides) == len(borrows)
            ),
        )

    def _borrows(
        self, definition: Func, parameters: Sequence[Shape]
    ) -> tuple[tuple[int, int], ...]:
        borrows = []
        place = 0
        for (_, valtype), its_shape in zip(definition.parameters, parameters, strict=True):
            if not isinstance(valtype, Primitive):
                handle = self._at(valtype).definition
                if isinstance(handle, Borrow):
                    borrows.append((place, handle.resource))
            place += len(its_shape.layout.flat or ())
        return tuple(borrows)


def read_interfaces(prelude: Prelude) -> dict[int, ImportedInterface]:
    """The instance types of a prelude, by type index; without those of a form not handled here."""
    interfaces: dict[int, ImportedInterface] = {}
    shapes: list[Shape | None] = []

    def shape_at(index: int | None) -> Shape | None:
        return shapes[index] if index is not None and index < len(shapes) else None

    def shape_of(valtype: ValType) -> Shape:
        found = primitive_shape(valtype) if isinstance(valtype, Primitive) else shape_at(valtype)
        if found is None:
            raise UnbridgeableError
        return found

    def read(index: int, source: TypeSource) -> Shape | None:
        if isinstance(source.definition, InstanceType):
            interfaces[index] = ImportedInterface(source.definition, shapes)
            return None
        if source.definition is not None:
            return shape(source.definition, shape_of)
        if source.export is not None:
            interface = interfaces.get(prelude.instance_type(source.export.instance))
            return interface.exported_shapes.get(source.export.name) if interface else None
        return shape_at(source.equal_to)

    for index, source in enumerate(prelude.types):
        try:
            shapes.append(read(index, source))
        except UnbridgeableError:
            shapes.append(None)
    return interfaces


def _declares_function(declaration: Declaration, names: AbstractSet[str]) -> bool:
    return (
        isinstance(declaration, ExportDeclaration)
        and declaration.type.sort is Sort.FUNC
        and declaration.name.name in names
    )
