"""Component values as JSON.

`decoder(type)` and `encoder(type)` build, once per type, the closure that turns what `json.loads` gives into a
value as `gateway.host.values` lowers it, or a value that was lifted into what `json.dumps` takes. Nothing is
lost on the way out and back in, but which NaN it was.

| WIT                     | JSON                                                   | accepted as well            |
|-------------------------|--------------------------------------------------------|-----------------------------|
| `bool`                  | `true`, `false`                                        |                             |
| `u8`, `s8` ... `s32`    | number                                                 | with a zero fraction: `1.0` |
| `u64`, `s64`            | number within +-(2^53-1), decimal string beyond        | either, if it is exact      |
| `f32`, `f64`            | number; `"NaN"`, `"Infinity"`, `"-Infinity"`           |                             |
| `char`                  | string of one Unicode scalar value                     |                             |
| `string`                | string                                                 |                             |
| `list<u8>`              | string in base64 (RFC 4648 section 4, padded)          | array of numbers            |
| `list<T>`               | array                                                  |                             |
| `tuple<...>`            | array of exactly as many                               |                             |
| `record`                | object with exactly the fields' names                  |                             |
| `variant`               | `{"case": payload}`, `{"case": null}` for none         |                             |
| `enum`                  | string                                                 |                             |
| `flags`                 | array of names, in the order of declaration            | any order, no duplicates    |
| `option<T>`             | `null` or T; `{"some": T}` where T itself is an option |                             |
| `result<T, E>`          | `{"ok": T}`, `{"err": E}`, `null` for a side of none   |                             |

A value is as deep as its type, and the engine refuses types of more than 100 levels. A level takes up to four
Python frames where the closures are built and two where they run, of the thousand that Python allows; JSON
cannot make them recurse any deeper than the type does.
"""

from __future__ import annotations

from gateway.rpc.decode import Decode, Parameters, decoder, parameters
from gateway.rpc.encode import Encode, encoder
from gateway.rpc.invalid_value import InvalidValue

__all__ = ["Decode", "Encode", "InvalidValue", "Parameters", "decoder", "encoder", "parameters"]
