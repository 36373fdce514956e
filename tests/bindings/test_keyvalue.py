"""wasi:keyvalue: what a component finds under each of its names, and what it is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.bindings import keyvalue
from gateway.bindings.context import Caller, WasiCtx
from gateway.bindings.keyvalue import MAX_SEEN, GrantedBucket, KeyValueCtx
from gateway.capabilities.keyvalue import Quota
from gateway.capabilities.keyvalue.sqlite import SQLiteStore
from gateway.capabilities.operations import Operations
from gateway.host.errors import InvocationError
from gateway.host.values import Err, Ok, Variant
from tests.bindings.told import Told
from tests.driven_guest import DrivenGuest, driven_guest, driving

pytestmark = pytest.mark.anyio


def imports(version: str, cursor: str, number: str, found: str, cas: str = "") -> str:
    return f"""
      (import "wasi:keyvalue/store@{version}" (instance $store
        (type $variant (variant (case "no-such-store") (case "access-denied") (case "other" string)))
        (export "error" (type $error (eq $variant)))
        (type $record (record (field "keys" (list string)) (field "cursor" (option {cursor}))))
        (export "key-response" (type $page (eq $record)))
        (export "bucket" (type $bucket (sub resource)))
        (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))
        (type $self (borrow $bucket))
        (export "[method]bucket.get" (func (param "self" $self) (param "key" string)
          (result (result (option (list u8)) (error $error)))))
        (export "[method]bucket.set" (func (param "self" $self) (param "key" string)
          (param "value" (list u8)) (result (result (error $error)))))
        (export "[method]bucket.delete" (func (param "self" $self) (param "key" string)
          (result (result (error $error)))))
        (export "[method]bucket.exists" (func (param "self" $self) (param "key" string)
          (result (result bool (error $error)))))
        (export "[method]bucket.list-keys" (func (param "self" $self)
          (param "cursor" (option {cursor})) (result (result $page (error $error)))))))
      (alias export $store "bucket" (type $bucket))
      (alias export $store "error" (type $error))
      (import "wasi:keyvalue/atomics@{version}" (instance
        (alias outer 1 $bucket (type $outer-bucket))
        (alias outer 1 $error (type $outer-error))
        (export "bucket" (type $bucket (eq $outer-bucket)))
        (export "error" (type $error (eq $outer-error)))
        (export "increment" (func (param "bucket" (borrow $bucket)) (param "key" string)
          (param "delta" {number}) (result (result {number} (error $error))))){cas}))
      (import "wasi:keyvalue/batch@{version}" (instance
        (alias outer 1 $bucket (type $outer-bucket))
        (alias outer 1 $error (type $outer-error))
        (export "bucket" (type $bucket (eq $outer-bucket)))
        (export "error" (type $error (eq $outer-error)))
        (export "get-many" (func (param "bucket" (borrow $bucket)) (param "keys" (list string))
          (result (result (list {found}) (error $error)))))
        (export "set-many" (func (param "bucket" (borrow $bucket))
          (param "key-values" (list (tuple string (list u8)))) (result (result (error $error)))))
        (export "delete-many" (func (param "bucket" (borrow $bucket)) (param "keys" (list string))
          (result (result (error $error)))))))
    """


CAS = """
        (export "cas" (type $cas (sub resource)))
        (type $variant (variant (case "store-error" $error) (case "cas-failed" (own $cas))))
        (export "cas-error" (type $cas-error (eq $variant)))
        (export "[static]cas.new" (func (param "bucket" (borrow $bucket)) (param "key" string)
          (result (result (own $cas) (error $error)))))
        (export "[method]cas.current" (func (param "self" (borrow $cas))
          (result (result (option (list u8)) (error $error)))))
        (export "swap" (func (param "cas" (own $cas)) (param "value" (list u8))
          (result (result (error $cas-error)))))
