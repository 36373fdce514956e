"""wasmcloud:bus/lattice: what is chosen of the links of an interface, for how long, and what is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from gateway.bindings import lattice
from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.lattice import MAX_NAMED, LatticeCtx
from gateway.host.errors import Trap
from gateway.host.values import Err, Ok
from tests.driven_guest import DrivenGuest, driven_guest, driving

pytestmark = pytest.mark.anyio

LATTICE: Final = """
  (import "wasmcloud:bus/lattice@{version}" (instance
    (export "call-target-interface" (type $target (sub resource)))
    (export "[constructor]call-target-interface" (func (param "namespace" string)
      (param "package" string) (param "interface" string) (result (own $target))))
    (export "set-link-name" (func (param "name" string)
      (param "interfaces" (list (own $target))){result}))))
"""

TOLD: Final = [
    LATTICE.format(version=version, result=" (result (result (error string)))")
    for version in ("2.0.0", "2.0.1")
]
SILENT: Final = LATTICE.format(version="1.0.0", result="")

PRICING: Final = "acme:pricing/api"
STOCK: Final = "acme:stock/api"
NAMES: Final = {PRICING: {"default", "cheap"}, STOCK: {"cheap"}}

VERSIONS = pytest.mark.parametrize("version", TOLD, ids=["2.0.0", "2.0.1"])
EVERY_VERSION = pytest.mark.parametrize("version", [*TOLD, SILENT], ids=["2.0.0", "2.0.1", "1.0.0"])


class Chooser:
    """A guest that chooses links, and what it has chosen."""

    def __init__(self, guest: DrivenGuest, ctx: WasiCtx) -> None:
        self.guest = guest
        self._ctx = ctx

    async def interface(self, name: str) -> int:
        """A handle of an interface."""
        namespace, _, rest = name.partition(":")
        handle: int = await self.guest.call(
            "lattice#[constructor]call-target-interface", namespace, *rest.split("/")
        )
        return handle

    async def choose(self, name: str, *interfaces: str) -> Any:
        """Choose the link of this name for interfaces."""
        handles = [await self.interface(each) for each in interfaces]
        return await self.guest.call("lattice#set-link-name", name, handles)

    @property
    def chosen(self) -> tuple[str, str]:
        """The links that calls of the two interfaces go by."""
        return self._ctx.link_name(PRICING), self._ctx.link_name(STOCK)


@asynccontextmanager
async def chooser(version: str) -> AsyncIterator[Chooser]:
    ctx = WasiCtx(LatticeCtx(NAMES), caller=Caller("shop", "1"))
    async with driving(driven_guest(version), lattice.INTERFACES, ctx) as guest:
        yield Chooser(guest, ctx)


@EVERY_VERSION
async def test_a_name_is_chosen_for_the_interfaces_that_are_named(version: str) -> None:
    """The key is `namespace:package/interface`, without a version."""
    async with chooser(version) as it:
        assert it.chosen == ("default", "default")
        assert await it.choose("cheap", PRICING) == (None if version is SILENT else Ok())
        assert it.chosen == ("cheap", "default")


@EVERY_VERSION
async def test_several_interfaces_are_chosen_for_at_once(version: str) -> None:
    async with chooser(version) as it:
        await it.choose("cheap", PRICING, STOCK)
        assert it.chosen == ("cheap", "cheap")


@EVERY_VERSION
async def test_default_undoes_a_choice(version: str) -> None:
    """The name "default" removes the entry."""
    async with chooser(version) as it:
        await it.choose("cheap", PRICING, STOCK)
        await it.choose("default", PRICING)
        assert it.chosen == ("default", "cheap")


@VERSIONS
async def test_a_name_that_there_is_no_link_of_is_an_error_that_changes_nothing(
    version: str,
) -> None:
    """2.x: any interface that lacks a link of that name is told, and nothing is set, for the others neither."""
    async with chooser(version) as it:
        await it.choose("cheap", STOCK)
        said = "interface `{}` does not have an existing link with name `{}`"
        assert await it.choose("dear", PRICING) == Err(said.format(PRICING, "dear"))
        assert await it.choose("cheap", PRICING, "a:b/c", STOCK) == Err(
            said.format("a:b/c", "cheap")
        )
        assert it.chosen == ("default", "cheap")


@VERSIONS
async def test_default_is_a_name_like_any_other(version: str) -> None:
    """2.x: "default" is checked too."""
    async with chooser(version) as it:
        await it.choose("cheap", STOCK)
        assert await it.choose("default", PRICING, STOCK) == Err(
            f"interface `{STOCK}` does not have an existing link with name `default`"
        )
        assert it.chosen == ("default", "cheap")


async def test_the_first_version_says_nothing_of_a_name_that_there_is_no_link_of() -> None:
    """1.0.0: the same check, whose error is swallowed: nothing is set."""
    async with chooser(SILENT) as it:
        await it.choose("cheap", STOCK)
        assert await it.choose("dear", PRICING, STOCK) is None
        assert await it.choose("default", STOCK) is None
        assert it.chosen == ("default", "cheap")


@EVERY_VERSION
async def test_a_choice_ends_with_its_invocation(version: str) -> None:
    """Per invocation."""
    for _ in range(2):
        async with chooser(version) as it:
            assert it.chosen == ("default", "default")
            await it.choose("cheap", PRICING)


@VERSIONS
async def test_no_interfaces_are_fine(version: str) -> None:
    async with chooser(version) as it:
        assert await it.choose("cheap") == Ok()
        assert it.chosen == ("default", "default")


@EVERY_VERSION
@pytest.mark.parametrize("name", ["cheap", "dear"])
async def test_the_handles_are_the_hosts_afterwards(version: str, name: str) -> None:
    """Handles are owned by the callee, whether it has set anything or not."""
    async with chooser(version) as it:
        handle = await it.interface(PRICING)
        await it.guest.call("lattice#set-link-name", name, [handle])
        with pytest.raises(Trap, match="unknown handle index"):
            await it.guest.call("lattice#set-link-name", name, [handle])


async def test_names_of_interfaces_are_bounded() -> None:
    async with chooser(SILENT) as it:
        large = "a:b/" + "c" * (MAX_NAMED // 2)
        for _ in range(2):  # what was passed on or dropped counts no more
            await it.choose("cheap", large)
            handle = await it.interface(large)
            await it.guest.call("lattice#drop call-target-interface", handle)
        await it.interface(large)
        with pytest.raises(Trap, match=f"more than {MAX_NAMED} characters"):
            await it.interface(large)
