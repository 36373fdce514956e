"""Which components a bridge is built for, and what it leaves as it is."""

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import component as wasm
from wasmtime.component import _types as types

from gateway.wasm.binary import encode
from gateway.wasm.binary.cursor import Cursor, MalformedBinary
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE, ComponentSection, sections
from gateway.wasm.binary.type_format import encode_type, read_type
from gateway.wasm.byte_blocks import PREFIX, Blocks, Pair, rewrite
from gateway.wasm.byte_blocks.core import CORE_INSTANCES
from gateway.wasm.hollow import hollow
from tests.wasm.bridged import MEMORY, NAME, Host, binary, memory_of, rewritten

ALL_BYTES = bytes(range(256))

# An interface as WASI has them: resources, names for types, functions with and without bytes.
STREAMS = """
  (export "error" (type $error (sub resource)))
  (export "stream" (type $stream (sub resource)))
  (type $failure' (variant (case "failed" (own $error)) (case "closed")))
  (export "failure" (type $failure (eq $failure')))
  (type $bytes' (list u8))
  (export "bytes" (type $bytes (eq $bytes')))
  (type $message' (record (field "body" $bytes)))
  (export "message" (type $message (eq $message')))
  (export "[constructor]stream" (func (param "name" string) (result (own $stream))))
  (export "[method]stream.write" (func (param "self" (borrow $stream)) (param "data" $bytes)
    (result (result (error $failure)))))
  (export "[method]stream.length" (func (param "self" (borrow $stream)) (result u64)))
  (export "[static]stream.join" (func (param "one" (own $stream)) (param "data" (list u8))
    (result (own $stream))))
  (export "send" (func (param "message" $message)))"""
STREAMS_GUEST = f"""(component
  (import "{NAME}" (instance $api {STREAMS}))
  {MEMORY % "unreachable"}
  (alias export $api "stream" (type $stream))
  (core func $new (canon lower (func $api "[constructor]stream") (memory $m) (realloc $realloc)))
  (core func $write (canon lower (func $api "[method]stream.write")
    (memory $m) (realloc $realloc)))
  (core func $length (canon lower (func $api "[method]stream.length")))
  (core func $join (canon lower (func $api "[static]stream.join") (memory $m)))
  (core func $send (canon lower (func $api "send") (memory $m)))
  (core func $drop (canon resource.drop $stream))
  (core module $Run
    (import "h" "new" (func $new (param i32 i32) (result i32)))
    (import "h" "write" (func $write (param i32 i32 i32 i32)))
    (import "h" "length" (func $length (param i32) (result i64)))
    (import "h" "join" (func $join (param i32 i32 i32) (result i32)))
    (import "h" "send" (func $send (param i32 i32)))
    (import "h" "drop" (func $drop (param i32)))
    (import "h" "memory" (memory 1))
    (data (i32.const 101) "name" "\\00\\80\\ff\\c3")
    (func (export "run") (result i64) (local $stream i32) (local $joined i32)
      (local.set $stream (call $new (i32.const 101) (i32.const 4)))
      (call $write (local.get $stream) (i32.const 105) (i32.const 4) (i32.const 64))
      (call $write (local.get $stream) (i32.const 106) (i32.const 2) (i32.const 64))
      (local.set $joined (call $join (local.get $stream) (i32.const 107) (i32.const 2)))
      (call $send (i32.const 105) (i32.const 1))
      (call $length (local.get $joined))
      (call $drop (local.get $joined))))
  (core instance $run (instantiate $Run (with "h" (instance
    (export "new" (func $new)) (export "write" (func $write)) (export "length" (func $length))
    (export "join" (func $join)) (export "send" (func $send)) (export "drop" (func $drop))
    (export "memory" (memory $m))))))
  (func $run' (result u64) (canon lift (core func $run "run")))
  (export "run" (func $run')))"""