"""

FIRST = imports("0.2.0-draft", "u64", "u64", "(option (tuple string (list u8)))")
SECOND = imports("0.2.0-draft2", "string", "s64", "(option (tuple string (list u8)))", CAS)
SPIN = imports("0.2.0-draft2", "string", "s64", "(tuple string (option (list u8)))", CAS)
DRAFTS = pytest.mark.parametrize("draft", [FIRST, SECOND, SPIN], ids=["draft", "draft2", "spin"])
SECONDS = pytest.mark.parametrize("draft", [SECOND, SPIN], ids=["draft2", "spin"])


@asynccontextmanager
async def opened(
    draft: str, told: Told | None = None, store: SQLiteStore | None = None
) -> AsyncIterator[tuple[DrivenGuest, int]]:
    """A guest that has opened its store; it may open another as "read-only"."""
    store = store or SQLiteStore(None)
    bucket = store.bucket("", Quota(1 << 20))
    operations = Operations("shop", store.kind, on_operation=told)
    granted = KeyValueCtx(
        {
            "default": {
                "default": GrantedBucket(bucket, operations),
                "read-only": GrantedBucket(bucket, operations, read_only=True),
            }
        }
    )
    ctx = WasiCtx(granted, caller=Caller("shop", "1"))
    async with driving(driven_guest(draft), keyvalue.INTERFACES, ctx) as guest:
        yield guest, (await guest.call("store#open", "default")).value
    await store.aclose()


@DRAFTS
async def test_a_store_keeps_values(draft: str) -> None:
    """wasi:keyvalue/store: `get` of what is missing is none, and `delete` of it is fine."""
    async with opened(draft) as (guest, bucket):
        call = guest.call
        assert await call("store#bucket.get", bucket, "key") == Ok(None)
        assert await call("store#bucket.exists", bucket, "key") == Ok(False)
        assert await call("store#bucket.set", bucket, "key", b"\x00\xff") == Ok()
        assert await call("store#bucket.get", bucket, "key") == Ok(b"\x00\xff")
        assert await call("store#bucket.exists", bucket, "key") == Ok(True)
        page = (await call("store#bucket.list-keys", bucket, None)).value
        assert page == {"keys": ["key"], "cursor": None}
        assert await call("store#bucket.delete", bucket, "key") == Ok()
        assert await call("store#bucket.delete", bucket, "key") == Ok()
        assert await call("store#bucket.get", bucket, "key") == Ok(None)


@DRAFTS
async def test_many_are_returned_as_the_draft_has_it(draft: str) -> None:
    """wasi:keyvalue/batch: `get-many` keeps order and length; Spin's type for it tells that it is Spin's."""
    async with opened(draft) as (guest, bucket):
        values = [("a", b"1"), ("b", b""), ("a", b"2")]
        assert await guest.call("batch#set-many", bucket, values) == Ok()
        missing = ("x", None) if draft is SPIN else None
        found = await guest.call("batch#get-many", bucket, ["b", "x", "a"])
        assert found == Ok([("b", b""), missing, ("a", b"2")])
        assert await guest.call("batch#delete-many", bucket, ["a", "x"]) == Ok()
        assert await guest.call("store#bucket.get", bucket, "a") == Ok(None)


@DRAFTS
async def test_a_list_of_keys_goes_on_at_its_cursor(draft: str) -> None:
    """wasi:keyvalue/store: cursors are u64, in draft2 strings; one past the end gives nothing."""
    async with opened(draft) as (guest, bucket):
        keys = [f"{number:04}" for number in range(1001)]
        for some in (keys[:1000], keys[1000:]):
            assert await guest.call("batch#set-many", bucket, [(key, b"") for key in some]) == Ok()
        first = (await guest.call("store#bucket.list-keys", bucket, None)).value
        assert isinstance(first["cursor"], int if draft is FIRST else str)
        second = (await guest.call("store#bucket.list-keys", bucket, first["cursor"])).value
        assert first["keys"] + second["keys"] == keys
        assert second["cursor"] is None
        past = (1 << 64) - 1 if draft is FIRST else str((1 << 64) - 1)
        nothing: dict[str, Any] = {"keys": [], "cursor": None}
        assert await guest.call("store#bucket.list-keys", bucket, past) == Ok(nothing)


@SECONDS
@pytest.mark.parametrize("cursor", ["", "x", "-1", "1" * 21, "\u0663"])
async def test_a_cursor_of_its_own_making_is_refused(draft: str, cursor: str) -> None:
    """wasi:keyvalue/store, draft2: a cursor that is none is `other`; Spin has that of any."""
    async with opened(draft) as (guest, bucket):
        answer = await guest.call("store#bucket.list-keys", bucket, cursor)
        assert answer.value.case == "other"


async def test_the_first_draft_counts_without_a_sign() -> None:
    """wasi:keyvalue/atomics: u64; from 0, kept as decimal text; overflow is `other`."""
    async with opened(FIRST) as (guest, bucket):
        assert await guest.call("atomics#increment", bucket, "n", (1 << 64) - 1) == Ok(
            (1 << 64) - 1
        )
        assert (await guest.call("atomics#increment", bucket, "n", 1)).value.case == "other"
        assert await guest.call("store#bucket.get", bucket, "n") == Ok(str((1 << 64) - 1).encode())
        await guest.call("store#bucket.set", bucket, "n", b"-3")
        assert (await guest.call("atomics#increment", bucket, "n", 2)).value.case == "other"


@SECONDS
async def test_the_second_draft_counts_with_a_sign(draft: str) -> None:
    """wasi:keyvalue/atomics, draft2: s64, from 0; no number is `other`; unlike Spin's, decimal text."""
    async with opened(draft) as (guest, bucket):
        assert await guest.call("atomics#increment", bucket, "n", -5) == Ok(-5)
        assert await guest.call("atomics#increment", bucket, "n", 3) == Ok(-2)
        await guest.call("store#bucket.set", bucket, "n", b"many")
        assert (await guest.call("atomics#increment", bucket, "n", 3)).value.case == "other"


