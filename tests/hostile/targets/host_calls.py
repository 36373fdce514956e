"""Guests made of random host calls with random values, on handles that they have and that they have not."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

from gateway.bindings import cli, clocks, http, io, random, sockets
from gateway.bindings.context import WasiCtx
from gateway.bindings.filesystem import INTERFACES as FILESYSTEM
from gateway.bindings.filesystem import OpenFiles
from gateway.bindings.http.fields import Fields
from gateway.bindings.http.types import FieldsHandle, OutgoingRequest, RequestOptions
from gateway.bindings.io import IoError
from gateway.bindings.sockets.context import WasiSocketsCtx
from gateway.host import wit
from gateway.host.binding import HostInterface
from gateway.host.errors import InvocationError
from gateway.host.values import Err, Ok, Some, Variant
from tests.bindings.filesystem import guest as filesystem_guest
from tests.bindings.outbound import guest as outbound_guest
from tests.bindings.sockets import guest as sockets_guest
from tests.driven_guest import DrivenGuest, driven_guest, driving
from tests.hostile.target import Attack, Target

_CALLS: Final = 24
"""Host calls of one guest, at most."""

_TIME: Final = 0.1
"""Seconds that one may take: some of what it waits for never comes."""

_TEXTS: Final = (
    *(
        "",
        ".",
        "..",
        "/",
        "a",
        "a/../..",
        "/etc/passwd",
        "x" * 300,
        "a\0b",
        "\n",
        "GET",
        "content-length",
    ),
    *(
        "host",
        "transfer-encoding",
        "127.0.0.1",
        "localhost",
        "[::1]",
        "\u00e9",
        "a:b@c",
        "1",
        "/?a",
    ),
)
_NUMBERS: Final = (
    0,
    1,
    2,
    7,
    255,
    4096,
    65535,
    65536,
    1 << 31,
    (1 << 32) - 1,
    1 << 62,
    (1 << 64) - 1,
)

_made = HostInterface("test:host/made", None)
_made.function("new-request")(lambda _ctx: OutgoingRequest(Fields.from_list([])))
_made.function("new-options")(lambda _ctx: RequestOptions())
_made.function("new-fields")(lambda _ctx: FieldsHandle(Fields.from_list([])))
_foreign = HostInterface("test:host/foreign", None)
_foreign.function("make-error")(lambda _ctx: IoError("the disk is full", "insufficient-space"))

_INTERFACES: Final = (
    *io.INTERFACES,
    *clocks.INTERFACES,
    *random.INTERFACES,
    *cli.INTERFACES,
    *FILESYSTEM,
    *http.INTERFACES,
    *sockets.INTERFACES,
    _made,
    _foreign,
)
_WORLDS: Final = (outbound_guest.IMPORTS, filesystem_guest.IMPORTS, sockets_guest.IMPORTS)


class _Values:
    """Values of any type, chosen by an input: its bytes are the choices, and then chance that hangs on it."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)
        self._rest = Random(data)  # noqa: S311 - a sequence that can be repeated
        self.handles: dict[wit.Resource, list[int]] = defaultdict(list)

    def choose(self, below: int) -> int:
        """A number."""
        byte = next(self._data, None)
        return (self._rest.randrange(256) if byte is None else byte) % below

    def value(self, ty: wit.Type) -> Any:
        """A value of a type."""
        match ty:
            case wit.Bool():
                return bool(self.choose(2))
            case wit.Integer():
                number = _NUMBERS[self.choose(len(_NUMBERS))]
                return max(min(number, ty.maximum), ty.minimum)
            case wit.Char():
                return "a\u00e9\U0001f600\0"[self.choose(4)]
            case wit.String():
                return _TEXTS[self.choose(len(_TEXTS))] * (1, 1, 1, 50)[self.choose(4)]
            case wit.List(element=wit.Integer(bits=8, signed=False)):
                return bytes((self.choose(256),)) * (0, 1, 5, 4096, 5000)[self.choose(5)]
            case wit.List():
                return [self.value(ty.element) for _ in range((0, 1, 2, 200)[self.choose(4)])]
            case wit.Tuple():
                return tuple(map(self.value, ty.elements))
            case wit.Record():
                return {name: self.value(field) for name, field in ty.fields}
            case wit.Variant():
                name, of = ty.cases[self.choose(len(ty.cases))]
                return Variant(name, None if of is None else self.value(of))
            case wit.Enum():
                return ty.names[self.choose(len(ty.names))]
            case wit.Flags():
                return frozenset(name for name in ty.names if self.choose(2))
            case wit.Option():
                inner = self.value(ty.payload) if self.choose(2) else None
                return Some(inner) if isinstance(ty.payload, wit.Option) and inner else inner
            case wit.Result():
                of, made = ((ty.ok, Ok), (ty.err, Err))[self.choose(2)]
                return made(None if of is None else self.value(of))
            case wit.Own() | wit.Borrow():
                return self._handle(ty)
        raise TypeError(f"no value of {ty}")

    def _handle(self, ty: wit.Own | wit.Borrow) -> int:
        held = self.handles[ty.resource]
        if not held or not self.choose(32):
            return self.choose(16)
        handle = held[self.choose(len(held))]
        if isinstance(ty, wit.Own):
            held.remove(handle)
        return handle

    def keep(self, ty: wit.Type | None, value: Any) -> None:
        """Remember the handles in a result."""
        match ty, value:
            case wit.Own(), int():
                self.handles[ty.resource].append(value)
            case wit.Option(), _ if value is not None:
                self.keep(ty.payload, value.value if isinstance(value, Some) else value)
            case wit.Result(), Ok() | Err():
                self.keep(ty.ok if isinstance(value, Ok) else ty.err, value.value)
            case wit.Variant(), Variant():
                self.keep(dict(ty.cases)[value.case], value.payload)
            case wit.Tuple(), _:
                for part, each in zip(ty.elements, value, strict=True):
                    self.keep(part, each)
            case wit.List(), _ if not isinstance(value, bytes):
                for each in value:
                    self.keep(ty.element, each)


def _seeds() -> Sequence[bytes]:
    return [
        bytes((world, *range(start, start + 40))) for world in range(3) for start in (0, 60, 120)
    ]


async def _run(data: bytes, ctx: WasiCtx) -> None:
    values = _Values(data[1:])
    component = driven_guest(_WORLDS[data[0] % len(_WORLDS)] if data else _WORLDS[0])
    with suppress(InvocationError):
        async with driving(component, _INTERFACES, ctx, max_execution_time=_TIME) as guest:
            await _calls(guest, values)


async def _calls(guest: DrivenGuest, values: _Values) -> None:
    functions = guest.functions
    names = list(functions)
    for _ in range(_CALLS):
        name = names[values.choose(256) % len(names)]
        ty = functions[name]
        args = [values.value(param) for _, param in ty.params]
        values.keep(ty.result, await guest.call(name, *args))


async def _never(_name: str) -> Sequence[Any]:
    return ()


@contextmanager
def _attack() -> Iterator[Attack]:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        Path(folder, "a").write_text("content")

        def call(data: bytes) -> None:
            mount = filesystem_guest.writable(Path(folder))
            network = WasiSocketsCtx(sockets_guest.policy(()), _never)
            try:
                runner.run(_run(data, WasiCtx(OpenFiles((mount,)), network)))
            finally:
                mount.close()

        yield call


TARGET = Target(_attack, _seeds, max_size=512, guided=False, ci_inputs=150)
