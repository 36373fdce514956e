"""The example `streams` of wRPC's own repository as components: one that has it, one that asks another for it."""

from __future__ import annotations

from typing import Final

from gateway.host import wit
from gateway.wrpc.values import Values

__all__ = ["ECHO", "PARAMS", "RESULT", "STREAMS_INTERFACE"]

STREAMS_INTERFACE: Final = "wrpc-examples:streams/handler"

_NUMBERS: Final = wit.Stream(wit.Integer(64, signed=False))
_BYTES: Final = wit.Stream(wit.Integer(8, signed=False))

PARAMS: Final = Values([wit.Record((("numbers", _NUMBERS), ("bytes", _BYTES)))])
RESULT: Final = Values([wit.Tuple((_NUMBERS, _BYTES))])

_TYPES: Final = """
  (type $numbers (stream u64)) (type $bytes (stream u8))
  (type $req (record (field "numbers" $numbers) (field "bytes" $bytes)))"""

ECHO: Final = rf"""
(component
  {_TYPES}
  (core func $drop (canon stream.drop-readable $bytes))
  (core module $module
    (memory (export "memory") 1)
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) i32.const 16))
  (core instance $core (instantiate $module))
  (func $echo (param "r" $req) (result (tuple $numbers $bytes))
    (canon lift (core func $core "echo") (memory (core memory $core "memory"))))
  (component $interface
    {_TYPES}
    (import "req" (type $req' (eq $req)))
    (import "echo" (func $echo (param "r" $req') (result (tuple $numbers $bytes))))
    (export $req'' "req" (type $req'))
    (export "echo" (func $echo) (func (param "r" $req'') (result (tuple $numbers $bytes)))))
  (instance $handler (instantiate $interface (with "req" (type $req)) (with "echo" (func $echo))))
  (export "{STREAMS_INTERFACE}" (instance $handler)))
"""