# Three interfaces that share a record with bytes, within a variant.
MESSAGES = f"""(component
  (import "a:b/types" (instance $types
    (export "topic" (type $topic (sub resource)))
    (type $bytes' (list u8)) (export "bytes" (type $bytes (eq $bytes')))
    (type $part' (record (field "text" string) (field "body" $bytes)))
    (export "part" (type $part (eq $part')))
    (type $message' (variant (case "none") (case "one" $part) (case "of" (own $topic))))
    (export "message" (type $message (eq $message')))))
  (alias export $types "message" (type $message))
  (import "a:b/sender" (instance $sender
    (alias outer 1 $message (type $m')) (export "message" (type $m (eq $m')))
    (export "send" (func (param "message" $m)))))
  (alias export $sender "message" (type $sent))
  (import "a:b/keeper" (instance $keeper
    (alias outer 1 $sent (type $m')) (export "message" (type $m (eq $m')))
    (export "keep" (func (param "message" $m)))))
  ;; more
  {MEMORY % "unreachable"}
  (core func $send (canon lower (func $sender "send") (memory $m) (realloc $realloc)))
  (core func $keep (canon lower (func $keeper "keep") (memory $m) (realloc $realloc)))
  (core module $Run
    (import "h" "send" (func $send (param i32 i32 i32 i32 i32)))
    (import "h" "keep" (func $keep (param i32 i32 i32 i32 i32)))
    (import "h" "memory" (memory 1))
    (data (i32.const 101) "\\ff\\00")
    (func (export "run")
      (call $send (i32.const 1) (i32.const 101) (i32.const 0) (i32.const 101) (i32.const 2))
      (call $keep (i32.const 1) (i32.const 101) (i32.const 0) (i32.const 101) (i32.const 1))))
  (core instance $run (instantiate $Run (with "h" (instance
    (export "send" (func $send)) (export "keep" (func $keep)) (export "memory" (memory $m))))))
  (func (export "run") (canon lift (core func $run "run"))))"""


def reading(blocks: Blocks | None) -> Callable[..., object]:
    """A host function that gives bytes, in a block or not."""

    def read(store: wasmtime.Store, thing: wasm.ResourceAny) -> object:
        thing.to_host(store)
        data = b"\0\x80\xff"
        if blocks is None:
            return data
        assert blocks.pairs == (Pair.STAGED_BYTES,)
        return memory_of(store, blocks.staging).write(data), len(data)

    return read


