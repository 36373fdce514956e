"""Several links of one interface, under names: by which a call goes, and what a name is to a capability."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from gateway.config import ComponentConfig
from gateway.host.errors import ComponentError, TrapKind
from gateway.host.values import Err, Ok, Variant
from gateway.serving.link_names import link_names
from tests.bindings.test_blobstore import BLOBSTORE
from tests.bindings.test_keyvalue import FIRST as KEYVALUE
from tests.bindings.test_lattice import TOLD
from tests.driven_guest import DrivenGuest
from tests.harness import GuestPath
from tests.links.driven import Stopped, driven
from tests.links.test_calls import Told

pytestmark = pytest.mark.anyio

LATTICE: Final = TOLD[0]
API: Final = "acme:pricing/api@1.0.0"
PRICING: Final = f"""
  (import "{API}" (instance
    (export "whose" (func (param "item" u32) (result u32)))))
"""
CONFIG: Final = """
  (import "wasi:config/store@0.2.0-rc.1" (instance
    (type $failure (variant (case "upstream" string) (case "io" string)))
    (export "error" (type $error (eq $failure)))
    (export "get"
      (func (param "key" string) (result (result (option string) (error $error)))))))
"""
NONE: Final = Err(Variant("no-such-store"))


class Prices:
    """What a link leads to: tells by a number which one it is."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def whose(self, item: int) -> int:
        return self.number + item


PROVIDERS: Final = {"prices": Prices(10), "cheap": Prices(20), "dear": Prices(30)}


def links(*names: str) -> list[dict[str, str]]:
    """Links of the interface: each by its name to the object of that name, "prices" by none."""
    return [
        {
            "import": API,
            "python": each,
            **({} if each == "prices" else {"name": each}),
        }
        for each in names
    ]


async def choose(guest: DrivenGuest, name: str, *interfaces: str) -> Any:
    """Have the guest choose the link of this name for interfaces."""
    handles = []
    for each in interfaces:
        namespace, _, rest = each.partition(":")
        parts = (namespace, *rest.split("/"))
        handles.append(await guest.call("lattice#[constructor]call-target-interface", *parts))
    return await guest.call("lattice#set-link-name", name, handles)


async def test_calls_go_by_the_link_that_is_chosen(tmp_path: Path) -> None:
    told = links("prices", "cheap", "dear")
    async with driven(tmp_path, LATTICE + PRICING, links=told, providers=PROVIDERS) as (guest, _):
        assert await guest.call("api#whose", 1) == 11
        for name, number in (("cheap", 21), ("dear", 31), ("default", 11)):
            assert await choose(guest, name, "acme:pricing/api") == Ok()
            assert await guest.call("api#whose", 1) == number


async def test_a_name_that_no_link_has_is_an_error(tmp_path: Path) -> None:
    told = links("cheap")
    async with driven(tmp_path, LATTICE + PRICING, links=told, providers=PROVIDERS) as (guest, _):
        said = "interface `{}` does not have an existing link with name `{}`"
        api, other = "acme:pricing/api", "acme:pricing/none"
        for interface, name in ((api, "dear"), (api, "default"), (other, "cheap")):
            assert await choose(guest, name, interface) == Err(said.format(interface, name))
        assert await choose(guest, "cheap", api) == Ok()
        assert await guest.call("api#whose", 1) == 21


async def test_a_call_traps_where_nothing_is_chosen_and_no_link_is_the_default(
    tmp_path: Path,
) -> None:
    told = links("cheap", "dear")
    imports = LATTICE + PRICING
    async with driven(tmp_path, imports, links=told, providers=PROVIDERS) as (guest, gateway):
        events = Told(gateway)
        with pytest.raises(Stopped):
            await guest.call("api#whose", 1)
        assert events.of("driven").trap is TrapKind.CALLEE_NOT_FOUND


