"""Modules that were made to do harm: a refusal, never another exception, and never seconds of work."""

from contextlib import suppress
from typing import Final

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import component as wasm

from gateway.wasm.binary import encode
from gateway.wasm.binary.core_module import MAX_EXTERNS, MAX_MODULE_SECTIONS
from gateway.wasm.binary.sections import MODULE_PREAMBLE, ComponentSection, CoreSection
from gateway.wasm.componentize import NotComponentizable, componentize
from gateway.wasm.componentize.componentize import MAX_WORLD_SIZE
from gateway.wasm.componentize.world import MAX_DEPTH
from tests.wasm.componentize.modules import ENGINE, MEMORY, module, world_section

WORLD: Final = """
  (import "test:host/things@0.2.0" (instance $things
    (export "thing" (type $thing (sub resource)))
    (type $info' (record (field "name" string) (field "size" (option u64))))
    (export "info" (type $info (eq $info')))
    (export "[method]thing.info" (func (param "self" (borrow $thing)) (result $info)))))
  (alias export $things "thing" (type $thing))
  (alias export $things "info" (type $info))
  (export "test:guest/api@0.1.0" (instance
    (alias outer 1 $thing (type $thing'))
    (export "thing" (type $thing'' (eq $thing')))
    (alias outer 1 $info (type $info'))
    (export "info" (type $info'' (eq $info')))
    (export "look" (func (param "t" (borrow $thing'')) (result (list $info''))))))
"""
IMPORTS: Final = """
  (import "test:host/things@0.2.0" "[method]thing.info" (func (param i32 i32)))
  (import "test:host/things@0.2.0" "[resource-drop]thing" (func (param i32)))
"""
LOOK: Final = f"""
  {MEMORY}
  (func (export "test:guest/api@0.1.0#look") (param i32) (result i32) (i32.const 8))
"""
SMALL: Final = module(IMPORTS + LOOK, WORLD)
ADAPTED: Final = module(
    IMPORTS
    + '(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))'
    + LOOK,
    WORLD,
)


def only_refuses(data: bytes) -> None:
    """Componentizes; what comes of it the engine may refuse, but has to survive."""
    with suppress(NotComponentizable):
        component = componentize(data)
        with suppress(wasmtime.WasmtimeError):
            wasm.Component(ENGINE, component)


@pytest.mark.parametrize("whole", [SMALL, ADAPTED], ids=["small", "adapted"])
def test_cut_off_at_every_byte(whole: bytes) -> None:
    assert wasm.Component(ENGINE, componentize(whole))
    for end in range(len(whole)):
        only_refuses(whole[:end])


def test_each_byte_replaced() -> None:
    # All that differ from what is there in one bit, or are at the edges of what a byte can say.
    for at, byte in enumerate(SMALL):
        for other in {0x00, 0x7F, 0x80, 0xFF, byte ^ 1, byte ^ 0x40} - {byte}:
            with suppress(NotComponentizable):
                componentize(SMALL[:at] + bytes([other]) + SMALL[at + 1 :])


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_several_bytes_replaced(data: st.DataObject) -> None:
    changed = bytearray(ADAPTED)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(changed) - 1))
        length = data.draw(st.integers(0, 4))
        changed[at : at + length] = data.draw(st.binary(max_size=6))
    only_refuses(bytes(changed))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_world(payload: bytes) -> None:
    only_refuses(module("", payload))
    only_refuses(module("", world_section("")[:38] + payload))


def core(*sections: tuple[int, bytes]) -> bytes:
    return MODULE_PREAMBLE + b"".join(encode.section(id_, payload) for id_, payload in sections)


def with_world(declarations: list[bytes]) -> bytes:
    """A module with a world of these declarations."""
    world = b"\x41" + encode.vector(declarations)
    package = b"\x41" + encode.vector([b"\x01" + world])
    payload = (
        b"\0asm\x0d\0\x01\0"
        + encode.section(0, encode.name("wit-component-encoding") + b"\x04\x00")
        + encode.section(ComponentSection.TYPE, encode.vector([package]))
    )
    return core((CoreSection.CUSTOM, encode.name("component-type:x") + payload))


