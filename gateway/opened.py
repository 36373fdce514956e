"""A component alone, without a server: `gateway.open`.

What is opened is compiled and linked once for the same content and keys, however often that is: the last ones stay
in memory. All else is each opening's own: what its guests have open, its stores, its events.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import os
import sys
import tempfile
import threading
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace, TracebackType
from typing import IO, Any, Final, Protocol, TypeAlias

from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.calls.errors import Stopped
from gateway.capabilities.worker import Lent
from gateway.config import ComponentConfig, GatewayConfig, ServerConfig
from gateway.config.file import opened
from gateway.host.compiler import Compiler
from gateway.host.component import MAX_SIZE, read_file
from gateway.host.errors import ComponentError
from gateway.lifecycle.generation import Generation
from gateway.links.asgi import AsgiHosts
from gateway.observe import log
from gateway.observe.event_queue import Sink
from gateway.serving.admission import Admission
from gateway.serving.loading import Prepared, compile_limits, prepare
from gateway.serving.runtime import Runtime

__all__ = ["MAX_KEPT", "BlockingComponent", "Component", "Content", "Opening", "open"]

MAX_KEPT: Final = 8
"""Components that stay compiled and linked when nobody has them open. Threat: memory, and address space for their
pools. Arbitrary: a test run or a job opens a few."""

_PIECE: Final = 1 << 20
"""Bytes that are read of a file at once. Arbitrary."""


class AsyncFile(Protocol):
    """What is read by awaiting, such as an upload of Starlette."""

    async def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes; none at the end."""


Content: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | AsyncFile
    | AsyncIterable[bytes]
)
"""Where a component comes from: a path, its bytes, or what these are read from."""


def open(  # noqa: A001 - as `gateway.open`
    source: Content,
    /,
    *,
    on_event: Sink | None = None,
    hosts: Mapping[str, ASGIApp] | None = None,
    wall_clock: Callable[[], int] | None = None,
    backends: Lent = MappingProxyType({}),
    providers: Mapping[str, object] = MappingProxyType({}),
    **keys: Any,
) -> Opening:
    """Open a component, to call its functions without a server.

    With `async with` its methods are awaited; with `with` they block, from any thread, and guests run on an event
    loop of their own.

    Args:
        source: a path, the bytes, or a file or an asynchronous stream that has them, which is not closed.
        on_event: called with the return event of each call.
        hosts: ASGI applications that answer HTTP requests of the component, by the names that these go to: in the
            place of servers, and of grants. It is looked at for each request.
        wall_clock: gives the time of day that it sees, in nanoseconds since 1970; what it is by default.
        backends: as of `gateway.create_app`.
        providers: ditto.
        **keys: keys of `[[components]]` and `[server]` of a configuration, such as `max_memory="64MiB"` or
            `environment={"LOG": "debug"}`, with the same defaults; and `name`, what it is called in the log.

    Returns:
        A context manager for a `Component` or a `BlockingComponent`. Entering it raises
        `gateway.ComponentError` where the component is refused, and `gateway.ConfigError` where a key is.
    """
    return Opening(source, _Options(keys, on_event, hosts, wall_clock, backends, providers))


@dataclass(frozen=True, slots=True)
class _Options:
    keys: Mapping[str, Any]
    on_event: Sink | None
    hosts: Mapping[str, ASGIApp] | None
    wall_clock: Callable[[], int] | None
    backends: Lent
    providers: Mapping[str, object]


class Opening:
    """A component that is about to be opened, once.

    Args:
        source: as of `open`.
        options: ditto, the rest.
    """

    def __init__(self, source: Content, options: _Options) -> None:
        self._source = source
        self._options = options
        self._exits = contextlib.AsyncExitStack()
        self._blocking = contextlib.ExitStack()

    async def __aenter__(self) -> Component:
        return await self._exits.enter_async_context(_opened(self._source, self._options))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._exits.__aexit__(kind, error, traceback)

    def __enter__(self) -> BlockingComponent:
        with contextlib.ExitStack() as exits:
            portal = exits.enter_context(start_blocking_portal())
            component = exits.enter_context(
                portal.wrap_async_context_manager(_opened(self._source, self._options))
            )
            self._blocking = exits.pop_all()
        return BlockingComponent(component, portal)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._blocking.__exit__(kind, error, traceback)


