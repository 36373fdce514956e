"""The component that stands between a guest and one interface of the host.

(component
  <the guest's imports; what is `list<u8>` in the interfaces that are bridged is `tuple<u32, u32>` here>
  <every type that the interface exports, exported again with its own `list<u8>`>
  <a memory; the functions that pass bytes lowered onto it>
  <functions that call those, lifted from the same memory with the interface's own types>
  <every function that the interface exports: as it is, or in place of it the lifted one>)
"""

from collections.abc import Mapping, Sequence

from gateway.wasm.binary import encode
from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.definitions import ExportAlias, OuterAlias
from gateway.wasm.binary.extern import ExternName, ExternType, Sort, SortIndex, encode_extern_name
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.binary.types import ExportDeclaration, Primitive, TypeDefinition, ValType, remap
from gateway.wasm.byte_blocks import core
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
        out = self.out
        module = core.memory_module()
        module_index = out.embed(ComponentSection.CORE_MODULE, module, Sort.CORE_MODULE)
        keeper = out.instantiate_core(module_index, [])
        memory = out.alias_core(Sort.CORE_MEMORY, keeper, core.MEMORY)
        realloc = out.alias_core(Sort.CORE_FUNC, keeper, core.REALLOC)
        options = [b"\x03" + encode.u32(memory), b"\x04" + encode.u32(realloc)]

        resources = dict.fromkeys(resource for f in functions for _, resource in f.borrows)
        drops = {resource: number for number, resource in enumerate(resources)}
        hosts = _numbered(out, [self.lower(function, options) for function in functions])
        droppers = _numbered(out, [self.drop(resource) for resource in drops])
        module = core.forwarder_module(functions, drops)
        module_index = out.embed(ComponentSection.CORE_MODULE, module, Sort.CORE_MODULE)
        arguments = [(core.HOST, hosts), (core.DROP, droppers)]
        forwarder = out.instantiate_core(module_index, arguments)

        return [
            self.lift(
                function,
                out.alias_core(Sort.CORE_FUNC, forwarder, str(at)),
                [*options, self.post_return(function, keeper)],
            )
            for at, function in enumerate(functions)
        ]

    def lower(self, function: InterfaceFunction, options: list[bytes]) -> int:
        at = self.out.alias(Sort.FUNC, self.instance, function.name.name)
        item = b"\x01\x00" + encode.u32(at) + encode.vector(options)
        return self.out.add(ComponentSection.CANON, item, Sort.CORE_FUNC)

    def drop(self, resource: int) -> int:
        item = b"\x03" + encode.u32(self.types[resource])
        return self.out.add(ComponentSection.CANON, item, Sort.CORE_FUNC)

    def post_return(self, function: InterfaceFunction, keeper: int) -> bytes:
        name = core.release(function)
        return b"\x05" + encode.u32(self.out.alias_core(Sort.CORE_FUNC, keeper, name))

    def lift(self, function: InterfaceFunction, core_function: int, options: list[bytes]) -> int:
        function_type = encode.u32(self.types[function.type])
        item = b"\x00\x00" + encode.u32(core_function) + encode.vector(options) + function_type
        return self.out.add(ComponentSection.CANON, item, Sort.FUNC)

    def export_function(self, function: InterfaceFunction, lifted: int | None) -> None:
        at = lifted
        if at is None:
            at = self.out.alias(Sort.FUNC, self.instance, function.name.name)
        # The type again, for one that is passed on: said in terms of the types exported above.
        function_type = ExternType(Sort.FUNC, self.types[function.type])
        self.out.export(encode_extern_name(function.name), Sort.FUNC, at, function_type)


def _numbered(out: ComponentWriter, functions: Sequence[int]) -> int:
    """Adds a core instance that exports core functions as "0", "1", ..."""
    named = ((str(at), SortIndex(Sort.CORE_FUNC, index)) for at, index in enumerate(functions))
    return out.bag_core(named)