async def test_what_the_gateway_provides_is_the_default_of_what_is_linked_by_a_name(
    tmp_path: Path,
) -> None:
    class Values:
        async def get(self, key: str) -> str | None:
            return f"linked {key}"

    told = [{"import": "wasi:config/store@0.2.0-rc.1", "python": "values", "name": "other"}]
    config, providers = {"name": "ours"}, {"values": Values()}
    async with driven(
        tmp_path, LATTICE + CONFIG, links=told, providers=providers, config=config
    ) as (guest, _):
        assert await guest.call("store#get", "name") == Ok("ours")
        assert await choose(guest, "other", "wasi:config/store") == Ok()
        assert await guest.call("store#get", "name") == Ok("linked name")
        assert await choose(guest, "default", "wasi:config/store") == Ok()
        assert await guest.call("store#get", "name") == Ok("ours")


async def test_what_is_provided_to_all_has_the_default_link_and_what_is_not_granted_has_none(
    tmp_path: Path,
) -> None:
    async with driven(tmp_path, LATTICE, allowed_outbound_hosts=("http://a.test",)) as (guest, _):
        for granted in ("wasi:http/types", "wasi:http/outgoing-handler", "wasi:clocks/wall-clock"):
            assert await choose(guest, "default", granted) == Ok()
        for not_granted in ("wasi:keyvalue/store", "wasi:blobstore/blobstore", "wasi:http/nothing"):
            assert await choose(guest, "default", not_granted) == Err(
                f"interface `{not_granted}` does not have an existing link with name `default`"
            )


def test_a_host_that_a_component_answers_for_is_a_link_of_the_outgoing_handler(
    tmp_path: Path,
) -> None:
    told = [{"host": "pricing.internal", "component": "pricing"}]
    config = ComponentConfig.model_validate({"name": "shop", "source": tmp_path, "links": told})
    assert set(link_names(config, {})["wasi:http/outgoing-handler"]) == {"default"}
    assert "wasi:keyvalue/store" not in link_names(config, {})


CLIENT: Final = """
  (import "wasi:http/types@0.2.12" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "outgoing-request" (type $request (sub resource)))
    (export "[constructor]outgoing-request"
      (func (param "headers" (own $fields)) (result (own $request))))
    (export "[method]outgoing-request.set-authority" (func (param "self" (borrow $request))
      (param "authority" (option string)) (result (result))))
    (export "[method]outgoing-request.set-path-with-query" (func (param "self" (borrow $request))
      (param "path-with-query" (option string)) (result (result))))
    (type $denied (variant (case "HTTP-request-denied")))
    (export "error-code" (type $code (eq $denied)))
    (export "future-incoming-response" (type $future (sub resource)))))
  (alias export $types "error-code" (type $code))
  (alias export $types "outgoing-request" (type $request))
  (alias export $types "future-incoming-response" (type $future))
"""
SENDER: Final = """
  (import {name} (instance
    (alias outer 1 $request (type $outer-request))
    (alias outer 1 $future (type $outer-future))
    (export "outgoing-request" (type $request (eq $outer-request)))
    (alias outer 1 $code (type $outer-code))
    (export "future-incoming-response" (type $future (eq $outer-future)))
    (export "error-code" (type $code (eq $outer-code)))
    (export "handle" (func (param "request" (own $request)) (param "options" (option u8))
      (result (result (own $future) (error $code)))))))
"""
OUTGOING: Final = "wasi:http/outgoing-handler"


