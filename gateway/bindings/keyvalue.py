"""`wasi:keyvalue`: stores that the operator has granted a component, by the identifiers that it opens.

There are two drafts, with the same functions in other types: cursors of `list-keys` are numbers or strings,
`increment` is unsigned or signed, and only the second has `cas` and `swap`. Spin's has the name of the second and
pairs what `get-many` returns otherwise. Which one a component was built for is seen from the types of its imports.

A component opens what its configuration names: any other identifier is `no-such-store`, and a change of what it
may only read is `access-denied`. What goes wrong with a store is `other`, within the time that it has to answer.

A bucket is an identifier: which store has it each function asks anew, by the link that is chosen for its
interface (`gateway.bindings.lattice`), as in wasmCloud. Where that is not the link by which the bucket was opened,
and has no store of this identifier, the function returns `no-such-store`. One that was opened by an import with a
label stays with that.

Source: `wasi:keyvalue@0.2.0-draft` and `@0.2.0-draft2`, `store.wit`, `atomics.wit`, `batch.wit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

from gateway.bindings.context import DEFAULT_LINK, State, WasiCtx
from gateway.bindings.fallible import fallible_async
from gateway.bindings.granted import Granted
from gateway.capabilities.backend import BackendError
from gateway.capabilities.keyvalue import Bucket, Current
from gateway.capabilities.keyvalue.store import MAX_KEY, MAX_KEYS
from gateway.capabilities.operations import Operation, Operations
from gateway.host import wit
from gateway.host.binding import HostInterface
from gateway.host.table import Resource
from gateway.host.values import Err, Variant

__all__ = ["DEFAULT", "INTERFACES", "BucketHandle", "GrantedBucket", "KeyValueCtx"]

T = TypeVar("T")

DEFAULT: Final = "default"
"""What a component gets that opens "": Wasmtime knows its store by no name, Spin and wasmCloud by this one."""

MAX_SEEN: Final = 16 << 20
"""Bytes that the values of the `cas` of one invocation have. Threat: a guest that makes 100,000 of them, each with
a large value in the memory of the host. As much as its HTTP bodies may have."""


class Refused(Exception):
    """A case of `error`, without a payload.

    Args:
        case: `no-such-store` or `access-denied`.
    """

    def __init__(self, case: str) -> None:
        super().__init__(case)
        self.case = case


class GrantedBucket(Granted):
    """A bucket as one component may use it.

    Args:
        bucket: the bucket.
        operations: what is done with the store that it is in.
        read_only: whether the component may change nothing.

    Attributes:
        bucket: ditto.
    """

    def __init__(self, bucket: Bucket, operations: Operations, *, read_only: bool = False) -> None:
        super().__init__(operations, read_only=read_only)
        self.bucket: Final = bucket

    def denied(self) -> Refused:
        """`access-denied`: `Granted.denied`."""
        return Refused("access-denied")


class KeyValueCtx(State):
    """The stores of an invocation.

    Args:
        buckets: those that it may open, by the names of links and by identifier.

    Attributes:
        seen: bytes of the values that its `cas` have.
    """

    __slots__ = ("_buckets", "seen")

    def __init__(
        self, buckets: Mapping[str, Mapping[str, GrantedBucket]] = MappingProxyType({})
    ) -> None:
        self._buckets = buckets
        self.seen = 0

    def bucket(self, link_name: str, identifier: str) -> GrantedBucket:
        """The store of an identifier; "" is the default one.

        Raises:
            Refused: there is none.
        """
        granted = self._buckets.get(link_name, {}).get(identifier or DEFAULT)
        if granted is None:
            raise Refused("no-such-store")
        return granted


class BucketHandle(Resource):
    """`bucket`.

    Args:
        granted: what it was opened as.
        identifier: what by.
        link_name: and by which link.
        label: and by an import with which label, if with one.
    """

    __slots__ = ("_granted", "_identifier", "_label", "_link_name")

    def __init__(
        self,
        granted: GrantedBucket,
        identifier: str,
        link_name: str = DEFAULT_LINK,
        label: str = "",
    ) -> None:
        self._granted = granted
        self._identifier = identifier
        self._link_name = link_name
        self._label = label

    def granted(self, ctx: WasiCtx, what: Operation) -> GrantedBucket:
        """What it is to an operation, by the link that is chosen for the interface of that.

        Raises:
            Refused: nothing.
        """
        link_name = self._label or ctx.link_name(what.interface)
        if link_name == self._link_name:
            return self._granted
        return ctx.of(KeyValueCtx).bucket(link_name, self._identifier)


class Cas(Resource):
    """`cas`: a key, and what it had when somebody looked.

    Raises:
        BackendError: the invocation has too much of such values.
    """

    __slots__ = ("_ctx", "granted", "key", "seen")

    def __init__(self, ctx: KeyValueCtx, granted: GrantedBucket, key: str, seen: Current) -> None:
        size = len(seen.value or b"")
        if ctx.seen + size > MAX_SEEN:
            raise BackendError(
                f"the values of cas that are not dropped have more than {MAX_SEEN} bytes: drop some of them"
            )
        ctx.seen += size
        self._ctx = ctx
        self.granted = granted
        self.key = key
        self.seen = seen

    def drop(self) -> None:
        """Forget the value."""
        self._ctx.seen -= len(self.seen.value or b"")


def _error(failure: BackendError | Refused) -> Variant:
    """The `error` of what went wrong."""
    return (
        Variant(failure.case) if isinstance(failure, Refused) else Variant("other", failure.message)
    )


def _cas_error(failure: BackendError | Refused) -> Variant:
    return Variant("store-error", _error(failure))


_fallible = fallible_async(BackendError, Refused, err=_error)


def _key(key: str) -> str:
    """Refuse a key that not every store takes.

    Raises:
        BackendError: it is empty or too long.
    """
    if not key or len(key.encode()) > MAX_KEY:
        raise BackendError(f"a key must have 1 to {MAX_KEY} bytes")
    return key


def _few(items: Sequence[T]) -> Sequence[T]:
    """Refuse too many of something at once.

    Raises:
        BackendError: there are more than `MAX_KEYS`.
    """
    if len(items) > MAX_KEYS:
        raise BackendError(f"{len(items)} keys at once are too many: {MAX_KEYS} are the most")
    return items


# --- the interfaces ----------------------------------------------------------------------------------------


class _Drafts:
    """An interface in both drafts: what is declared here is declared for each.

    Args:
        name: its name in the package.
    """

    def __init__(self, name: str) -> None:
        self.name = f"wasi:keyvalue/{name}"
        self.interfaces = tuple(
            HostInterface(self.name, version, carries_bytes=True, key="keyvalue")
            for version in ("0.2.0-draft", "0.2.0-draft2")
        )

    def function(
        self, name: str, *, of: Callable[[wit.Function], bool] | None = None
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare a function, by its WIT name; `of` as of `HostInterface.function`."""

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            for interface in self.interfaces:
                interface.function(name, blocking=True, of=of)(function)
            return function

        return declare

    def operation(self, name: str) -> Operation:
        """What metrics call a function of it."""
        return Operation(self.name, name)


