"""The example `hello` of wRPC's own repository as components: one that has it, one that asks another for it."""

from __future__ import annotations

from typing import Final

__all__ = ["HELLO", "HELLO_INTERFACE", "RELAY"]

HELLO_INTERFACE: Final = "wrpc-examples:hello/handler"

HELLO: Final = r"""
(component
  (core module $module
    (memory (export "memory") 1)
    (data (i32.const 16) "\20\00\00\00\0d\00\00\00")
    (data (i32.const 32) "hello from Go")
    (func (export "hello") (result i32) i32.const 16))
  (core instance $core (instantiate $module))
  (func $hello (result string)
    (canon lift (core func $core "hello") (memory (core memory $core "memory"))))
  (instance $handler (export "hello" (func $hello)))
  (export "wrpc-examples:hello/handler" (instance $handler)))
"""

RELAY: Final = r"""
(component
  (import "wrpc-examples:hello/handler" (instance $theirs (export "hello" (func (result string)))))
  (core module $store
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64))
  (core instance $memory (instantiate $store))
  (core func $lowered (canon lower (func $theirs "hello")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $module
    (import "theirs" "hello" (func $hello (param i32)))
    (func (export "hello") (result i32) (call $hello (i32.const 16)) i32.const 16))
  (core instance $core (instantiate $module
    (with "theirs" (instance (export "hello" (func $lowered))))))
  (func $hello (result string)
    (canon lift (core func $core "hello") (memory (core memory $memory "memory"))))
  (export "hello" (func $hello)))
"""