@SECONDS
async def test_a_swap_that_comes_too_late_gets_a_fresh_cas(draft: str) -> None:
    """wasi:keyvalue/atomics, draft2: `swap` consumes the cas; `cas-failed` has a fresh one."""
    async with opened(draft) as (guest, bucket):
        first = (await guest.call("atomics#cas.new", bucket, "key")).value
        assert await guest.call("atomics#cas.current", first) == Ok(None)
        await guest.call("store#bucket.set", bucket, "key", b"theirs")
        late = await guest.call("atomics#swap", first, b"ours")
        assert late.value.case == "cas-failed"
        fresh = late.value.payload
        assert await guest.call("atomics#cas.current", fresh) == Ok(b"theirs")
        assert await guest.call("atomics#swap", fresh, b"ours") == Ok()
        assert await guest.call("store#bucket.get", bucket, "key") == Ok(b"ours")
        with pytest.raises(InvocationError, match="handle"):
            await guest.call("atomics#cas.current", fresh)


@SECONDS
async def test_the_values_that_cas_have_are_bounded(draft: str) -> None:
    async with opened(draft) as (guest, bucket):
        new, swap = "atomics#cas.new", "atomics#swap"
        value = b"x" * (1 << 20)
        await guest.call("store#bucket.set", bucket, "key", value)
        held = [(await guest.call(new, bucket, "key")).value for _ in range(MAX_SEEN >> 20)]
        refused = await guest.call(new, bucket, "key")
        assert "drop some of them" in refused.value.payload
        assert (await guest.call(new, bucket, "other")).value  # which has no value
        assert await guest.call(swap, held.pop(), b"1") == Ok()
        late = await guest.call(swap, held.pop(), value)  # it is given back, with the value of now
        assert await guest.call("atomics#cas.current", late.value.payload) == Ok(b"1")
        assert await guest.call(swap, late.value.payload, value) == Ok()
        for _ in range(2):
            assert isinstance(await guest.call(new, bucket, "key"), Ok)
        assert isinstance(await guest.call(new, bucket, "key"), Err)


@DRAFTS
async def test_what_a_store_cannot_do_is_an_error(draft: str) -> None:
    """wasi:keyvalue: what the store cannot do is `other`, of every function; in wasmCloud 1, some trap."""
    store = SQLiteStore(None)
    async with opened(draft, store=store) as (guest, bucket):
        failed = Err(Variant("other", "the store is not available"))
        cas = "atomics#cas.new"
        seen = None if draft is FIRST else (await guest.call(cas, bucket, "key")).value
        assert await guest.call("store#bucket.get", bucket, "key") == Ok(None)
        await store.aclose()
        assert isinstance(await guest.call("store#open", ""), Ok)
        operations: list[tuple[str, *tuple[Any, ...]]] = [
            ("store#bucket.get", "key"),
            ("store#bucket.set", "key", b""),
            ("store#bucket.delete", "key"),
            ("store#bucket.exists", "key"),
            ("store#bucket.list-keys", None),
            ("atomics#increment", "key", 1),
            ("batch#get-many", ["key"]),
            ("batch#set-many", [("key", b"")]),
            ("batch#delete-many", ["key"]),
            *([] if seen is None else [(cas, "key")]),
        ]
        for function, *args in operations:
            assert await guest.call(function, bucket, *args) == failed, function
        if seen is not None:
            late = await guest.call("atomics#swap", seen, b"")
            assert late == Err(Variant("store-error", failed.value))


