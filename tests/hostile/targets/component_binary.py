"""Files said to be components, as far as they are read without an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import wasmtime

from gateway.wasm.binary import (
    MalformedBinary,
    classify,
    component_externs,
    sections,
    walk,
    wasi_0_3_externs,
)
from gateway.wasm.byte_blocks import rewrite
from gateway.wasm.claims import Policy, examine
from gateway.wasm.footprint import footprint
from gateway.wasm.hollow import hollow
from gateway.wasm.modules_apart import modules_apart
from gateway.wasm.wasip3 import NotComposable, Parts, compose
from tests.hostile.target import Attack, Target

_TEXTS = (
    """(component
      (import "wasi:io/poll@0.2.6" (instance (export "pollable" (type (sub resource)))))
      (core module $m (memory (export "memory") 1) (table 3 funcref) (func (export "run")))
      (core instance $i (instantiate $m))
      (func (export "run") (canon lift (core func $i "run"))))""",
    # Instances within instances: each level makes two of the one below.
    """(component
      (component $a (core module $m) (core instance (instantiate $m)))
      (component $b (instance (instantiate $a)) (instance (instantiate $a)))
      (component $c (instance (instantiate $b)) (instance (instantiate $b)))
      (instance (instantiate $c)))""",
    # One that is rewritten: what it passes is read in its memory, and what it gets is put there.
    """(component
      (import "a:b/c" (instance $i
        (export "give" (func (param "data" (list u8)) (result (option (list u8)))))))
      (core module $m (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8))
      (core module $run (import "h" "give" (func (param i32 i32 i32))) (func (export "run")))
      (core instance $m (instantiate $m))
      (core func $give (canon lower (func $i "give") (memory (core memory $m "memory"))
        (realloc (core func $m "realloc"))))
      (core instance $run (instantiate $run (with "h" (instance (export "give" (func $give))))))
      (func (export "run") (canon lift (core func $run "run"))))""",
    '(module (memory 1) (memory 2) (func (export "f")))',
    '(component (import "a" (component (export "b" (func)))))',
    """(component (type $types (instance))
      (import "wasi:http/types@0.3.0" (instance $http (type $types)))
      (import "wasi:cli/stdout@0.3.0" (instance (export "write-via-stream" (func))))
      (import "wasi:filesystem/types@0.3.0" (instance (export "descriptor" (type (sub resource)))))
      (instance $i) (export "wasi:http/handler@0.3.0" (instance $i)))""",
)


def _seeds() -> Sequence[bytes]:
    return [bytes(wasmtime.wat2wasm(text)) for text in _TEXTS]


@contextmanager
def _attack() -> Iterator[Attack]:
    policy = Policy()
    parts = Parts.assembled(lambda text: bytes(wasmtime.wat2wasm(text)))

    def read(data: bytes) -> None:
        with suppress(MalformedBinary):
            classify(data)
        with suppress(MalformedBinary):
            for _ in sections(data):
                pass
        with suppress(MalformedBinary):
            for _ in walk(data):
                pass
        with suppress(MalformedBinary):
            component_externs(data)
        with suppress(MalformedBinary):
            wasi_0_3_externs(data)
        with suppress(MalformedBinary, NotComposable):
            compose(data, parts)
        with suppress(MalformedBinary):
            for _ in walk(data):
                pass
            hollow(data)
        modules_apart(data, min_code=1)
        footprint(data)
        rewrite(data, lambda name: True)
        examine(data, policy, 0.0)

    yield read


TARGET = Target(_attack, _seeds)
