"""`wasi:random`: bytes that nobody can guess.

The insecure interface gets the same bytes as the secure one: they cost no more, and a guest that mistakes one for
the other is none the worse for it.

Source: `wasi:random@0.2.12` and `0.3.2`, `random.wit`, `insecure.wit`, `insecure-seed.wit`.
"""

from __future__ import annotations

from os import urandom
from typing import Final

from gateway.bindings.context import State, WasiCtx
from gateway.host.binding import HostInterface
from gateway.host.errors import Trap

__all__ = ["INTERFACES", "MAX_RANDOM"]

MAX_RANDOM: Final = 512 << 10
"""Bytes that one call returns at most; more traps. A guest may ask for 2^64, WIT has no error for that, and the
host must not allocate what a guest names. Wasmtime gives 64 MiB; but here each byte takes 32 on its way, and
that would be gigabytes, and seconds in which the loop stands still."""


class InsecureSeed(State):
    """The seed of an invocation; constant within it, as WIT asks."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        raw = urandom(16)
        self.value = (int.from_bytes(raw[:8]), int.from_bytes(raw[8:]))


random = HostInterface("wasi:random/random", "0.2.12")
insecure = HostInterface("wasi:random/insecure", "0.2.12")
insecure_seed = HostInterface("wasi:random/insecure-seed", "0.2.12")
random_p3 = HostInterface("wasi:random/random", "0.3.2")
insecure_p3 = HostInterface("wasi:random/insecure", "0.3.2")
insecure_seed_p3 = HostInterface("wasi:random/insecure-seed", "0.3.2")
INTERFACES = (random, insecure, insecure_seed, random_p3, insecure_p3, insecure_seed_p3)


@random.function("get-random-bytes")
@insecure.function("get-insecure-random-bytes")
def get_random_bytes(_ctx: WasiCtx, size: int) -> bytes:
    """Exactly so many random bytes."""
    if size > MAX_RANDOM:
        raise Trap(f"{size} random bytes at once; at most {MAX_RANDOM} are given")
    return urandom(size)


@random_p3.function("get-random-bytes")
@insecure_p3.function("get-insecure-random-bytes")
def get_some_random_bytes(_ctx: WasiCtx, most: int) -> bytes:
    """So many random bytes, `MAX_RANDOM` at the most."""
    return urandom(min(most, MAX_RANDOM))


@random.function("get-random-u64")
@insecure.function("get-insecure-random-u64")
@random_p3.function("get-random-u64")
@insecure_p3.function("get-insecure-random-u64")
def get_random_u64(_ctx: WasiCtx) -> int:
    """A random number of 64 bits."""
    return int.from_bytes(urandom(8))


@insecure_seed.function("insecure-seed")
@insecure_seed_p3.function("get-insecure-seed")
def get_insecure_seed(ctx: WasiCtx) -> tuple[int, int]:
    """A seed for hash maps; the same one throughout an invocation."""
    return ctx.of(InsecureSeed).value