store = _Drafts("store")
atomics = _Drafts("atomics")
batch = _Drafts("batch")
INTERFACES = (*store.interfaces, *atomics.interfaces, *batch.interfaces)

_GET: Final = store.operation("get")
_SET: Final = store.operation("set")
_DELETE: Final = store.operation("delete")
_EXISTS: Final = store.operation("exists")
_LIST_KEYS: Final = store.operation("list-keys")
_INCREMENT: Final = atomics.operation("increment")
_NEW_CAS: Final = atomics.operation("cas.new")
_SWAP: Final = atomics.operation("swap")
_GET_MANY: Final = batch.operation("get-many")
_SET_MANY: Final = batch.operation("set-many")
_DELETE_MANY: Final = batch.operation("delete-many")


@store.function("open")
@_fallible
async def open_(ctx: WasiCtx, identifier: str) -> BucketHandle:
    """The store of an identifier; "" is the default one."""
    link_name = ctx.link_name(store.name)
    granted = ctx.of(KeyValueCtx).bucket(link_name, identifier)
    return BucketHandle(granted, identifier, link_name, ctx.label)


@store.function("[method]bucket.get")
@_fallible
async def get(ctx: WasiCtx, this: BucketHandle, key: str) -> bytes | None:
    """The value of a key; none where it is missing."""
    granted = this.granted(ctx, _GET)
    return await granted.read(ctx, _GET, granted.bucket.get, _key(key))


@store.function("[method]bucket.set")
@_fallible
async def set_(ctx: WasiCtx, this: BucketHandle, key: str, value: bytes) -> None:
    """Set a key."""
    granted = this.granted(ctx, _SET)
    await granted.write(ctx, _SET, granted.bucket.set, _key(key), value)


@store.function("[method]bucket.delete")
@_fallible
async def delete(ctx: WasiCtx, this: BucketHandle, key: str) -> None:
    """Remove a key, if it is there."""
    granted = this.granted(ctx, _DELETE)
    await granted.write(ctx, _DELETE, granted.bucket.delete, _key(key))


@store.function("[method]bucket.exists")
@_fallible
async def exists(ctx: WasiCtx, this: BucketHandle, key: str) -> bool:
    """Whether a key is there."""
    granted = this.granted(ctx, _EXISTS)
    return await granted.read(ctx, _EXISTS, granted.bucket.exists, _key(key))


@store.function("[method]bucket.list-keys")
@_fallible
async def list_keys(ctx: WasiCtx, this: BucketHandle, cursor: int | None) -> dict[str, Any]:
    """Some of the keys, and where the next are; no cursor after the last."""
    granted = this.granted(ctx, _LIST_KEYS)
    page = await granted.read(ctx, _LIST_KEYS, granted.bucket.keys, cursor or 0)
    return {"keys": page.keys, "cursor": page.cursor}


