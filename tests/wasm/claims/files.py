"""A core module and a component to sign, small, and with a section of every kind."""

from __future__ import annotations

from typing import Final

import wasmtime

MODULE: Final = bytes(
    wasmtime.wat2wasm("""
(module
  (type (func (param i32) (result i32)))
  (import "env" "log" (func (param i32)))
  (table 1 funcref)
  (memory 1)
  (tag (param i32))
  (global i32 (i32.const 7))
  (export "run" (func 1))
  (start 2)
  (elem (i32.const 0) func 1)
  (func (type 0) (local.get 0))
  (func (data.drop 0))
  (data "passive")
  (data (i32.const 0) "hello")
  (@custom "marks" "kept"))
""")
)

COMPONENT: Final = bytes(
    wasmtime.wat2wasm("""
(component
  (import "wasi:io/error@0.2.12" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $e))
  (core type (func))
  (type $t (func (result u32)))
  (core module $m
    (memory 1) (func (export "run") (result i32) (i32.const 7)) (@custom "marks" "inside"))
  (component $inner
    (core module (table 1 funcref))
    (component (core module (memory 1))))
  (core instance $i (instantiate $m))
  (func $run (type $t) (canon lift (core func $i "run")))
  (instance $handler (export "handle" (func $run)))
  (export "wasi:http/incoming-handler@0.2.12" (instance $handler))
  (@custom "marks" "outside"))
""")
)

FILES: Final = {"module": MODULE, "component": COMPONENT}
