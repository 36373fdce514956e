"""The component that stands between a guest and one interface of the host.

(component
  <the guest's imports; what is `list<u8>` in the interfaces that are bridged is `tuple<u32, u32>` here>
  <every type that the interface exports, exported again with its own `list<u8>`>
  <a memory; the functions that pass bytes lowered onto it>
  <functions that call those, lifted from the same memory with the interface's own types>
  <every function that the interface exports: as it is, or in place of it the lifted one>)
"""

from collections.abc import Mapping, Sequence

from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.definitions import ExportAlias, OuterAlias
from gateway.wasm.binary.extern import ExternName, ExternType, Sort, encode_extern_name
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.binary.types import ExportDeclaration, Primitive, TypeDefinition, ValType, remap
from gateway.wasm.byte_blocks import core
from gateway.wasm.byte_blocks.forwarding import Forwarding
from gateway.wasm.byte_blocks.imported_interface import ImportedInterface, InterfaceFunction
from gateway.wasm.byte_blocks.prelude import Prelude

__all__ = ["bridge_component"]


def bridge_component(
    prelude: Prelude,
    encoded_prelude: bytes,
    interfaces: Mapping[int, ImportedInterface],
    instance: int,
) -> bytes:
    """Writes a bridge.

    Args:
        prelude: the guest's.
        encoded_prelude: the same with the interfaces that are bridged in disguise.
        interfaces: these, by where their instances are among the imports of the prelude.
        instance: the one that the bridge is for.
    """
    return _Bridge(prelude, encoded_prelude, interfaces).build(instance)


class _Bridge:
    def __init__(
        self, prelude: Prelude, encoded_prelude: bytes, interfaces: Mapping[int, ImportedInterface]
    ) -> None:
        self.out = ComponentWriter(encoded_prelude, prelude.counts)
        self.prelude = prelude
        self.interfaces = interfaces
        # Where the types that other interfaces export are in the bridge's index space, as the guest has them.
        self.exported: dict[int, dict[str, int]] = {}
        # Where each type of the interface's index space is in the bridge's.
        self.types: list[int] = []
        self.instance = -1

    def build(self, instance: int) -> bytes:
        interface = self.interfaces[instance]
        self.types = self.add_types(instance, "")
        self.instance = instance
        bridged = interface.bridged
        lifted = dict(zip((f.name.name for f in bridged), self.lift_all(bridged), strict=True))
        for function in interface.functions:
            self.export_function(function, lifted.get(function.name.name))
        return self.out.finish()

    def add_types(self, instance: int, prefix: str) -> list[int]:
        """Repeats the types of an interface as definitions of the bridge, and exports those that it exports.

        Args:
            instance: the interface.
            prefix: comes before each name. All that a function names must be exported, by whatever name.

        Returns:
            Where each is in the bridge's index space.
        """
        types: list[int] = []
        exported = self.exported[instance] = {}
        for declaration in self.interfaces[instance].type.declarations:
            match declaration:
                case OuterAlias(_, _, index):
                    types.append(self.outer(index))
                case ExportDeclaration(name, ExternType(Sort.TYPE, bound)):
                    # A resource type comes with the instance; any other is defined here.
                    at = (
                        self.out.alias(Sort.TYPE, instance, name.name)
                        if bound is None
                        else types[bound]
                    )
                    named = ExternName(prefix + name.name) if prefix else name
                    exported[name.name] = self.out.export(encode_extern_name(named), Sort.TYPE, at)
                    types.append(exported[name.name])
                case ExportDeclaration():
                    pass
                case definition:
                    types.append(self.define(definition, types))
        return types

    def outer(self, index: int) -> int:
        """Where a type of the prelude is in the bridge's index space, as the guest has it."""
        match self.prelude.types[index].export:
            case ExportAlias(_, instance, name) if instance in self.interfaces:
                if instance not in self.exported:
                    self.add_types(instance, f"of{instance}-")
                return self.exported[instance][name]
        return index

    def define(self, definition: TypeDefinition, types: Sequence[int]) -> int:
        def valtype(valtype: ValType) -> ValType:
            return valtype if isinstance(valtype, Primitive) else types[valtype]

        renamed = remap(definition, valtype, types.__getitem__)
        return self.out.add(ComponentSection.TYPE, encode_type(renamed), Sort.TYPE)

    def lift_all(self, functions: Sequence[InterfaceFunction]) -> list[int]:
        """Lowers the functions of the host and lifts them again, now with their own types."""
        if not functions:
            return []
        forwarding = Forwarding(self.out, core.MAX_PAGES)
        found = [self.out.alias(Sort.FUNC, self.instance, f.name.name) for f in functions]
        return forwarding.add(functions, found, self.types)

    def export_function(self, function: InterfaceFunction, lifted: int | None) -> None:
        at = lifted
        if at is None:
            at = self.out.alias(Sort.FUNC, self.instance, function.name.name)
        # The type again, for one that is passed on: said in terms of the types exported above.
        function_type = ExternType(Sort.FUNC, self.types[function.type])
        self.out.export(encode_extern_name(function.name), Sort.FUNC, at, function_type)
