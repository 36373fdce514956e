"""wasi:random: random bytes and numbers, and their limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.bindings import p3, random
from gateway.bindings.random import MAX_RANDOM
from gateway.host.component import Component
from gateway.host.errors import Trap
from tests.bindings.version import Version
from tests.driven_guest import Driven, DrivenGuest, driven_guest, driven_over_time, driving

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("version")]

_IMPORTS = """
  (import "wasi:random/random@0.2.12" (instance
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
    (export "get-random-u64" (func (result u64)))))
  (import "wasi:random/insecure@0.2.12" (instance
    (export "get-insecure-random-bytes" (func (param "len" u64) (result (list u8))))
    (export "get-insecure-random-u64" (func (result u64)))))
  (import "wasi:random/insecure-seed@0.2.12" (instance
    (export "insecure-seed" (func (result (tuple u64 u64))))))
"""

_IMPORTS_0_3 = _IMPORTS.replace("@0.2.12", "@0.3.0").replace(
    '"insecure-seed"', '"get-insecure-seed"'
)


@asynccontextmanager
async def guest_of_random() -> AsyncIterator[DrivenGuest]:
    """A guest of either version that has them."""
    if Version.of_test == "0.2":
        driven: Component | Driven = driven_guest(_IMPORTS)
    else:
        driven = driven_over_time(_IMPORTS_0_3, ())
    async with driving(driven, (*random.INTERFACES, *p3.INTERFACES)) as guest:
        yield guest


BYTES = ["random#get-random-bytes", "insecure#get-insecure-random-bytes"]
NUMBERS = ["random#get-random-u64", "insecure#get-insecure-random-u64"]


@pytest.mark.parametrize("function", BYTES)
@pytest.mark.parametrize("size", [0, 1, 16, 65_537])
async def test_random_bytes_have_exactly_the_length_asked_for(function: str, size: int) -> None:
    async with guest_of_random() as guest:
        assert len(await guest.call(function, size)) == size


@pytest.mark.parametrize("function", BYTES)
async def test_random_bytes_differ_from_call_to_call(function: str) -> None:
    async with guest_of_random() as guest:
        assert len({await guest.call(function, 16) for _ in range(10)}) == 10


@pytest.mark.parametrize("function", NUMBERS)
async def test_random_numbers_use_all_64_bits(function: str) -> None:
    async with guest_of_random() as guest:
        numbers = [await guest.call(function) for _ in range(128)]
        # A bit that random numbers have in common: one chance in 2^121.
        some = every = numbers[0]
        for number in numbers:
            some |= number
            every &= number
        assert (some, every) == (2**64 - 1, 0)


@pytest.mark.parametrize("function", BYTES)
@pytest.mark.parametrize("size", [MAX_RANDOM + 1, 2**32, 2**64 - 1])
async def test_more_random_bytes_than_the_limit_trap_or_are_fewer(
    function: str, size: int, version: str
) -> None:
    """0.3 has functions that return so many at most."""
    async with guest_of_random() as guest:
        if version == "0.3":
            assert len(await guest.call(function, size)) == MAX_RANDOM
            return
        with pytest.raises(Trap, match=f"{size} random bytes at once; at most {MAX_RANDOM}"):
            await guest.call(function, size)


async def test_insecure_seed_is_constant_within_a_context_and_its_own() -> None:
    seeds = []
    get = "get-insecure-seed" if Version.of_test == "0.3" else "insecure-seed"
    for _ in range(2):
        async with guest_of_random() as guest:
            seed = await guest.call(f"insecure-seed#{get}")
            assert await guest.call(f"insecure-seed#{get}") == seed
            seeds.append(seed)
    assert seeds[0] != seeds[1]
