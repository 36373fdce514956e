"""Opening a component without a server: `gateway.open`.

What is opened is compiled and linked once for the same content and keys, however often that is: the last ones stay
in memory (`gateway.opened.shelf`). All else is each opening's own: what its guests have open, its stores and its
events.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any

from anyio.from_thread import start_blocking_portal
from starlette.types import ASGIApp

from gateway.capabilities.worker import Lent
from gateway.observe.event_queue import Sink
from gateway.opened.component import BlockingComponent, Component
from gateway.opened.content import Content, content_of
from gateway.opened.loading import Loading, Options

__all__ = ["Opening", "open"]


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
    return Opening(source, Options(keys, on_event, hosts, wall_clock, backends, providers))


class Opening:
    """A component that is about to be opened, once.

    Args:
        source: as of `open`.
        options: ditto, the rest.
    """

    def __init__(self, source: Content, options: Options) -> None:
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


@contextlib.asynccontextmanager
async def _opened(source: Content, options: Options) -> AsyncIterator[Component]:
    content = await content_of(source)
    loaded = await Loading(content, options).in_thread()
    component = Component(loaded.generation)
    try:
        loaded.generation.start()
        loaded.runtime.backends.look()
        yield component
    finally:
        component.close()
        await loaded.aclose()