class TestInterface:
    def test_keeps_its_resources_and_all_its_functions(self) -> None:
        result = rewritten(binary(STREAMS_GUEST))
        assert result.functions == {
            (NAME, "[method]stream.write"): Blocks((Pair.GUEST_BYTES,), guest=2),
            (NAME, "[static]stream.join"): Blocks((Pair.GUEST_BYTES,), guest=2),
            # Within a record.
            (NAME, "send"): Blocks((Pair.BYTES,), guest=2),
        }
        for host in (Host(binary(STREAMS_GUEST)), Host(result.component, result.functions)):
            stream = wasm.ResourceHost.own(1, 1)
            joined = wasm.ResourceHost.own(2, 1)
            host.answers = {
                "[constructor]stream": stream,
                "[method]stream.write": wasm.Variant("ok"),
                "[method]stream.length": 77,
                "[static]stream.join": joined,
                "send": None,
            }
            assert host.call("run") == 77
            assert [call if len(call) == 1 else call[1:] for call in host.calls[:4]] == [
                ("name",),
                (b"\0\x80\xff\xc3",),
                (b"\x80\xff",),
                (b"\xff\xc3",),
            ]
            ((message,), (_,)) = host.calls[4:]
            assert vars(message) == {"body": b"\0"}

    def test_may_stand_beside_one_that_cannot_be_bridged(self) -> None:
        text = """(component
          (type $inner (instance (export "f" (func (param "data" (list u8))))))
          (import "odd" (instance
            (alias outer 1 $inner (type $i)) (export "inner" (instance (type $i)))))
          (import "even" (instance (export "f" (func (param "data" (list u8)))))))"""
        result = rewritten(binary(text))
        assert result.functions == {("even", "f"): Blocks((Pair.BYTES,))}
        wasm.Component(wasmtime.Engine(), result.component)

    def test_may_use_the_types_of_another(self) -> None:
        """The resource of an interface that is bridged, in one that is not, and the reverse."""
        text = f"""(component
          (import "a:b/first" (instance $first
            (export "thing" (type $t (sub resource)))
            (export "read" (func (param "from" (borrow $t)) (result (list u8))))))
          (alias export $first "thing" (type $thing))
          (import "a:b/second" (instance $second
            (alias outer 1 $thing (type $t')) (export "thing" (type $t (eq $t')))
            (export "open" (func (result (own $t))))
            (export "all" (func (param "things" (list (own $t))) (result (list (list u8)))))))
          {MEMORY % "unreachable"}
          (core func $read (canon lower (func $first "read") (memory $m) (realloc $realloc)))
          (core func $open (canon lower (func $second "open")))
          (core func $drop (canon resource.drop $thing))
          (core module $Run
            (import "h" "read" (func $read (param i32 i32)))
            (import "h" "open" (func $open (result i32)))
            (import "h" "drop" (func $drop (param i32)))
            (func (export "run") (result i32) (local $thing i32)
              (local.set $thing (call $open))
              (call $read (local.get $thing) (i32.const 64))
              (call $drop (local.get $thing))
              (i32.const 64)))
          (core instance $run (instantiate $Run (with "h" (instance
            (export "read" (func $read)) (export "open" (func $open))
            (export "drop" (func $drop))))))
          (func $run' (result (list u8)) (canon lift (core func $run "run") (memory $m)))
          (export "run" (func $run')))"""
        for wanted in (["a:b/first"], ["a:b/second"], ["a:b/first", "a:b/second"]):
            result = rewritten(binary(text), wanted.__contains__)
            assert sorted({name for name, _ in result.functions}) == wanted
            engine = wasmtime.Engine()
            component = wasm.Component(engine, result.component)
            linker = wasm.Linker(engine)
            with linker.root() as root:
                with root.add_instance("a:b/first") as first:
                    first.add_resource("thing", wasm.ResourceType.host(1), lambda *_: None)
                    first.add_func("read", reading(result.functions.get(("a:b/first", "read"))))
                with root.add_instance("a:b/second") as second:
                    second.add_resource("thing", wasm.ResourceType.host(1), lambda *_: None)
                    second.add_func("open", lambda _: wasm.ResourceHost.own(5, 1))
                    second.add_func("all", lambda _, things: [])
            store = wasmtime.Store(engine)
            run = linker.instantiate(store, component).get_func(store, "run")
            assert run is not None
            assert run(store) == b"\0\x80\xff"

    def test_may_name_the_bytes_of_another(self) -> None:
        """A record of one interface, in the functions of two others; only one of the three is wanted."""
        result = rewritten(binary(MESSAGES), lambda name: name == "a:b/sender")
        one, other = (
            Blocks((Pair.BYTES,), bridge, guest=2 * CORE_INSTANCES)
            for bridge in (0, CORE_INSTANCES)
        )
        assert result.functions == {("a:b/sender", "send"): one, ("a:b/keeper", "keep"): other}
        engine = wasmtime.Engine()
        component = wasm.Component(engine, result.component)
        linker = wasm.Linker(engine)
        seen: list[object] = []

        def take(blocks: Blocks) -> Callable[..., None]:
            def call(store: wasmtime.Store, message: Any) -> None:
                seen.append(memory_of(store, blocks.bridge).read(*message.body))

            return call

        with linker.root() as root:
            with root.add_instance("a:b/types") as types_instance:
                types_instance.add_resource("topic", wasm.ResourceType.host(1), lambda *_: None)
            for (interface, function), blocks in result.functions.items():
                with root.add_instance(interface) as instance:
                    instance.add_func(function, take(blocks))
        store = wasmtime.Store(engine)
        run = linker.instantiate(store, component).get_func(store, "run")
        assert run is not None
        run(store)
        assert seen == [b"\xff\0", b"\xff"]

    @pytest.mark.parametrize(
        "more",
        [
            # A function that is no interface's, or an interface of another form, names the record too.
            '(type $f (func (param "of" $message))) (import "odd" (func (type $f)))',
            """(import "odd" (instance
              (alias outer 1 $message (type $m)) (export "message" (type (eq $m)))
              (export "m" (core module))))""",
            # One cannot be bridged.
            """(import "odd" (instance
              (export "t" (type $t (sub resource))) (alias outer 1 $message (type $m'))
              (export "message" (type $m (eq $m')))
              (export "f" (func (param "of" $m) (param "all" (list (borrow $t)))))))""",
        ],
    )
    def test_is_left_alone_with_what_names_its_bytes(self, more: str) -> None:
        text = MESSAGES.replace(";; more", more)
        assert rewrite(binary(text), lambda name: True) is None