@pytest.mark.parametrize("section", [CoreSection.TYPE, CoreSection.IMPORT, CoreSection.EXPORT])
def test_a_count_that_lies(section: CoreSection) -> None:
    with pytest.raises(NotComponentizable, match="damaged"):
        componentize(core((section, encode.u32(0xFFFFFFFF))) + SMALL[8:])


def test_types_within_types() -> None:
    lists = [
        b"\x01\x70" + encode.s33_index(at - 1) if at else b"\x01\x70\x7d" for at in range(5_000)
    ]
    with pytest.raises(NotComponentizable, match=f"more than {MAX_DEPTH} levels"):
        componentize(with_world(lists))


def test_types_as_deep_as_they_are_read() -> None:
    # Every second level has a name, and the last level is that of the functions on either side.
    names = "".join(
        f'(type $r{n} (record (field "r" $t{n - 1})))  (export "t{n}" (type $t{n} (eq $r{n})))'
        for n in range(1, MAX_DEPTH - 1)
    )
    types = f'(type $r0 u8) (export "t0" (type $t0 (eq $r0))) {names}'
    used = f"$t{MAX_DEPTH - 2}"
    world = f"""
      (import "test:host/deep" (instance {types} (export "f" (func (param "t" {used})))))
      (export "test:guest/deep" (instance {types} (export "g" (func (param "t" {used})))))
    """
    data = module(
        """
        (import "test:host/deep" "f" (func (param i32)))
        (func (export "test:guest/deep#g") (param i32))
        """,
        world,
    )
    assert wasm.Component(ENGINE, componentize(data))


def test_types_that_double_at_every_level() -> None:
    # 2^40 strings, told flat.
    types = [b"\x01\x6f\x02\x73\x73"]
    types += [b"\x01\x6f\x02" + encode.s33_index(at) * 2 for at in range(40)]
    function = b"\x01\x40\x01\x01p" + encode.s33_index(40) + b"\x01\x00"
    exported = b"\x04\x00" + encode.name("run") + b"\x01" + encode.u32(41)
    data = with_world([*types, function, exported])
    with pytest.raises(NotComponentizable, match="does not export run"):
        componentize(data)


def test_interfaces_in_a_row() -> None:
    # Each uses a type of the one before: as deep as there are interfaces, if it were recursion.
    count = 2_000
    declarations = []
    for at in range(count):
        # The first is a resource; each other one, that of the one before.
        bound = b"\x00" + encode.u32(1) if at else b"\x01"
        alias = [b"\x02\x03\x02" + encode.u32(1) + encode.u32(2 * at - 1)] if at else []
        defined = [b"\x01\x70\x7d"] if at else []
        exported = b"\x04\x00" + encode.name("t") + b"\x03" + bound
        instance = b"\x01\x42" + encode.vector([*defined, *alias, exported])
        declarations.append(instance)
        name = encode.name(f"test:host/i{at}")
        declarations.append(b"\x03\x00" + name + b"\x05" + encode.u32(2 * at))
        declarations.append(b"\x02\x03\x00" + encode.u32(at) + encode.name("t"))
    last = b"\x01\x40\x00\x00" + encode.s33_index(2 * count - 1)
    exported = b"\x04\x00" + encode.name("run") + b"\x01" + encode.u32(2 * count)
    data = with_world([*declarations, last, exported])
    with pytest.raises(NotComponentizable, match="does not export run"):
        componentize(data)


WIDE: Final = b"\x72" + encode.vector([encode.name(f"f{at}") + b"\x73" for at in range(20_000)])
"""A record of some hundred kilobytes."""


