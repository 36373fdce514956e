"""The component that stands between a guest and one interface of the host.

(component
  <the guest's imports; in this interface, the chosen functions take and return strings>
  <every type that the interface exports, exported again>
  <a memory; the chosen functions lowered onto it in latin1+utf16>
  <functions that call those, lifted from the same memory with the interface's own types>
  <every function that the interface exports: as it is, or in place of it the lifted one>)
"""

from collections.abc import Sequence

from gateway.wasm.binary import encode
from gateway.wasm.binary.component_writer import ComponentWriter
from gateway.wasm.binary.definitions import OuterAlias
from gateway.wasm.binary.extern import ExternType, Sort, SortIndex, encode_extern_name
from gateway.wasm.binary.sections import ComponentSection
from gateway.wasm.binary.type_format import encode_type
from gateway.wasm.binary.types import ExportDeclaration, Primitive, TypeDefinition, ValType, remap
from gateway.wasm.byte_strings import core
from gateway.wasm.byte_strings.imported_interface import ImportedInterface, InterfaceFunction
from gateway.wasm.byte_strings.prelude import Prelude

__all__ = ["bridge_component"]


def bridge_component(
    prelude: Prelude, encoded_prelude: bytes, interface: ImportedInterface, instance: int
) -> bytes:
    """The bridge to `interface`, which is `instance` among the imports of the prelude."""
    return _Bridge(prelude, encoded_prelude, interface, instance).build()


class _Bridge:
    def __init__(
        self, prelude: Prelude, encoded_prelude: bytes, interface: ImportedInterface, instance: int
    ) -> None:
        self.out = ComponentWriter(encoded_prelude, prelude.counts)
        self.interface = interface
        self.instance = instance
        # Where each type of the interface's index space is in the bridge's.
        self.types: list[int] = []

    def build(self) -> bytes:
        for declaration in self.interface.type.declarations:
            self.export_type(declaration)
        bridged = self.interface.bridgeable
        lifted = dict(zip((f.name.name for f in bridged), self.lift_all(bridged), strict=True))
        for function in self.interface.functions:
            self.export_function(function, lifted.get(function.name.name))
        return self.out.finish()

    def export_type(self, declaration: TypeDefinition | OuterAlias | ExportDeclaration) -> None:
        """Repeats a declaration of the interface as definitions of the bridge."""
        match declaration:
            case OuterAlias(_, _, index):
                self.types.append(index)
            case ExportDeclaration(name, ExternType(Sort.TYPE, bound)):
                self.types.append(
                    self.out.export(
                        encode_extern_name(name),
                        Sort.TYPE,
                        # A resource type comes with the instance; any other is defined here.
                        self.out.alias(Sort.TYPE, self.instance, name.name)
                        if bound is None
                        else self.types[bound],
                    )
                )
            case ExportDeclaration():
                pass
            case definition:
                renamed = remap(definition, self.valtype, self.types.__getitem__)
                self.types.append(
                    self.out.add(ComponentSection.TYPE, encode_type(renamed), Sort.TYPE)
                )

    def valtype(self, valtype: ValType) -> ValType:
        return valtype if isinstance(valtype, Primitive) else self.types[valtype]

    def lift_all(self, functions: Sequence[InterfaceFunction]) -> list[int]:
        """Lowers the functions of the host and lifts them again, now with their own types."""
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
        latin1_utf16 = b"\x02"
        item = b"\x01\x00" + encode.u32(at) + encode.vector([latin1_utf16, *options])
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
