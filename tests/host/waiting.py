"""A guest of WASI 0.3 that has as many tasks wait on stacks of their own as there can be."""

from __future__ import annotations

from typing import Final

__all__ = ["holding"]

_DAY: Final = 86_400_000_000_000


def holding(number: int) -> str:
    """A component in text form, composed of so many with a function each, which waits for a day without `async`.

    What it exports, `hold`, calls all of them, and then waits so itself.
    """
    inner = range(number - 1)
    instances = "\n".join(
        f"""(instance $w{each} (instantiate $Waits (with "wait-for" (func $wait))))
  (alias export $w{each} "hold" (func $hold{each}))
  (core func $hold{each} (canon lower (func $hold{each}) async))"""
        for each in inner
    )
    imports = " ".join(f'(import "" "{each}" (func $hold{each} (result i32)))' for each in inner)
    given = " ".join(f'(export "{each}" (func $hold{each}))' for each in inner)
    calls = " ".join(f"(drop (call $hold{each}))" for each in inner)
    return f"""(component
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
    (export "wait-for" (func async (param "how-long" u64)))))
  (alias export $clock "wait-for" (func $wait))
  (component $Waits
    (import "wait-for" (func $wait async (param "how-long" u64)))
    (core func $wait (canon lower (func $wait)))
    (core module $M (import "" "wait" (func $wait (param i64)))
      (func (export "hold") (call $wait (i64.const {_DAY}))))
    (core instance $i (instantiate $M (with "" (instance (export "wait" (func $wait))))))
    (func (export "hold") async (canon lift (core func $i "hold"))))
  {instances}
  (core func $wait (canon lower (func $wait)))
  (core module $M {imports} (import "" "wait" (func $wait (param i64)))
    (func (export "hold") (param i32) (result i32) {calls} (call $wait (i64.const {_DAY})) (i32.const 0))
    (func (export "go-on") (param i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $M (with "" (instance {given} (export "wait" (func $wait))))))
  (func (export "hold") async (param "data" (stream u8))
    (canon lift (core func $i "hold") async (callback (core func $i "go-on")))))"""