async def test_what_answers_for_a_host_is_chosen_by_name_and_by_label(
    guest: GuestPath, tmp_path: Path
) -> None:
    """A name that no link of a host has is as good as none where it is a label."""
    others = [
        ComponentConfig.model_validate({"name": name, "source": guest("c/hello"), "routes": ()})
        for name in ("first", "second", "third")
    ]
    told = [
        {"host": "pricing.internal", "component": "first"},
        {"host": "pricing.internal", "component": "second", "name": "second"},
        {"host": "only.internal", "component": "third", "name": "third"},
    ]
    own = f"{OUTGOING}@0.2.12"
    names = f'"{own}"', f'"second" (implements "{own}")', f'"other" (implements "{own}")'
    imports = LATTICE + CLIENT + "".join(SENDER.format(name=name) for name in names)
    async with driven(tmp_path, imports, *others, links=told) as (caller, gateway):

        async def send(by: str, host: str = "pricing.internal") -> Any:
            headers = await caller.call("types#[constructor]fields")
            request = await caller.call("types#[constructor]outgoing-request", headers)
            await caller.call("types#outgoing-request.set-authority", request, host)
            await caller.call("types#outgoing-request.set-path-with-query", request, "/")
            sent = len(gateway.events)
            outcome = await caller.call(f"{by}#handle", request, None)
            if isinstance(outcome, Err):
                return None
            await gateway.ended(sent + 1)
            return gateway.events[-1].component

        assert await send("outgoing-handler") == "first"
        assert await send("second") == "second"
        assert await send("other") == "first"
        assert await choose(caller, "second", OUTGOING) == Ok()
        assert await send("outgoing-handler") == "second"
        assert await send("outgoing-handler", "only.internal") is None
        assert await choose(caller, "third", OUTGOING) == Ok()
        assert await send("outgoing-handler") is None
        assert await send("outgoing-handler", "only.internal") == "third"
        assert await send("second", "pricing.internal") == "second"
        assert await choose(caller, "default", OUTGOING) == Ok()
        assert await send("outgoing-handler") == "first"


async def test_the_next_handler_of_http_is_chosen_by_name(tmp_path: Path) -> None:
    """wasi:http/incoming-handler and outgoing-handler have links by names as any interface has."""
    handler = "wasi:http/incoming-handler@0.2.0"
    text = tmp_path / "next.wat"
    text.write_text(
        '(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))'
        '(func $f (canon lift (core func $i "f"))) (instance $h (export "handle" (func $f)))'
        f'(export "{handler}" (instance $h)))'
    )
    others = [
        ComponentConfig.model_validate({"name": name, "source": text, "routes": ()})
        for name in ("first", "second")
    ]
    told = [
        {"import": handler, "component": "first"},
        {"import": handler, "component": "second", "name": "second"},
    ]
    imports = f'{LATTICE} (import "{handler}" (instance (export "handle" (func))))'
    async with driven(tmp_path, imports, *others, links=told) as (guest, gateway):
        await guest.call("incoming-handler#handle")
        assert await choose(guest, "second", "wasi:http/incoming-handler") == Ok()
        await guest.call("incoming-handler#handle")
        assert [event.component for event in gateway.events] == ["first", "second"]
        assert await choose(guest, "second", "wasi:http/outgoing-handler") == Err(
            "interface `wasi:http/outgoing-handler` does not have an existing link with name `second`"
        )


STORES: Final = {
    "default": "memory:default",
    "sessions": "memory:sessions",
    "cache": "memory:cache",
    "cache/sessions": "memory:cachedsessions",
}


async def test_a_name_is_the_stores_that_begin_with_it(tmp_path: Path) -> None:
    async with driven(tmp_path, LATTICE + KEYVALUE, keyvalue=STORES) as (guest, _):

        async def put(identifier: str, value: bytes) -> None:
            bucket = (await guest.call("store#open", identifier)).value
            assert await guest.call("store#bucket.set", bucket, "key", value) == Ok()

        async def get(identifier: str) -> Any:
            bucket = (await guest.call("store#open", identifier)).value
            return (await guest.call("store#bucket.get", bucket, "key")).value

        store = "wasi:keyvalue/store"
        await put("", b"default")
        await put("sessions", b"sessions")
        await put("cache", b"cache")
        assert await guest.call("store#open", "cache/sessions") == NONE
        assert await choose(guest, "cache", store) == Ok()
        assert (await get(""), await get("default")) == (b"cache", b"cache")
        assert await get("sessions") is None
        await put("sessions", b"cached")
        assert await guest.call("store#open", "cache") == NONE
        assert await choose(guest, "default", store) == Ok()
        assert (await get(""), await get("sessions")) == (b"default", b"sessions")
        assert await choose(guest, "none", store) == Err(
            f"interface `{store}` does not have an existing link with name `none`"
        )