def import_of(name: str, sort: bytes, index: int) -> bytes:
    return b"\x03\x00" + encode.name(name) + sort + encode.u32(index)


def test_a_large_interface_under_many_names() -> None:
    instance = b"\x01\x42" + encode.vector([b"\x01" + WIDE])
    imports = [import_of(f"test:host/i{at}", b"\x05", 0) for at in range(10_000)]
    with pytest.raises(NotComponentizable, match="share their types too often"):
        componentize(with_world([instance, *imports]))


def test_a_large_function_under_many_names() -> None:
    parameters = encode.vector([encode.name(f"p{at}") + b"\x73" for at in range(20_000)])
    function = b"\x01\x40" + parameters + b"\x01\x00"
    imports = [import_of(f"f{at}", b"\x01", 0) for at in range(15_000)]
    exported = b"\x04\x00" + encode.name("run") + b"\x01\x00"
    with pytest.raises(NotComponentizable, match="does not export run"):
        componentize(with_world([function, *imports, exported]))


def test_a_large_type_that_many_exported_interfaces_use() -> None:
    types = b"\x04\x00" + encode.name("t") + b"\x03\x00\x00"
    declarations = [
        b"\x01\x42" + encode.vector([b"\x01" + WIDE, types]),
        import_of("test:host/types", b"\x05", 0),
        b"\x02\x03\x00\x00" + encode.name("t"),
        b"\x01\x42" + encode.vector([b"\x02\x03\x02\x01\x01", types]),
    ]
    declarations += [
        b"\x04\x00" + encode.name(f"test:guest/i{at}") + b"\x05\x02" for at in range(5_000)
    ]
    with pytest.raises(NotComponentizable, match="is too much"):
        componentize(with_world(declarations))


def test_more_imports_than_are_read() -> None:
    imports = [
        encode.name("a") + encode.name(str(at)) + b"\x00\x00" for at in range(MAX_EXTERNS + 1)
    ]
    with pytest.raises(NotComponentizable, match=f"{MAX_EXTERNS} are the most"):
        componentize(core((CoreSection.IMPORT, encode.vector(imports))))


def test_as_many_imports_of_one_name_as_are_read() -> None:
    one = encode.name("wasi_snapshot_preview1") + encode.name("sched_yield") + b"\x00\x00"
    imports = core((CoreSection.IMPORT, encode.vector([one] * MAX_EXTERNS)))
    world = module('(memory (export "memory") 1)', "")
    # Its function type is missing, which is for the engine to find.
    assert componentize(imports + world[8:])


def test_more_sections_than_are_read() -> None:
    sections = [(CoreSection.CUSTOM, encode.name("x"))] * (MAX_MODULE_SECTIONS + 1)
    with pytest.raises(NotComponentizable, match=f"more than {MAX_MODULE_SECTIONS} sections"):
        componentize(core(*sections))


def test_as_many_worlds_as_there_may_be_sections() -> None:
    payload = encode.name("component-type") + world_section('(import "f" (func))')
    data = core(*[(CoreSection.CUSTOM, payload)] * MAX_MODULE_SECTIONS)
    assert wasm.Component(ENGINE, componentize(data))


def test_a_world_of_megabytes() -> None:
    payload = encode.name("component-type") + bytes(MAX_WORLD_SIZE)
    with pytest.raises(NotComponentizable, match="KiB, the most that is read"):
        componentize(core((CoreSection.CUSTOM, payload), (CoreSection.CUSTOM, payload)))


def test_a_world_as_large_as_is_read() -> None:
    function = b"\x01\x40\x00\x01\x00"
    declarations: list[bytes] = []
    size = 0
    while size < MAX_WORLD_SIZE - 200:
        at = len(declarations) // 2
        imported = b"\x03\x00" + encode.name(f"f{at}") + b"\x01" + encode.u32(at)
        declarations += [function, imported]
        size += len(function) + len(imported)
    assert componentize(with_world(declarations))