class Component:
    """A component that is open: its methods are coroutines, and it is an ASGI application for its HTTP requests.

    Args:
        generation: what it is served by.

    Attributes:
        name: what it is called in the log, and in events.
        digest: the SHA-256 of its content, in hexadecimal.
        methods: the names of its methods, the short ones where they have some.
    """

    def __init__(self, generation: Generation) -> None:
        (service,) = generation.services
        self._generation = generation
        self._channel = service.channel
        self._loop = asyncio.get_running_loop()
        self._open = True
        self.name = service.name
        self.digest = service.digest
        self.methods = tuple(each.short or each.name for each in service.methods.served)

    @property
    def types(self) -> SimpleNamespace:
        """The classes of its values, by the names that `gateway client` gives them."""
        return self._generation.calls(self.name).types

    async def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method, on the event loop that it was opened on: `gateway.app.Gateway.call`.

        Raises:
            gateway.CallFailed: it returned nothing; each subclass says why, and `CallError` has its err.
            RuntimeError: this is another event loop.
        """
        if not self._open:
            raise Stopped(f"component {self.name} is closed")
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                f"component {self.name} was opened on another event loop: hand the call over to that one, or "
                "open it using `with`, and any thread may call"
            )
        return await self._generation.call(self.name, method, args, kwargs)

    def hand_over_events(self) -> None:
        """Have `on_event` called for all that has ended, which happens soon otherwise."""
        self._channel.flush()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request, as an ASGI application."""
        if scope["type"] != "http":
            raise ValueError(f"an opened component serves HTTP requests, no {scope['type']!r}")
        if not self._open:
            raise Stopped(f"component {self.name} is closed")
        await self._generation(scope, receive, send)


class BlockingComponent:
    """A component that is open, with methods that block; any thread may call them.

    Args:
        component: the component.
        portal: leads to the event loop of its guests.

    Attributes:
        component: the same on that event loop, where it is an ASGI application too.
        portal: ditto.
    """

    def __init__(self, component: Component, portal: BlockingPortal) -> None:
        self.component = component
        self.portal = portal

    @property
    def name(self) -> str:
        """What it is called in the log, and in events."""
        return self.component.name

    @property
    def digest(self) -> str:
        """The SHA-256 of its content, in hexadecimal."""
        return self.component.digest

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of its methods, the short ones where they have some."""
        return self.component.methods

    @property
    def types(self) -> SimpleNamespace:
        """The classes of its values, by the names that `gateway client` gives them."""
        return self.component.types

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method, and wait for what it returns: `Component.call`.

        Raises:
            gateway.CallFailed: it returned nothing; each subclass says why, and `CallError` has its err.
        """
        return self.portal.call(partial(self.component.call, method, *args, **kwargs))

    def hand_over_events(self) -> None:
        """Have `on_event` called for all that has ended, which happens soon otherwise."""
        self.portal.call(self.component.hand_over_events)


@contextlib.asynccontextmanager
async def _opened(source: Content, options: _Options) -> AsyncIterator[Component]:
    content = await _content(source)
    loaded = await _Loading(content, options).in_thread()
    component = Component(loaded.generation)
    try:
        loaded.generation.start()
        loaded.runtime.backends.look()
        yield component
    finally:
        component._open = False
        await loaded.aclose()


@dataclass(eq=False, slots=True)
class _Kept:
    """A component that was compiled and, where it has no links, linked.

    Attributes:
        digest: the SHA-256 of its content.
        config: with which keys, but for its place.
        server: ditto.
        admission: the places of its invocations, of which there are as many as its pools are made for.
        prepared: it itself, once it is ready.
        making: held by who makes it ready.
        users: how many have it open.
        loop: where they do.
    """

    digest: str
    config: ComponentConfig
    server: ServerConfig
    admission: Admission
    prepared: Prepared | None = None
    making: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    loop: weakref.ref[asyncio.AbstractEventLoop] | None = None


class _Shelf:
    """What is open, and the last that was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []

    def take(self, wanted: _Kept, loop: asyncio.AbstractEventLoop) -> _Kept:
        """Have a component of this content and these keys, made or to be made, until it is given back.

        One that is open on another loop is another, of which only the compiled form is shared: a place of its
        admission belongs to one loop.
        """
        with self._lock:
            same = [
                each
                for each in self._kept
                if (each.digest, each.config, each.server)
                == (wanted.digest, wanted.config, wanted.server)
            ]
            for found in same:
                if not found.users or (found.loop is not None and found.loop() is loop):
                    break
            else:
                found = wanted
                for each in same:
                    if each.prepared is not None:
                        found.prepared = each.prepared._replace(linked=None)
            if found in self._kept:
                self._kept.remove(found)
            self._kept.append(found)
            found.users += 1
            found.loop = weakref.ref(loop)
            return found

    def give_back(self, kept: _Kept) -> None:
        """Have it no more."""
        with self._lock:
            kept.users -= 1
            unused = [each for each in self._kept if not each.users]
            wanting = [each for each in unused if each.prepared is None]
            for each in (*wanting, *unused[: max(0, len(unused) - len(wanting) - MAX_KEPT)]):
                if each in self._kept:
                    self._kept.remove(each)


_shelf: Final = _Shelf()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What one opening has."""

    kept: _Kept
    runtime: Runtime
    generation: Generation

    async def aclose(self) -> None:
        """Stop what is under way, and close what it has open."""
        try:
            self.generation.stop_calls()
            await self.generation.retire()
        finally:
            self.runtime.channel.flush()
            _shelf.give_back(self.kept)