class TestExports:
    def test_stay_what_they_are(self) -> None:
        text = f"""(component
          (type $point' (record (field "x" f32) (field "y" f32)))
          (import "point" (type $point (eq $point')))
          (import "log" (func $log (param "at" $point)))
          (import "{NAME}" (instance $api (export "take" (func (param "data" (list u8))))))
          (core module $M
            (func (export "move") (param f32 f32) (result i32) (i32.const 16))
            (func (export "new") (result i32) (i32.const 9))
            (memory (export "memory") 1))
          (core instance $m (instantiate $M))
          (func $move' (param "from" $point) (result $point)
            (canon lift (core func $m "move") (memory (core memory $m "memory"))))
          (export "move" (func $move'))
          (component $Shapes
            (type $p' (record (field "x" f32) (field "y" f32)))
            (import "point" (type $q (eq $p')))
            (import "move" (func $move (param "from" $q) (result $q)))
            (export $p "point" (type $q))
            (export "move" (func $move) (func (param "from" $p) (result $p))))
          (instance $shapes (instantiate $Shapes
            (with "point" (type $point)) (with "move" (func $move'))))
          (export "test:bytes/shapes@1.0.0" (instance $shapes))
          (component $Things
            (type $thing' (resource (rep i32)))
            (export $thing "thing" (type $thing'))
            (core func $new (canon resource.new $thing'))
            (core module $N (import "h" "n" (func $n (param i32) (result i32)))
              (func (export "new") (result i32) (call $n (i32.const 9))))
            (core instance $n (instantiate $N
              (with "h" (instance (export "n" (func $new))))))
            (func $make' (result (own $thing)) (canon lift (core func $n "new")))
            (export "[constructor]thing" (func $make')))
          (instance $things (instantiate $Things))
          (export "test:bytes/things@1.0.0" (instance $things)))"""
        result = rewritten(binary(text))
        before, after = Host(binary(text)), Host(result.component, result.functions)
        assert exported(after) == exported(before)
        origin = wasm.Record()
        vars(origin).update(x=1.0, y=2.0)
        for host in (before, after):
            assert vars(host.call("move", origin)) == {"x": 0.0, "y": 0.0}
            things = host.component.get_export_index("test:bytes/things@1.0.0")
            new = host.component.get_export_index("[constructor]thing", things)
            assert new is not None
            constructor = host.instance.get_func(host.store, new)
            assert constructor is not None
            assert constructor(host.store) is not None


def exported(host: Host) -> dict[str, object]:
    """The names and kinds of a component's exports, and those within them, without what was added for the host."""

    def describe(extern: Any) -> object:
        if isinstance(extern, types.ComponentInstanceType):
            return {name: describe(one.ty) for name, one in extern.exports(host.engine).items()}
        if isinstance(extern, types.FuncType):
            return [(name, type(one)) for name, one in extern.params], type(extern.result)
        return type(extern)

    exports = host.component.type.exports(host.engine)
    return {
        name: describe(extern.ty) for name, extern in exports.items() if not name.startswith(PREFIX)
    }


