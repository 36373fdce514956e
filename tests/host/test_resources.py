"""Handles of guests, and the host's objects behind them: who owns, who drops, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.host.binding import HostInterface
from gateway.host.errors import DeadlineExceeded, Trap, TrapKind
from tests.host.conftest import Load
from tests.host.guests import SPIN, call, call_now
from tests.host.shop import CHILD, DROP, DROP_OTHER, MAKE, TAKE, USE, Shop, Thing, shopper

pytestmark = pytest.mark.anyio


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_dropped_handle_drops_the_resource_once(load: Load, shop: Shop) -> None:
    call_now(load(shopper(MAKE + USE + DROP + MAKE + USE), shop.interface))
    assert shop.seen == shop.made
    assert shop.drops == [1, 1]


def test_a_resource_made_after_a_wait_is_as_good(load: Load, shop: Shop) -> None:
    body = f"(local.set $thing (call $make-late)) {USE} {DROP}"
    asyncio.run(call(load(shopper(body), shop.interface)))
    assert shop.seen == shop.made
    assert shop.drops == [1]


def test_a_resource_passed_back_belongs_to_the_host(load: Load, shop: Shop) -> None:
    call_now(load(shopper(MAKE + TAKE), shop.interface))
    assert shop.taken == shop.made
    assert shop.drops == [0]


@pytest.mark.parametrize("gone", [TAKE, DROP])
@pytest.mark.parametrize("use", [USE, TAKE, DROP])
def test_a_handle_that_is_gone_traps(load: Load, shop: Shop, gone: str, use: str) -> None:
    with pytest.raises(Trap, match="unknown handle index") as caught:
        call_now(load(shopper(MAKE + gone + use), shop.interface))
    assert caught.value.kind is TrapKind.CANONICAL_ABI
    assert shop.drops == [1 if gone is DROP else 0]


@pytest.mark.parametrize("end", [DROP, TAKE])
def test_a_resource_with_children_can_neither_be_dropped_nor_passed_on(
    load: Load, shop: Shop, end: str
) -> None:
    with pytest.raises(Trap, match="Thing: resource has children") as caught:
        call_now(load(shopper(MAKE + CHILD + end), shop.interface))
    assert caught.value.kind is TrapKind.HOST
    assert caught.value.backtrace
    assert shop.drops == [1, 1]  # by the host, the child first


def test_without_its_children_it_can(load: Load, shop: Shop) -> None:
    call_now(load(shopper(MAKE + CHILD + DROP_OTHER + TAKE), shop.interface))
    assert shop.taken == shop.made[:1]
    assert shop.drops == [0, 1]


@pytest.mark.anyio
async def test_a_guest_that_keeps_every_handle_is_stopped(load: Load, shop: Shop) -> None:
    """The engine has 100,000 handles for a store; the rest is the host's own limit, of its table."""
    body = "(loop $more (drop (call $make)) (br $more))"
    with pytest.raises(Trap, match="handle limit exceeded") as caught:
        await call(load(shopper(body), shop.interface))
    assert caught.value.kind is TrapKind.CANONICAL_ABI
    assert caught.value.backtrace
    for _ in range(100):  # turns of the loop
        await asyncio.sleep(0)
    assert set(shop.drops) == {1}


OUTCOMES: list[tuple[str, type[BaseException] | None]] = [
    ("", None),
    ("unreachable", Trap),
    (DROP + DROP, Trap),
    ("(call $fail)", OSError),
    ("(call $wait)", DeadlineExceeded),
    (SPIN, DeadlineExceeded),
]


@pytest.mark.parametrize(("end", "error"), OUTCOMES)
async def test_every_outcome_drops_what_the_guest_did_not(
    load: Load, shop: Shop, end: str, error: type[BaseException] | None
) -> None:
    linked = load(
        shopper(MAKE + CHILD + "(local.set $thing (call $make-late))" + end), shop.interface
    )
    if error is None:
        await call(linked)
    else:
        limit = 0.02 if error is DeadlineExceeded else 120.0
        with pytest.raises(error):
            await call(linked, max_execution_time=limit)
    assert shop.drops == [1, 1, 1]


