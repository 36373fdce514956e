"""Values of wRPC with streams and futures, in frames with paths."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from gateway.host import wit
from gateway.wrpc.cursor import Malformed
from gateway.wrpc.frames import Incoming
from gateway.wrpc.values import Values
from tests.hostile.target import Attack, Target
from tests.hostile.targets.json_rpc import _TYPES

_BYTES: Final = wit.Stream(wit.Integer(8, signed=False))
_SIDES: Final = (
    Values([_BYTES, wit.Future(wit.String())]),
    Values(
        [wit.Record((("x", wit.Stream(wit.Tuple((wit.Char(), wit.Float(64))))), ("y", _BYTES)))]
    ),
    Values([wit.Stream(wit.Option(_BYTES)), wit.List(wit.Future(_BYTES))]),
    Values([wit.Stream(wit.Tuple(_TYPES))]),
)
_SENT: Final[Sequence[tuple[Any, ...]]] = (
    (b"abc", "größer"),
    ({"x": [("é", 0.5)] * 3, "y": b"abc"},),
    ([None, b"a"], [b"", b"b"]),
)


def _seeds() -> Sequence[bytes]:
    found = [bytes(of.frames(sent)) for of, sent in zip(_SIDES, _SENT, strict=False)]
    return [*found, b"\0\1\0" + b"\1\0\1\1" * 20]


async def _received(of: Values, data: bytes) -> tuple[Any, ...]:
    """What they are that come in pieces of a few bytes."""
    source = asyncio.StreamReader()
    for at in range(0, len(data), 7):
        source.feed_data(data[at : at + 7])
    source.feed_eof()
    return of.read(await of.received(Incoming(source, 16 << 10)))


@contextmanager
def _attack() -> Iterator[Attack]:
    def read(data: bytes) -> None:
        for of in _SIDES:
            try:
                values = runner.run(_received(of, data))
            except Malformed:
                continue
            runner.run(_received(of, bytes(of.frames(values))))

    with asyncio.Runner() as runner:
        yield read


TARGET = Target(_attack, _seeds, max_size=16 << 10, ci_inputs=500)