@store.function(
    "[method]bucket.list-keys",
    of=lambda ty: wit.Option(wit.Integer(64, signed=False)) != ty.params[1][1],
)
@_fallible
async def list_keys_by_text(ctx: WasiCtx, this: BucketHandle, cursor: str | None) -> dict[str, Any]:
    """The same in the second draft, whose cursors are strings."""
    if cursor is not None and not (
        cursor.isascii() and cursor.isdecimal() and len(cursor) <= _DIGITS
    ):
        raise BackendError("the cursor is not one that list-keys has returned")
    granted = this.granted(ctx, _LIST_KEYS)
    page = await granted.read(ctx, _LIST_KEYS, granted.bucket.keys, int(cursor or 0))
    return {"keys": page.keys, "cursor": None if page.cursor is None else str(page.cursor)}


@atomics.function("increment")
@_fallible
async def increment(ctx: WasiCtx, this: BucketHandle, key: str, delta: int) -> int:
    """Add to a number, from 0 where there is none; gives the sum."""
    granted = this.granted(ctx, _INCREMENT)
    return await granted.write(
        ctx, _INCREMENT, granted.bucket.increment, _key(key), delta, 0, _MAX_U64
    )


@atomics.function("increment", of=lambda ty: wit.Integer(64, signed=True) == ty.params[2][1])
@_fallible
async def increment_signed(ctx: WasiCtx, this: BucketHandle, key: str, delta: int) -> int:
    """The same in the second draft, whose numbers have a sign."""
    granted = this.granted(ctx, _INCREMENT)
    return await granted.write(
        ctx, _INCREMENT, granted.bucket.increment, _key(key), delta, _MIN_S64, _MAX_S64
    )


@atomics.function("[static]cas.new")
@_fallible
async def new_cas(ctx: WasiCtx, this: BucketHandle, key: str) -> Cas:
    """Look at a key, to `swap` its value later."""
    return await _look(ctx, this.granted(ctx, _NEW_CAS), _key(key))


@atomics.function("[method]cas.current")
@_fallible
async def current(_ctx: WasiCtx, this: Cas) -> bytes | None:
    """The value that the key had then."""
    return this.seen.value


@atomics.function("swap")
@fallible_async(BackendError, Refused, err=_cas_error)
async def swap(ctx: WasiCtx, this: Cas, value: bytes) -> Err | None:
    """Set the key if nobody has since; otherwise gives what it has now, to try again."""
    granted = this.granted
    this.drop()
    if await granted.write(ctx, _SWAP, granted.bucket.swap, this.key, this.seen.version, value):
        return None
    return Err(Variant("cas-failed", await _look(ctx, granted, this.key)))


async def _look(ctx: WasiCtx, granted: GrantedBucket, key: str) -> Cas:
    seen = await granted.read(ctx, _NEW_CAS, granted.bucket.current, key)
    return Cas(ctx.of(KeyValueCtx), granted, key, seen)


@batch.function("get-many")
@_fallible
async def get_many(
    ctx: WasiCtx, this: BucketHandle, keys: Sequence[str]
) -> list[tuple[str, bytes] | None]:
    """Keys and values, in order; none for each key that is missing."""
    values = await _get_many(ctx, this, keys)
    return [None if value is None else (key, value) for key, value in values]


@batch.function("get-many", of=lambda ty: "list<tuple<" in str(ty))
@_fallible
async def get_many_as_spin(
    ctx: WasiCtx, this: BucketHandle, keys: Sequence[str]
) -> list[tuple[str, bytes | None]]:
    """The same in Spin's draft, which returns each key, with none for a value that is missing."""
    return await _get_many(ctx, this, keys)


async def _get_many(
    ctx: WasiCtx, this: BucketHandle, keys: Sequence[str]
) -> list[tuple[str, bytes | None]]:
    keys = list(map(_key, _few(keys)))
    granted = this.granted(ctx, _GET_MANY)
    values = await granted.read(ctx, _GET_MANY, granted.bucket.get_many, keys)
    return list(zip(keys, values, strict=True))


@batch.function("set-many")
@_fallible
async def set_many(
    ctx: WasiCtx, this: BucketHandle, key_values: Sequence[tuple[str, bytes]]
) -> None:
    """Set several keys; the last value counts of one that is there twice."""
    values = {_key(key): value for key, value in _few(key_values)}
    granted = this.granted(ctx, _SET_MANY)
    await granted.write(ctx, _SET_MANY, granted.bucket.set_many, values)


@batch.function("delete-many")
@_fallible
async def delete_many(ctx: WasiCtx, this: BucketHandle, keys: Sequence[str]) -> None:
    """Remove several keys, as far as they are there."""
    granted = this.granted(ctx, _DELETE_MANY)
    await granted.write(ctx, _DELETE_MANY, granted.bucket.delete_many, list(map(_key, _few(keys))))


_MIN_S64: Final = -(1 << 63)
_MAX_S64: Final = (1 << 63) - 1
_MAX_U64: Final = (1 << 64) - 1
_DIGITS: Final = 20
"""Those of the largest cursor."""