# A guest that is given bytes, with definitions of every kind after what gives them.
SURROUNDED = f"""(component
  (import "{NAME}" (instance $api
    (export "thing" (type $t (sub resource)))
    (export "read" (func (param "from" (borrow $t)) (result (option (list u8)))))
    (export "write" (func (param "data" (list u8)) (result (result (list u8) (error string)))))))
  {MEMORY % "unreachable"}
  (core module $Run
    (import "h" "write" (func $write (param i32 i32 i32)))
    (import "h" "gone" (func $gone (param i32)))
    (import "h" "memory" (memory 1))
    (data (i32.const 101) "\\ff\\00")
    (func (export "run") (param i32) (result i32)
      (call $write (i32.const 101) (local.get 0) (i32.const 64)) (i32.const 64))
    (func (export "gone") (param i32) (call $gone (local.get 0)))
    (func (export "free") (param i32)))
  (core module $Gone (func (export "gone") (param i32)))
  (core module $Rep (func (export "rep") (param i32) (result i32) (local.get 0)))
  (component $Inner
    (core module $G (func (export "g") (result i32) (i32.const 5)))
    (core instance $g (instantiate $G))
    (func (export "f") (result u32) (canon lift (core func $g "g"))))
  (core instance $first (instantiate $Gone))
  (core func $read (canon lower (func $api "read") (memory $m) (realloc $realloc)))
  (core func $write (canon lower (func $api "write") (memory $m) (realloc $realloc)))
  (alias core export $first "gone" (core func $gone))
  (core instance $between (instantiate $Gone))
  (core instance $run (instantiate $Run (with "h" (instance
    (export "write" (func $write)) (export "gone" (func $gone)) (export "memory" (memory $m))))))
  (alias core export $run "gone" (core func $destroy))
  (type $made (resource (rep i32) (dtor (core func $destroy))))
  (core func $new (canon resource.new $made))
  (core func $rep (canon resource.rep $made))
  (core func $drop (canon resource.drop $made))
  (core instance $last (instantiate $Rep))
  (instance $inner (instantiate $Inner))
  (alias export $inner "f" (func $f))
  (core func $lowered (canon lower (func $f)))
  (func $run' (param "length" u32) (result (result (list u8) (error string)))
    (canon lift (core func $run "run") (memory $m) (realloc $realloc)
      (post-return (core func $run "free"))))
  (export "run" (func $run'))
  (func $rep' (param "a" u32) (result u32) (canon lift (core func $last "rep")))
  (export "rep" (func $rep')))"""


class TestDelivery:
    def test_leaves_what_comes_after_as_it_was(self) -> None:
        result = rewritten(binary(SURROUNDED))
        assert {name: blocks.pairs for (_, name), blocks in result.functions.items()} == {
            "read": (Pair.STAGED_BYTES,),
            "write": (Pair.GUEST_BYTES, Pair.STAGED_BYTES),
        }
        for host in (Host(binary(SURROUNDED)), Host(result.component, result.functions)):
            for length, answer in [(0, b""), (2, bytes(range(256))), (1, os.urandom(100_001))]:
                host.answers["write"] = answer
                assert host.call("run", length) == answer
            assert [data for (data,) in host.calls] == [b"", b"\xff\0", b"\xff"]
            assert host.call("rep", 7) == 7

    @pytest.mark.parametrize(
        ("realloc", "message"),
        [
            # Beyond the end of the memory, and at its end.
            ("(i32.const -8)", "out of bounds"),
            ("(i32.sub (i32.const 131072) (i32.const 2))", "out of bounds"),
            ("(i32.const 131073)", "out of bounds"),
            ("unreachable", "unreachable"),
        ],
    )
    def test_goes_nowhere_but_into_the_memory(self, realloc: str, message: str) -> None:
        result = rewritten(binary(guest_with(realloc)))
        host = Host(result.component, result.functions)
        host.answers["give"] = b"abc"
        with pytest.raises(wasmtime.WasmtimeError, match=message):
            host.call("give")

    def test_asks_for_room_once_for_each_list(self) -> None:
        """At an odd address too, and for none at all."""
        result = rewritten(binary(guest_with("(i32.const 8193)")))
        host = Host(result.component, result.functions)
        for answer in (b"abc", b"", ALL_BYTES):
            host.answers["give"] = answer
            assert host.call("give") == answer

    def test_is_left_to_the_bridge_where_a_function_goes_elsewhere_too(self) -> None:
        elsewhere = '(export "again" (func $host))'
        result = rewritten(binary(guest_with("(i32.const 8192)", elsewhere)))
        assert result.functions == {(NAME, "give"): Blocks((Pair.BYTES,), guest=3)}

    def test_is_left_to_the_bridge_where_modules_come_after(self) -> None:
        module = "(core module)"
        result = rewritten(binary(guest_with("(i32.const 8192)", module)))
        assert result.functions == {(NAME, "give"): Blocks((Pair.BYTES,), guest=3)}