async def test_a_cancelled_call_drops_them_too(load: Load, shop: Shop) -> None:
    task = asyncio.create_task(call(load(shopper(MAKE + CHILD + "(call $wait)"), shop.interface)))
    await shop.reached.wait()
    assert shop.drops == [0, 0]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shop.drops == [1, 1]


class Stubborn(Thing):
    """A resource that breaks its promise."""

    __slots__ = ()

    def drop(self) -> None:
        super().drop()
        raise OSError("drop failed")


@pytest.mark.parametrize("end", ["", DROP, "unreachable"])
def test_a_drop_that_raises_keeps_no_other_from_being_dropped(
    load: Load, shop: Shop, end: str
) -> None:
    kinds: Iterator[type[Thing]] = iter([Thing, Stubborn, Thing, Stubborn])

    def make(_data: Any) -> Thing:
        shop.made.append(next(kinds)())
        return shop.made[-1]

    shop.interface.functions.pop("make")
    shop.interface.function("make")(make)
    with pytest.raises(OSError, match="drop failed"):
        call_now(load(shopper(MAKE * 4 + end), shop.interface))
    assert shop.drops == [1, 1, 1, 1]


ALIASED = """
  (component
    (import "test:host/makers" (instance $makers
      (export "thing" (type $thing (sub resource)))
      (export "make" (func (result (own $thing))))))
    (alias export $makers "thing" (type $thing))
    (import "test:host/takers@1.2.3" (instance $takers
      (alias outer 1 $thing (type $outer))
      (export "known-by-another-name" (type $same (eq $outer)))
      (export "other" (type $other (sub resource)))
      (export "take" (func (param "it" (own $same))))
      (export "make-other" (func (result (own $other))))))
    (core func $make (canon lower (func $makers "make")))
    (core func $take (canon lower (func $takers "take")))
    (core func $make-other (canon lower (func $takers "make-other")))
    (core module $m
      (import "" "make" (func $make (result i32)))
      (import "" "make-other" (func $make-other (result i32)))
      (import "" "take" (func $take (param i32)))
      (func (export "run") (call $take (call $make)))
      (func (export "confuse") (call $take (call $make-other))))
    (core instance $i (instantiate $m (with "" (instance
      (export "make" (func $make))
      (export "make-other" (func $make-other))
      (export "take" (func $take))))))
    (func (export "run") (canon lift (core func $i "run")))
    (func (export "confuse") (canon lift (core func $i "confuse"))))
"""


def test_one_resource_under_the_names_of_two_interfaces_is_one(load: Load, shop: Shop) -> None:
    makers = HostInterface("test:host/makers", None)
    makers.function("make")(shop.make)
    takers = HostInterface("test:host/takers", "1.0.0")
    takers.function("take")(lambda _data, thing: shop.taken.append(thing))
    takers.function("make-other")(shop.make)
    linked = load(ALIASED, makers, takers)
    call_now(linked)
    assert shop.taken == shop.made
    with pytest.raises(Trap, match="handle index 1 used with the wrong type"):
        call_now(linked, function="confuse")
    assert shop.drops == [0, 1]


HANDED_OVER = """
  (component
    (import "test:host/api" (instance $api (export "thing" (type $thing (sub resource)))))
    (alias export $api "thing" (type $thing))
    (core func $drop (canon resource.drop $thing))
    (core module $m
      (import "" "drop" (func $drop (param i32)))
      (func (export "drop") (param i32) (call $drop (local.get 0)))
      (func (export "return") (param i32) (result i32) (local.get 0)))
    (core instance $i (instantiate $m (with "" (instance (export "drop" (func $drop))))))
    (func (export "drop") (param "it" (own $thing)) (canon lift (core func $i "drop")))
    (func (export "return") (param "it" (own $thing)) (result (own $thing))
      (canon lift (core func $i "return"))))
"""


def test_a_resource_may_be_an_argument_and_a_result(load: Load) -> None:
    linked = load(HANDED_OVER)
    dropped, returned = Thing(), Thing()
    assert call_now(linked, dropped, function="drop") is None
    assert call_now(linked, returned, function="return") is returned
    assert (dropped.drops, returned.drops) == (1, 0)