@DRAFTS
async def test_what_may_only_be_read_is_not_changed(draft: str) -> None:
    """wasi:keyvalue: a change of what may only be read is `access-denied`."""
    told = Told("memory")
    async with opened(draft, told) as (guest, bucket):
        denied = Err(Variant("access-denied"))
        await guest.call("store#bucket.set", bucket, "key", b"1")
        ours = (await guest.call("store#open", "read-only")).value
        assert await guest.call("store#bucket.get", ours, "key") == Ok(b"1")
        assert await guest.call("store#bucket.set", ours, "key", b"2") == denied
        assert await guest.call("store#bucket.delete", ours, "key") == denied
        assert await guest.call("atomics#increment", ours, "n", 1) == denied
        assert await guest.call("batch#set-many", ours, [("key", b"2")]) == denied
        assert await guest.call("batch#delete-many", ours, ["key"]) == denied
        assert await guest.call("store#bucket.get", ours, "key") == Ok(b"1")
    assert told.operations == [
        ("set", "ok"),
        ("get", "ok"),
        ("set", "refused"),
        ("delete", "refused"),
        ("increment", "refused"),
        ("set-many", "refused"),
        ("delete-many", "refused"),
        ("get", "ok"),
    ]


@SECONDS
async def test_no_swap_of_what_may_only_be_read(draft: str) -> None:
    """wasi:keyvalue/atomics, draft2: an error of the store is the `store-error` of `swap`."""
    async with opened(draft) as (guest, _):
        ours = (await guest.call("store#open", "read-only")).value
        cas = (await guest.call("atomics#cas.new", ours, "key")).value
        answer = await guest.call("atomics#swap", cas, b"1")
        assert answer == Err(Variant("store-error", Variant("access-denied")))


@DRAFTS
async def test_a_component_opens_what_it_is_granted(draft: str) -> None:
    """wasi:keyvalue/store: `open` of "" and "default"; else `no-such-store` (`access-denied` in Spin)."""
    async with opened(draft) as (guest, bucket):
        await guest.call("store#bucket.set", bucket, "key", b"1")
        unnamed = (await guest.call("store#open", "")).value
        assert await guest.call("store#bucket.get", unnamed, "key") == Ok(b"1")
        assert await guest.call("store#open", "other") == Err(Variant("no-such-store"))
    async with driving(driven_guest(draft), keyvalue.INTERFACES) as guest:
        assert await guest.call("store#open", "") == Err(Variant("no-such-store"))
        assert await guest.call("store#open", "default") == Err(Variant("no-such-store"))


@DRAFTS
@pytest.mark.parametrize("key", ["", "k" * 1025, "ä" * 513], ids=["empty", "long", "wide"])
async def test_a_key_that_not_every_store_takes_is_refused(draft: str, key: str) -> None:
    async with opened(draft) as (guest, bucket):
        expected = Err(Variant("other", "a key must have 1 to 1024 bytes"))
        assert await guest.call("store#bucket.get", bucket, key) == expected
        assert await guest.call("store#bucket.set", bucket, key, b"") == expected
        assert await guest.call("batch#get-many", bucket, ["fine", key]) == expected
        assert await guest.call("batch#set-many", bucket, [("fine", b""), (key, b"")]) == expected
        assert await guest.call("store#bucket.exists", bucket, "fine") == Ok(False)


@DRAFTS
async def test_so_many_keys_are_the_most_at_once(draft: str) -> None:
    async with opened(draft) as (guest, bucket):
        keys = [f"{number}" for number in range(1025)]
        values = [(key, b"") for key in keys]
        many = Err(Variant("other", "1025 keys at once are too many: 1024 are the most"))
        assert await guest.call("batch#set-many", bucket, values) == many
        assert await guest.call("batch#get-many", bucket, keys) == many
        assert await guest.call("batch#delete-many", bucket, keys) == many
        assert (await guest.call("store#bucket.list-keys", bucket, None)).value["keys"] == []