def guest_with(realloc: str, more: str = "") -> str:
    """A guest that returns what it gets, with a `realloc`, of alignment 1, that returns this."""
    return f"""(component
      (import "{NAME}" (instance $api (export "give" (func (result (list u8))))))
      (core module $Memory (memory (export "memory") 2)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
          (if (i32.ne (local.get 2) (i32.const 1)) (then unreachable)) {realloc}))
      (core module $Run (import "h" "give" (func $give (param i32)))
        (func (export "run") (result i32) (call $give (i32.const 64)) (i32.const 64)))
      (core instance $memory (instantiate $Memory))
      (alias export $api "give" (func $host))
      (core func $give (canon lower (func $host) (memory (core memory $memory "memory"))
        (realloc (core func $memory "realloc"))))
      (core instance $run (instantiate $Run (with "h" (instance (export "give" (func $give))))))
      (func $give' (result (list u8))
        (canon lift (core func $run "run") (memory (core memory $memory "memory"))))
      (export "give" (func $give')) {more})"""


class TestLeftAlone:
    @pytest.mark.parametrize(
        "imported",
        [
            '(instance (export "f" (func (param "text" string) (result (list u32)))))',
            '(instance (type $b (list u8)) (export "bytes" (type (eq $b))))',
            '(func (param "data" (list u8)))',
            # Borrowed handles that the bridge would have to look for.
            """(instance (export "t" (type $t (sub resource))) (export "f"
              (func (param "all" (list (borrow $t))) (param "data" (list u8)))))""",
            f"""(instance (export "t" (type $t (sub resource))) (export "f" (func
              (param "self" (borrow $t)) {
                " ".join(f'(param "p{at}" (list u8))' for at in range(8))
            })))""",
        ],
    )
    def test_what_a_bridge_cannot_do(self, imported: str) -> None:
        assert rewrite(binary(f'(component (import "i" {imported}))'), lambda name: True) is None

    def test_all_that_is_not_wanted(self) -> None:
        asked: list[str] = []

        def wants(name: str) -> bool:
            asked.append(name)
            return False

        assert rewrite(binary(STREAMS_GUEST), wants) is None
        assert asked == [NAME]

    def test_a_type_that_two_imports_share(self) -> None:
        text = """(component
          (type $i (instance (export "f" (func (param "data" (list u8))))))
          (import "one" (instance (type $i))) (import "two" (instance (type $i))))"""
        assert rewrite(binary(text), lambda name: True) is None

    @pytest.mark.parametrize(
        "text",
        [
            "(component)",
            # An import after something else than imports.
            """(component (core module)
              (import "i" (instance (export "f" (func (param "data" (list u8)))))))""",
            # Exports and imports that are not handed on.
            """(component
              (import "i" (instance (export "f" (func (param "data" (list u8))))))
              (type $r (record (field "a" u8))) (export "r" (type $r)))""",
            """(component
              (import "i" (instance (export "f" (func (param "data" (list u8))))))
              (core module $m) (export "m" (core module $m)))""",
            """(component
              (import "i" (instance (export "f" (func (param "data" (list u8))))))
              (import "c" (component)))""",
            "(module)",
        ],
    )
    def test_components_of_another_form(self, text: str) -> None:
        assert rewrite(binary(text), lambda name: True) is None

    @pytest.mark.parametrize(
        "data", [b"", b"hello", COMPONENT_PREAMBLE, COMPONENT_PREAMBLE + b"\x0a"]
    )
    def test_what_is_no_component(self, data: bytes) -> None:
        assert rewrite(data, lambda name: True) is None


def importing(declarations: list[bytes]) -> bytes:
    """A component that imports an instance with these declarations, written by hand.

    The text parser has limits of its own, and refuses indices of what is not there.
    """
    instance_type = b"\x01\x42" + encode.vector(declarations)
    return (
        COMPONENT_PREAMBLE
        + encode.section(ComponentSection.TYPE, instance_type)
        + encode.section(ComponentSection.IMPORT, b"\x01\x00" + encode.name("i") + b"\x05\x00")
    )


