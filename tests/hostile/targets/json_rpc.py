"""Bodies of JSON-RPC, and what comes of parameters that a method takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from gateway.host import wit
from gateway.json.text import dump
from gateway.rpc import message
from gateway.rpc.decode import decoder
from gateway.rpc.encode import encoder
from gateway.rpc.invalid_value import InvalidValue
from tests.hostile.target import Attack, Target

_POINT = wit.Record((("x", wit.Integer(32, signed=True)), ("label", wit.Option(wit.String()))))
_TYPES: tuple[wit.Type, ...] = (
    wit.List(wit.Integer(8, signed=False)),
    wit.List(_POINT),
    wit.Option(wit.Option(wit.Float(64))),
    wit.Result(wit.Char(), wit.Enum(("a", "b-c"))),
    wit.Variant((("none", None), ("some", wit.Tuple((wit.Bool(), wit.Integer(64, signed=False)))))),
    wit.Flags(("b0", "b1")),
    wit.Float(32),
)
_VALUES: tuple[Any, ...] = (
    *("AAEC", [{"x": 1, "label": None}], {"some": None}, {"ok": "\u00e9"}, {"err": "b-c"}),
    *({"some": [True, "18446744073709551615"]}, {"none": None}, ["b0"], "NaN", 1.5),
)


def _seeds() -> Sequence[bytes]:
    calls = [
        {"jsonrpc": "2.0", "method": "f", "params": [v], "id": i} for i, v in enumerate(_VALUES)
    ]
    return [*(json.dumps(call).encode() for call in calls), json.dumps(calls).encode(), b"[" * 200]


@contextmanager
def _attack() -> Iterator[Attack]:
    codecs = [(decoder(ty), encoder(ty)) for ty in _TYPES]

    def read(data: bytes) -> None:
        found = message.read(data, max_batch=10)
        entries = found.entries if isinstance(found, message.Batch) else (found,)
        for entry in entries:
            if isinstance(entry, message.Request):
                params = entry.params
                values = params.values() if isinstance(params, dict) else params or ()
                for value in values:
                    for decode, encode in codecs:
                        with suppress(InvalidValue):
                            dump(encode(decode(value)))
            else:
                dump(message.error_response(entry.id, entry.error))

    yield read


TARGET = Target(_attack, _seeds, max_size=16 << 10)
