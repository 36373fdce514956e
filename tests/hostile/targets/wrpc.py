"""Streams of wRPC, as they come over HTTP, and what comes of arguments that a function takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from starlette.types import Message

from gateway.host.values import Ok, Variant
from gateway.routes.wrpc import _Body
from gateway.wrpc.cursor import Cursor, Malformed
from gateway.wrpc.decode import reader
from gateway.wrpc.encode import writer
from gateway.wrpc.frames import MAX_FRAMES, Header, Incoming, frame, invocation
from tests.hostile.target import Attack, Target
from tests.hostile.targets.json_rpc import _TYPES

_VALUES = (
    b"\0\1\2",
    [{"x": -1, "label": "größer"}],
    None,
    Ok("é"),
    Variant("none", None),
    frozenset({"b0"}),
    1.5,
)


def _seeds() -> Sequence[bytes]:
    found = []
    for ty, value in zip(_TYPES, _VALUES, strict=True):
        writer(ty)(params := bytearray(), value)
        found.append(invocation(Header("test:rpc/types@1.2.3", "echo"), frame(params)))
    return [*found, found[0] + b"\0\0" * 100]


async def _read(data: bytes) -> bytes:
    """All that comes by the root, in pieces of a few bytes."""
    pieces = [data[at : at + 7] for at in range(0, len(data), 7)]

    async def receive() -> Message:
        return {
            "body": pieces.pop(0) if pieces else b"",
            "type": "http.request",
            "more_body": pieces,
        }

    stream = Incoming(_Body(receive), 16 << 10)
    await stream.header()
    await stream.root(frames=1)
    return await stream.root(frames=MAX_FRAMES)


@contextmanager
def _attack() -> Iterator[Attack]:
    codecs = [(reader(ty), writer(ty)) for ty in _TYPES]

    def read(data: bytes) -> None:
        try:
            params = runner.run(_read(data))
        except Malformed:
            return
        for decode, encode in codecs:
            with suppress(Malformed):
                value = decode(Cursor(params))
                encode(out := bytearray(), value)
                decode(cursor := Cursor(bytes(out)))
                assert not cursor.left

    with asyncio.Runner() as runner:
        yield read


TARGET = Target(_attack, _seeds, max_size=16 << 10, ci_inputs=1000)
