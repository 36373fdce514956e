"""A host of wasmtime-py's own for guests that are, or are not, behind bridges."""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import wasmtime
from wasmtime import component as wasm
from wasmtime.component import _types as types

from gateway.host.bridge_memory import BridgeMemory, Memory
from gateway.wasm.byte_blocks import Blocks, Pair, Rewritten, rewrite

NAME = "test:bytes/api@1.0.0"

# A guest that passes on what it is given. Its memory is its own, its `realloc` answers requests for
# bytes with an odd address, and traps when asked to change a block that it has given out.
MEMORY = """
  (core module $Memory
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 4096))
    (func (export "realloc") (param $old i32) (param i32) (param $align i32) (param $size i32)
      (result i32) (local $block i32)
      (if (local.get $old) (then %s))
      (local.set $block (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
      (if (i32.eq (local.get $align) (i32.const 1))
        (then (local.set $block (i32.add (local.get $block) (i32.const 1)))))
      (global.set $top (i32.add (local.get $block) (local.get $size)))
      (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.add (i32.const 1)
          (i32.shr_u (local.get $size) (i32.const 16)))))))
      (local.get $block))
    (func (export "free") (param i32) (global.set $top (i32.const 4096))))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $m))
  (alias core export $memory "realloc" (core func $realloc))
  (alias core export $memory "free" (core func $free))"""


def binary(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def rewritten(data: bytes, wants: Callable[[str], bool] = lambda name: True) -> Rewritten:
    result = rewrite(data, wants)
    assert result is not None
    return result


# How a host reads the table: the pairs of a type, depth first, take its entries in turn.
Convert = Callable[[Any], Any]


def as_it_is(value: Any) -> Any:
    return value


def converter(of: Any, pairs: Iterator[Pair], convert: Mapping[Pair, Convert]) -> Convert:
    """What applies `convert` to the bytes in a value of a type."""

    def inner(part: Any) -> Convert:
        return as_it_is if part is None else converter(part, pairs, convert)

    def named(parts: list[tuple[str, Any]]) -> dict[str, Convert]:
        return {name: inner(part) for name, part in parts}

    match of:
        case _ if is_pair(of):
            return convert.get(next(pairs), as_it_is)
        case types.ListType():
            element = inner(of.element)
            return lambda value: [element(one) for one in value]
        case types.TupleType():
            elements = [inner(one) for one in of.elements]
            return lambda value: tuple(one(part) for one, part in zip(elements, value, strict=True))
        case types.RecordType():
            fields = named(of.fields)
            return lambda value: record(
                **{name: field(getattr(value, name)) for name, field in fields.items()}
            )
        case types.VariantType():
            cases = named(of.cases)
            return lambda value: wasm.Variant(value.tag, cases[value.tag](value.payload))
        case types.OptionType():
            payload = inner(of.payload)
            return lambda value: None if value is None else payload(value)
        case types.ResultType():
            # The errors of the results in these tests are numbers.
            ok = inner(of.ok)
            return lambda value: value if isinstance(value, int) else ok(value)
        case _:
            return as_it_is


def is_pair(of: Any) -> bool:
    """Whether a type is `tuple<u32, u32>`."""
    return isinstance(of, types.TupleType) and [type(one) for one in of.elements] == [types.U32] * 2


def record(**fields: Any) -> wasm.Record:
    made = wasm.Record()
    vars(made).update(fields)
    return made


_NO_INSTANCE = ctypes.c_uint64()
_SCRATCH = (ctypes.c_uint64 * 2)()


def memory_of(store: wasmtime.Store, bridge: int = 0) -> BridgeMemory:
    """The memory of a bridge, in a store that is used through wasmtime-py."""
    return BridgeMemory(*_store(store), bridge)


def guest_memory_of(store: wasmtime.Store, guest: int) -> Memory:
    """The memory of a guest, in a store that is used through wasmtime-py."""
    return Memory(*_store(store), guest)


def _store(store: wasmtime.Store) -> tuple[int, int, int]:
    context = ctypes.cast(store._context(), ctypes.c_void_p).value
    assert context is not None
    return context, ctypes.addressof(_NO_INSTANCE), ctypes.addressof(_SCRATCH)


def reading(store: Callable[[], wasmtime.Store], blocks: Blocks) -> dict[Pair, Convert]:
    """How the host gets the bytes that it is passed."""
    return {
        Pair.BYTES: lambda pair: memory_of(store(), blocks.bridge).read(*pair),
        Pair.GUEST_BYTES: lambda pair: guest_memory_of(store(), blocks.guest).read(*pair),
    }


class Host:
    """Serves the functions of an interface from `answers`, and keeps what they were called with."""

    def __init__(
        self,
        data: bytes,
        functions: Mapping[tuple[str, str], Blocks] | None = None,
        config: wasmtime.Config | None = None,
    ) -> None:
        self.engine = wasmtime.Engine(config)
        self.component = wasm.Component(self.engine, data)
        self.functions = functions or {}
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.linker = wasm.Linker(self.engine)
        self.linker.allow_shadowing = True
        self.linker.define_unknown_imports_as_traps(self.component)
        with self.linker.root() as root, root.add_instance(NAME) as instance:
            for name, of in self.interface(NAME).items():
                if isinstance(of, types.FuncType):
                    instance.add_func(name, self.function(name, of))
                elif isinstance(of, wasm.ResourceType):
                    instance.add_resource(name, wasm.ResourceType.host(1), lambda *_: None)
        self.store = wasmtime.Store(self.engine)
        self.instance = self.linker.instantiate(self.store, self.component)

    def interface(self, name: str) -> dict[str, Any]:
        """The types of what an imported instance exports."""
        imported = self.component.type.imports(self.engine)[name].ty
        assert isinstance(imported, types.ComponentInstanceType)
        return {one: extern.ty for one, extern in imported.exports(self.engine).items()}

    def function(self, name: str, of: types.FuncType) -> Callable[..., Any]:
        reads, write = self.conversions(name, of)

        def call(store: Any, *arguments: Any) -> Any:
            given = (
                one.to_host(store).rep if isinstance(one, wasm.ResourceAny) else one
                for one in arguments
            )
            self.calls.append(tuple(read(one) for read, one in zip(reads, given, strict=True)))
            return write(self.answers[name])

        return call

    def conversions(self, name: str, of: types.FuncType) -> tuple[list[Convert], Convert]:
        blocks = self.functions.get((NAME, name))
        if blocks is None:
            return [as_it_is for _ in of.params], as_it_is

        def writing(number: int) -> Convert:
            return lambda data: (memory_of(self.store, number).write(data), len(data))

        pairs = iter(blocks.pairs)
        read = reading(lambda: self.store, blocks)
        reads = [converter(one, pairs, read) for _, one in of.params]
        writes = {
            Pair.BYTES: writing(blocks.bridge),
            Pair.STAGED_BYTES: writing(blocks.staging),
        }
        result = as_it_is if of.result is None else converter(of.result, pairs, writes)
        assert list(pairs) == []
        return reads, result

    def call(self, name: str, *arguments: Any) -> Any:
        function = self.instance.get_func(self.store, name)
        assert function is not None
        return function(self.store, *arguments)

    def exchange(self, name: str, arguments: Sequence[Any], answer: Any) -> tuple[Any, Any]:
        """Calls a function of the guest; what reached the host, and what came back from it."""
        self.answers[name] = answer
        self.calls.clear()
        result = self.call(name, *arguments)
        (call,) = self.calls
        return call, result


def behind_bridge(data: bytes, config: wasmtime.Config | None = None) -> Host:
    result = rewritten(data)
    return Host(result.component, result.functions, config)
