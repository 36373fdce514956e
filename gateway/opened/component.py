"""A component that is open."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any

from anyio.from_thread import BlockingPortal
from starlette.types import Receive, Scope, Send

from gateway.calls.errors import Stopped
from gateway.lifecycle.generation import Generation

__all__ = ["BlockingComponent", "Component"]


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

    def close(self) -> None:
        """Take no more calls, nor requests. Who has opened it closes it."""
        self._open = False

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