async def test_each_interface_of_a_store_has_a_choice_of_its_own(tmp_path: Path) -> None:
    """store, atomics and batch: a bucket is an identifier, and each call goes by the choice of its interface."""
    async with driven(tmp_path, LATTICE + KEYVALUE, keyvalue=STORES) as (guest, _):
        call = guest.call
        bucket = (await call("store#open", "sessions")).value
        assert await choose(guest, "cache", "wasi:keyvalue/atomics") == Ok()
        assert await call("atomics#increment", bucket, "key", 5) == Ok(5)
        assert await call("store#bucket.get", bucket, "key") == Ok(None)
        assert await choose(guest, "cache", "wasi:keyvalue/batch") == Ok()
        assert await call("batch#get-many", bucket, ["key"]) == Ok([("key", b"5")])
        assert await choose(guest, "default", "wasi:keyvalue/batch") == Ok()
        assert await call("batch#set-many", bucket, [("key", b"7")]) == Ok()
        assert await call("store#bucket.get", bucket, "key") == Ok(b"7")
        assert await choose(guest, "cache", "wasi:keyvalue/store") == Ok()
        assert await call("store#bucket.get", bucket, "key") == Ok(b"5")
        assert await choose(guest, "sessions", "wasi:keyvalue/store") == Ok()
        assert await call("store#bucket.get", bucket, "key") == NONE


async def test_keys_are_identifiers_to_a_component_that_knows_no_names(tmp_path: Path) -> None:
    async with driven(tmp_path, KEYVALUE, keyvalue=STORES) as (guest, _):
        for identifier in STORES:
            assert isinstance(await guest.call("store#open", identifier), Ok)


async def test_a_name_is_the_containers_that_begin_with_it(tmp_path: Path) -> None:
    """Containers go by the choice of wasi:blobstore/blobstore, or of container where there is one."""
    blobs = {
        "c": "memory:blobs",
        "other/c": {"url": "memory:other", "max_objects": 1},
        "all/*": "memory:all",
    }
    denied = Err("access-denied: the container is not granted to this component")
    async with driven(tmp_path, LATTICE + BLOBSTORE, blobstore=blobs) as (guest, _):
        call = guest.call
        interface = "wasi:blobstore/blobstore"
        container = (await call("blobstore#create-container", "c")).value
        assert await call("blobstore#create-container", "other/c") == denied
        assert await choose(guest, "other", interface) == Ok()
        assert await call("blobstore#container-exists", "c") == Ok(False)
        there = (await call("blobstore#create-container", "c")).value
        await write(guest, there, "object")
        assert await call("container#container.has-object", container, "object") == Ok(True)
        assert await call("blobstore#get-container", "elsewhere") == denied
        assert await choose(guest, "default", interface) == Ok()
        assert await call("container#container.has-object", there, "object") == Ok(False)
        assert await choose(guest, "other", "wasi:blobstore/container") == Ok()
        assert await call("container#container.has-object", there, "object") == Ok(True)
        assert await choose(guest, "all", interface) == Ok()
        assert isinstance(await call("blobstore#create-container", "elsewhere"), Ok)
        assert await choose(guest, "c", interface) == Err(
            f"interface `{interface}` does not have an existing link with name `c`"
        )


async def write(guest: DrivenGuest, container: int, name: str) -> None:
    """Have the guest write an empty object."""
    value = await guest.call("types#outgoing-value.new-outgoing-value")
    assert await guest.call("container#container.write-data", container, name, value) == Ok()
    assert await guest.call("types#outgoing-value.finish", value) == Ok()


async def test_a_link_that_is_refused_is_told_by_its_name(tmp_path: Path) -> None:
    told = [{"import": API, "component": "nobody", "name": "cheap"}]
    with pytest.raises(ComponentError, match=f'link of "{API}" by the name "cheap": there is no'):
        async with driven(tmp_path, PRICING, links=told):
            pass
