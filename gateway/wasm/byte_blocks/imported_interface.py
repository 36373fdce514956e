"""An imported interface: its functions, and its type with `list<u8>` disguised."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gateway.wasm.binary.definitions import OuterAlias
from gateway.wasm.binary.extern import ExternName, ExternType, Sort
from gateway.wasm.binary.types import (
    Borrow,
    Declaration,
    ExportDeclaration,
    Func,
    InstanceType,
    OptionOf,
    Primitive,
    ResultOf,
    TupleOf,
    TypeDefinition,
    ValType,
    parts,
)
from gateway.wasm.byte_blocks.prelude import Prelude, TypeSource, UnbridgeableError
from gateway.wasm.byte_blocks.shapes import (
    BYTES,
    DISGUISE,
    MAX_RESULT_SIZE,
    Pair,
    Shape,
    joined_pairs,
    opaque,
    primitive_shape,
    shape,
)
from gateway.wasm.canonical_abi import Flat, Layout, joined_flat, payload_offset, places

__all__ = [
    "ImportedInterface",
    "InterfaceFunction",
    "Interfaces",
    "StagedBytes",
    "read_interfaces",
]


@dataclass(frozen=True, slots=True)
class InterfaceFunction:
    """A function of an interface.

    Attributes:
        name: its name in the interface.
        type: the index of its type, in the type index space of the interface.
        parameters: its core parameters, None for more than fit in registers.
        result: the shape of its result, if it has one.
        borrows: where a parameter is a borrowed handle: its place among the core parameters and the
            index of its resource type.
        pairs: what each `tuple<u32, u32>` of its disguised type is, in order.
        holds_bytes: whether it has bytes that pass the bridge's memory.
        bridgeable: whether nothing in it stands in the way of a bridge.
    """

    name: ExternName
    type: int
    parameters: Flat
    result: Shape | None
    borrows: tuple[tuple[int, int], ...]
    pairs: tuple[Pair, ...]
    holds_bytes: bool
    bridgeable: bool


@dataclass(frozen=True, slots=True)
class StagedBytes:
    """Where bytes are in a result that lies in memory, and when.

    Attributes:
        at: where in the result their address is, which their length follows.
        cases: what is one there only if bytes of the result have these values: where they are, and the values.
    """

    at: int
    cases: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _LocalType:
    """An entry of an interface's type index space.

    Attributes:
        definition: what it is, other names within the interface resolved; None for a resource type
            and for a type of another interface.
        shape: its shape, if it is a value type.
    """

    definition: TypeDefinition | None
    shape: Shape | None


class ImportedInterface:
    """The type of an imported instance.

    Attributes:
        type: the instance type as the component has it.
        exported_shapes: the shapes of the value types that it exports, by name.
        functions: in order.
        borrowed: the types around it that hold bytes and that it uses, by index.
    """

    def __init__(
        self,
        instance_type: InstanceType,
        outer: Sequence[Shape | None],
        *,
        lending: bool = False,
        pairs: Mapping[int, Pair] = MappingProxyType({}),
    ) -> None:
        """Reads `instance_type`, given the shapes of the types around it.

        Args:
            instance_type: the type.
            outer: the shapes.
            lending: whether functions that take two borrowed handles are to be bridged too.
            pairs: what types of it are, by index, that are such tuples for the guest too (`retyping.py`).

        Raises:
            UnbridgeableError: it refers to types that are not there, or exports anything but types
                and functions.
        """
        self.type = instance_type
        self._lending = lending
        self._pairs = pairs
        self.exported_shapes: dict[str, Shape] = {}
        self.functions: list[InterfaceFunction] = []
        self.borrowed: list[int] = []
        self._types: list[_LocalType] = []
        for declaration in instance_type.declarations:
            self._read(declaration, outer)

    @property
    def bridged(self) -> list[InterfaceFunction]:
        """The functions that pass bytes, or two borrowed handles where that matters."""
        return [
            function
            for function in self.functions
            if function.holds_bytes or (self._lending and len(function.borrows) > 1)
        ]

    @property
    def bridgeable(self) -> bool:
        """Whether a bridge can pass on all of `bridged`."""
        return all(function.bridgeable for function in self.bridged)

    @property
    def is_bridged(self) -> bool:
        """Whether the host has other types than the guest, or functions are bridged for another reason."""
        return bool(self.bridged) or self.disguised() != self.type

    def disguised(self) -> InstanceType:
        """The type with every `list<u8>` disguised; each type keeps its index."""
        return InstanceType(
            tuple(DISGUISE if one == BYTES else one for one in self.type.declarations)
        )

    def staged(self, function: InterfaceFunction) -> list[StagedBytes]:
        """Where `Pair.STAGED_BYTES` are in the result of a function."""
        definition = self._at(function.type).definition
        if not isinstance(definition, Func) or definition.result is None:
            return []
        return list(self._staged(definition.result, 0, ()))

    def _staged(
        self, valtype: ValType, at: int, cases: tuple[tuple[int, int], ...]
    ) -> Iterator[StagedBytes]:
        if isinstance(valtype, Primitive):
            return
        if Pair.STAGED_BYTES not in (self._shape(valtype).pairs or ()):
            return
        if self._pairs.get(valtype) is Pair.STAGED_BYTES:
            yield StagedBytes(at, cases)
            return
        match self._at(valtype).definition:
            case TupleOf(elements):
                for element, place in zip(elements, places(self._layouts(elements)), strict=True):
                    yield from self._staged(element, at + place, cases)
            case OptionOf(payload):
                place = at + payload_offset(2, self._layouts([payload]))
                yield from self._staged(payload, place, (*cases, (at, 1)))
            case ResultOf(ok, error):
                sides = (ok, error)
                place = at + payload_offset(2, self._layouts(sides))
                for case, side in enumerate(sides):
                    if side is not None:
                        yield from self._staged(side, place, (*cases, (at, case)))

    def _layouts(self, valtypes: Iterable[ValType | None]) -> list[Layout]:
        return [self._shape(valtype).layout for valtype in valtypes if valtype is not None]

    def _read(self, declaration: Declaration, outer: Sequence[Shape | None]) -> None:
        match declaration:
            case OuterAlias(_, 1, index) if index < len(outer):
                its_shape = outer[index]
                if its_shape is not None and its_shape.holds_bytes:
                    self.borrowed.append(index)
                self._types.append(_LocalType(None, its_shape))
            case ExportDeclaration(name, ExternType(Sort.FUNC, int(index))):
                self.functions.append(self._function(name, index))
            case ExportDeclaration(_, ExternType(Sort.TYPE, None)):
                self._types.append(_LocalType(None, None))
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
                its_shape = shape(definition, self._shape)
                pair = self._pairs.get(len(self._types))
                if its_shape is not None and pair is not None:
                    its_shape = replace(its_shape, pairs=(pair,))
                self._types.append(_LocalType(definition, its_shape))

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

    def _function(self, name: ExternName, index: int) -> InterfaceFunction:
        definition = self._at(index).definition
        if not isinstance(definition, Func):
            raise UnbridgeableError
        parameters = [self._shape(valtype) for _, valtype in definition.parameters]
        result = None if definition.result is None else self._shape(definition.result)
        sides = parameters if result is None else [*parameters, result]
        flat = joined_flat(each.layout for each in parameters)
        pairs = joined_pairs(sides)
        borrows = () if flat is None else self._borrows(definition, parameters)
        return InterfaceFunction(
            name=name,
            type=index,
            parameters=flat,
            result=result,
            borrows=borrows,
            pairs=pairs or (),
            holds_bytes=any(side.holds_bytes for side in sides),
            bridgeable=(
                pairs is not None
                and not definition.is_async
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


@dataclass(slots=True)
class Interfaces:
    """The interfaces that a prelude imports.

    Attributes:
        by_type: by the index of their instance types; without those of a form not handled here.
        tied: the indices of instance types whose bytes something else than an interface names too.
        shapes: of the types of the prelude.
    """

    by_type: dict[int, ImportedInterface] = field(default_factory=dict)
    tied: set[int] = field(default_factory=set)
    shapes: list[Shape | None] = field(default_factory=list)


def read_interfaces(prelude: Prelude, *, lending: bool) -> Interfaces:
    """Reads the instance types of a prelude."""
    read = _Reader(prelude, lending=lending)
    for index, source in enumerate(prelude.types):
        try:
            read.shapes.append(read.shape(index, source))
        except UnbridgeableError:
            read.shapes.append(None)
    return read.interfaces


class _Reader:
    def __init__(self, prelude: Prelude, *, lending: bool) -> None:
        self.prelude = prelude
        self.lending = lending
        self.interfaces = Interfaces()
        self.shapes = self.interfaces.shapes

    def shape(self, index: int, source: TypeSource) -> Shape | None:
        """Gives the shape of a type of the prelude, and notes what it is if it is an interface."""
        if isinstance(source.definition, InstanceType):
            try:
                interface = ImportedInterface(source.definition, self.shapes, lending=self.lending)
            except UnbridgeableError:
                for declaration in source.definition.declarations:
                    if isinstance(declaration, OuterAlias):
                        self.tie(declaration.index)
                raise
            self.interfaces.by_type[index] = interface
            return None
        if source.definition is not None:
            definition = source.definition
            for part in parts(definition):
                self.tie(part)
            its_shape = shape(definition, self.shape_of)
            # Its own `list<u8>` stays one.
            return its_shape and opaque(its_shape)
        if source.export is not None:
            instance_type = self.prelude.instance_type(source.export.instance)
            found = self.interfaces.by_type.get(instance_type)
            return found.exported_shapes.get(source.export.name) if found else None
        if source.equal_to is None:
            return None
        self.tie(source.equal_to)
        its_shape = self.shape_of(source.equal_to)
        return its_shape and opaque(its_shape)

    def shape_of(self, valtype: ValType) -> Shape:
        if isinstance(valtype, Primitive):
            return primitive_shape(valtype)
        found = self.shapes[valtype] if valtype < len(self.shapes) else None
        if found is None:
            raise UnbridgeableError
        return found

    def tie(self, valtype: ValType) -> None:
        if isinstance(valtype, Primitive) or valtype >= len(self.shapes):
            return
        export = self.prelude.types[valtype].export
        its_shape = self.shapes[valtype]
        if export is not None and its_shape is not None and its_shape.holds_bytes:
            self.interfaces.tied.add(self.prelude.instance_type(export.instance))
