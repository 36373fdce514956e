"""wasi:random: random bytes and numbers, and their limits."""

from __future__ import annotations

import pytest

from gateway.bindings import random
from gateway.bindings.context import WasiCtx
from gateway.bindings.random import MAX_RANDOM
from gateway.host.errors import Trap
from tests.driven_guest import driven_guest, driving

pytestmark = pytest.mark.anyio

IMPORTS = """
  (import "wasi:random/random@0.2.12" (instance
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
    (export "get-random-u64" (func (result u64)))))
  (import "wasi:random/insecure@0.2.12" (instance
    (export "get-insecure-random-bytes" (func (param "len" u64) (result (list u8))))
    (export "get-insecure-random-u64" (func (result u64)))))
  (import "wasi:random/insecure-seed@0.2.12" (instance
    (export "insecure-seed" (func (result (tuple u64 u64))))))
"""

BYTES = ["random#get-random-bytes", "insecure#get-insecure-random-bytes"]
NUMBERS = ["random#get-random-u64", "insecure#get-insecure-random-u64"]


@pytest.mark.parametrize("function", BYTES)
@pytest.mark.parametrize("size", [0, 1, 16, 65_537])
async def test_random_bytes_have_exactly_the_length_asked_for(function: str, size: int) -> None:
    async with driving(driven_guest(IMPORTS), random.INTERFACES) as guest:
        assert len(await guest.call(function, size)) == size


@pytest.mark.parametrize("function", BYTES)
async def test_random_bytes_differ_from_call_to_call(function: str) -> None:
    async with driving(driven_guest(IMPORTS), random.INTERFACES) as guest:
        assert len({await guest.call(function, 16) for _ in range(10)}) == 10


@pytest.mark.parametrize("function", NUMBERS)
async def test_random_numbers_use_all_64_bits(function: str) -> None:
    async with driving(driven_guest(IMPORTS), random.INTERFACES) as guest:
        numbers = [await guest.call(function) for _ in range(128)]
        # A bit that random numbers have in common: one chance in 2^121.
        some = every = numbers[0]
        for number in numbers:
            some |= number
            every &= number
        assert (some, every) == (2**64 - 1, 0)


@pytest.mark.parametrize("function", BYTES)
@pytest.mark.parametrize("size", [MAX_RANDOM + 1, 2**32, 2**64 - 1])
async def test_more_random_bytes_than_the_limit_trap(function: str, size: int) -> None:
    async with driving(driven_guest(IMPORTS), random.INTERFACES) as guest:
        with pytest.raises(Trap, match=f"{size} random bytes at once; at most {MAX_RANDOM}"):
            await guest.call(function, size)


async def test_insecure_seed_is_constant_within_a_context_and_its_own() -> None:
    seeds = []
    for ctx in (WasiCtx(), WasiCtx()):
        async with driving(driven_guest(IMPORTS), random.INTERFACES, ctx) as guest:
            seed = await guest.call("insecure-seed#insecure-seed")
            assert await guest.call("insecure-seed#insecure-seed") == seed
            seeds.append(seed)
    assert seeds[0] != seeds[1]