class _Loading:
    """Compiles and links a component, or takes what was before.

    Args:
        content: the component, or where it is.
        options: how it is to be opened.
    """

    def __init__(self, content: Path | bytes, options: _Options) -> None:
        self._content = content
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._compiler: Compiler | None = None
        self._stopped = False

    async def in_thread(self) -> _Loaded:
        """Do it, while others run."""
        loading = self._loop.create_task(asyncio.to_thread(self._load))
        try:
            return await asyncio.shield(loading)
        except asyncio.CancelledError:
            self._stopped = True
            if self._compiler is not None:
                self._compiler.stop()
            await asyncio.wait([loading])
            if not loading.cancelled() and loading.exception() is None:
                await loading.result().aclose()
            raise

    def _load(self) -> _Loaded:
        with contextlib.ExitStack() as exits:
            if isinstance(self._content, Path):
                path = self._content
            else:
                folder = exits.enter_context(tempfile.TemporaryDirectory(prefix="gateway-"))
                path = Path(folder, "component.wasm")
                path.write_bytes(self._content)
            config = opened(path, **{"metrics": False, **self._options.keys})
            log.embed(config.server)
            (component,) = config.components
            with contextlib.ExitStack() as taken:
                kept = _shelf.take(_kept_as(component, config.server), self._loop)
                taken.callback(_shelf.give_back, kept)
                runtime = Runtime(
                    config.server,
                    lent=self._options.backends,
                    providers=self._options.providers,
                    admission=kept.admission,
                )
                if self._options.on_event is not None:
                    runtime.channel.add_sink(self._options.on_event)
                if self._options.hosts is not None:
                    runtime.hosts = AsgiHosts(self._options.hosts)
                runtime.wall_clock = self._options.wall_clock
                with kept.making:
                    generation = self._make(kept, component, config, runtime)
                taken.pop_all()
            return _Loaded(kept, runtime, generation)

    def _make(
        self, kept: _Kept, component: ComponentConfig, config: GatewayConfig, runtime: Runtime
    ) -> Generation:
        if kept.prepared is None:
            self._compiler = Compiler(compile_limits(config.server))
            if self._stopped:
                self._compiler.stop()
            (kept.prepared,) = prepare([component], config.server, runtime, self._compiler)
        generation = Generation(1, config, [kept.prepared._replace(config=component)], runtime, {})
        if not component.links:
            (service,) = generation.services
            kept.prepared = Prepared.of(service)._replace(linked=service.linked)
        return generation


def _kept_as(component: ComponentConfig, server: ServerConfig) -> _Kept:
    try:
        data = read_file(component.source)
    except OSError:
        data = None  # which is told of when it is prepared
    return _Kept(
        hashlib.sha256(data or b"").hexdigest(),
        component.model_copy(update={"source": Path("component.wasm")}),
        server,
        Admission(min(component.max_concurrency, server.max_in_flight or sys.maxsize)),
    )


async def _content(source: Content) -> Path | bytes:
    """A path, or all that a source has.

    Raises:
        ComponentError: that is too much.
        TypeError: it is none of those that can be opened.
    """
    if isinstance(source, str | os.PathLike):
        return Path(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    data = bytearray()
    async for piece in _pieces(source):
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise TypeError(f"a component is bytes, and {source!r} gives {type(piece).__name__}")
        data += piece
        if len(data) > MAX_SIZE:
            raise ComponentError(
                f"{source!r}: larger than {MAX_SIZE >> 20} MiB, the most that is loaded."
            )
    return bytes(data)


async def _pieces(source: Any) -> AsyncIterator[Any]:
    if hasattr(source, "read"):
        waits = inspect.iscoroutinefunction(source.read)
        while piece := await (
            source.read(_PIECE) if waits else asyncio.to_thread(source.read, _PIECE)
        ):
            yield piece
    elif hasattr(source, "__aiter__"):
        async for piece in source:
            yield piece
    else:
        raise TypeError(
            f"a component is opened from a path, bytes, a file or an asynchronous stream, not {source!r}"
        )
