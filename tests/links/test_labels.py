"""Imports with labels, `(implements "...")` of the component model: a label is the name of a link."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.bindings import provided
from gateway.cli.description import describe
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.host.engine import Engine
from gateway.host.errors import ComponentError, TrapKind
from gateway.host.values import Err, Ok, Variant
from tests.bindings.test_keyvalue import FIRST as KEYVALUE
from tests.driven_guest import DrivenGuest, driven_text
from tests.guests.toolchains import GUESTS
from tests.links.driven import Stopped, driven
from tests.links.test_calls import Told
from tests.links.test_names import API, LATTICE, PRICING, PROVIDERS, STORES, choose, links
from tests.rpc.python_client import component_of, stubs_of

pytestmark = pytest.mark.anyio

STORE: Final = "wasi:keyvalue/store@0.2.0-draft"
LABELLED: Final = f"""
  (import "cheap" (implements "{API}") (instance
    (export "whose" (func (param "item" u32) (result u32)))))
  (import "dear" (implements "{API}") (instance
    (export "whose" (func (param "item" u32) (result u32)))))
"""


def labelled_store(label: str) -> str:
    """An import of the store by a label."""
    text, _, _ = KEYVALUE.partition("(alias export $store")
    return text.replace(f'"{STORE}"', f'"{label}" (implements "{STORE}")').replace("$store", "")


async def get(guest: DrivenGuest, label: str, identifier: str) -> Any:
    """What the guest finds in a store that it opens by an import of this label."""
    opened = await guest.call(f"{label}#open", identifier)
    if isinstance(opened, Err):
        return opened
    return (await guest.call(f"{label}#bucket.get", opened.value, "key")).value


async def put(guest: DrivenGuest, label: str, identifier: str, value: bytes) -> None:
    """Have it write there."""
    bucket = (await guest.call(f"{label}#open", identifier)).value
    assert await guest.call(f"{label}#bucket.set", bucket, "key", value) == Ok()


async def test_a_label_is_the_name_of_a_link(tmp_path: Path) -> None:
    told = links("prices", "cheap", "dear")
    imports = LATTICE + PRICING + LABELLED
    async with driven(tmp_path, imports, links=told, providers=PROVIDERS) as (guest, _):
        assert await guest.call("cheap#whose", 1) == 21
        assert await guest.call("dear#whose", 1) == 31
        assert await guest.call("api#whose", 1) == 11
        assert await choose(guest, "dear", "acme:pricing/api") == Ok()
        assert await guest.call("api#whose", 1) == 31
        assert await guest.call("cheap#whose", 1) == 21


async def test_a_label_without_a_link_traps(tmp_path: Path) -> None:
    told = links("prices", "dear")
    imports = PRICING + LABELLED
    async with driven(tmp_path, imports, links=told, providers=PROVIDERS) as (guest, gateway):
        events = Told(gateway)
        assert await guest.call("dear#whose", 1) == 31
        with pytest.raises(Stopped):
            await guest.call("cheap#whose", 1)
        assert events.of("driven").trap is TrapKind.UNKNOWN_IMPORT


async def test_a_link_whose_name_is_no_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=f"does not import it .it imports cheap: {API}, dear"):
        async with driven(tmp_path, LABELLED, links=links("prices"), providers=PROVIDERS):
            pass


async def test_a_label_is_the_stores_that_are_granted_by_it(tmp_path: Path) -> None:
    imports = LATTICE + KEYVALUE + labelled_store("cache") + labelled_store("missing")
    async with driven(tmp_path, imports, keyvalue=STORES) as (guest, _):
        for label, identifier in (("store", ""), ("store", "sessions"), ("cache", "")):
            await put(guest, label, identifier, f"{label} {identifier}".encode())
        await put(guest, "cache", "sessions", b"x" * 100_000)
        assert await get(guest, "store", "cache") == b"cache "
        assert await get(guest, "cache", "default") == b"cache "
        assert await get(guest, "cache", "sessions") == b"x" * 100_000
        assert await get(guest, "store", "sessions") == b"store sessions"
        for label in ("cache", "missing"):
            assert await get(guest, label, "nothing") == Err(Variant("no-such-store"))
        assert await choose(guest, "sessions", "wasi:keyvalue/store") == Ok()
        assert await get(guest, "cache", "") == b"cache "


async def test_an_interface_that_has_no_names_is_the_same_by_every_label(tmp_path: Path) -> None:
    imports = """
      (import "mine" (implements "wasi:config/store@0.2.0-rc.1") (instance
        (type $failure (variant (case "upstream" string) (case "io" string)))
        (export "error" (type $error (eq $failure)))
        (export "get"
          (func (param "key" string) (result (result (option string) (error $error)))))))
    """
    async with driven(tmp_path, imports, config={"name": "ours"}) as (guest, _):
        assert await guest.call("mine#get", "name") == Ok("ours")


def test_bytes_cross_in_blocks_by_a_label_too(tmp_path: Path) -> None:
    path = tmp_path / "guest.wat"
    path.write_text(driven_text(labelled_store("cache")))
    bridged = Source(path, bridge=provided().carries_bytes).bridged
    assert bridged is not None
    assert ("cache", "[method]bucket.get") in bridged.functions


def test_labels_are_shown_with_their_interfaces(tmp_path: Path) -> None:
    path = tmp_path / "guest.wat"
    path.write_text(driven_text(LABELLED + labelled_store("cache")))
    shown = describe(path, full=True)
    assert f"import cheap: {API} {{  // nothing provides this" in shown
    assert f"import cache: {STORE} {{  // granted by keyvalue" in shown
    stubs = stubs_of("cheap", component_of(path).imports)
    assert f'{{ import = "{API}", name = "cheap", python = "module:object" }}' in stubs


def test_an_import_that_is_not_granted_is_told_with_its_label(tmp_path: Path) -> None:
    path = tmp_path / "guest.wat"
    path.write_text(driven_text(LABELLED + labelled_store("cache")))
    config = ComponentConfig.model_validate({"name": "shop", "source": path})
    with capture_logs() as logs:
        create_app(GatewayConfig(components=(config,)))
    (unknown,) = (line for line in logs if line["event"] == "unknown imports")
    assert {f"cheap: {API}", f"dear: {API}"} <= set(unknown["imports"])


def test_a_component_of_wasi_0_3_keeps_its_labels(tmp_path: Path) -> None:
    path = tmp_path / "guest.wat"
    plain = (GUESTS / "wat/wasi-0-3.wat").read_text()
    path.write_text(plain.replace("(component", f"(component {LABELLED}", 1))
    source = Source(path, bridge=provided().carries_bytes)
    imports = Component(Engine(concurrent=True), source, name="guest").imports
    assert source.concurrent
    assert [wit.interface_name(label, imports[label]) for label in ("cheap", "dear")] == [API, API]