LIST_U8 = b"\x01\x70\x7d"


def taking(index: int) -> bytes:
    """The declaration of a function type whose parameter is the type `index`."""
    return b"\x01\x40\x01" + encode.name("p") + encode.s33_index(index) + b"\x01\x00"


def function(index: int) -> bytes:
    """The declaration of an exported function of the type `index`."""
    return b"\x04\x00" + encode.name("f") + b"\x01" + encode.u32(index)


class TestLimits:
    """Types whose expansion is much larger than the file end the work, not the process."""

    @pytest.mark.parametrize(
        "above",
        [
            lambda index: b"\x70" + index,
            lambda index: b"\x6b" + index,
            lambda index: b"\x6f\x02" + index + index,
            lambda index: b"\x6a\x01" + index + b"\x01" + index,
        ],
        ids=["list", "option", "tuple", "result"],
    )
    def test_a_tower_of_types(self, above: Callable[[bytes], bytes]) -> None:
        levels = 30_000
        tower = [b"\x01" + above(encode.s33_index(level)) for level in range(levels)]
        data = importing([LIST_U8, *tower, taking(levels), function(levels + 1)])
        result = rewrite(data, lambda name: True)
        assert result is None or len(result.component) < 10 * len(data)

    @pytest.mark.parametrize(
        "declaration",
        [
            b"\x01\x69\x7f",
            b"\x01\x68\x05",
            b"\x01\x70\x20",
            taking(0x30),
            b"\x02\x03\x02\x01\x09",
            b"\x02\x03\x02\x00\x00",
            b"\x04\x00\x01t\x03\x00\x44",
            function(0x44),
        ],
        ids=["own", "borrow", "list", "func", "outer", "here", "type", "export"],
    )
    def test_indices_of_what_is_not_there(self, declaration: bytes) -> None:
        sound = [LIST_U8, taking(0), function(1)]
        assert rewrite(importing(sound), lambda name: True) is not None
        assert rewrite(importing([*sound, declaration]), lambda name: True) is None


class TestTypes:
    @pytest.mark.parametrize("name", ["c/fail", "examples/hello"])
    def test_have_types_that_are_written_as_they_are_read(
        self, guest: Callable[[str], Path], name: str
    ) -> None:
        data = guest(name).read_bytes()
        read = 0
        for section in sections(data):
            if section.id == ComponentSection.TYPE:
                cursor = Cursor(data, section.start, section.end)
                for _ in range(cursor.count()):
                    start = cursor.at
                    encoded = encode_type(read_type(cursor))
                    assert encoded == data[start : cursor.at]
                    read += 1
                cursor.finish()
        assert read > 3


def modules(data: bytes) -> list[bytes]:
    """The core modules of a component."""
    return [
        data[section.start : section.end]
        for section in sections(data)
        if section.id == ComponentSection.CORE_MODULE
    ]


class TestDamage:
    @settings(deadline=None)
    @given(st.data())
    @pytest.mark.parametrize("intact", ["STREAMS", "DELIVERED"])
    def test_is_never_more_than_none(self, intact: str, data: st.DataObject) -> None:
        damaged = bytearray(INTACT if intact == "STREAMS" else DELIVERED)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        result = rewrite(bytes(damaged), lambda name: True)
        if result is None:
            return
        assert all(module in result.component for module in modules(bytes(damaged)))
        engine = wasmtime.Engine()
        if accepted(engine, bytes(damaged)):
            assert accepted(engine, result.component)

    def test_of_every_byte_of_the_imports(self) -> None:
        for at, change in product(range(8, 700), (0x01, 0x80)):
            damaged = bytearray(INTACT)
            damaged[at] ^= change
            rewrite(bytes(damaged), lambda name: True)


def accepted(engine: wasmtime.Engine, data: bytes) -> bool:
    """Whether the engine takes a component, whatever its functions do."""
    try:
        wasm.Component(engine, hollow(data))
    except (MalformedBinary, wasmtime.WasmtimeError):
        return False
    return True


INTACT = binary(STREAMS_GUEST)
DELIVERED = binary(SURROUNDED)
