"""All that was made of one configuration. A gateway has one at a time, and replaces it as a whole.

The components of the next are put in service beside those of the present one, with the same engines; what has
not changed is not linked again. Requests end where they began; when the last of them has, the old generation is
closed, and what nobody else uses of it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from gateway.calls.component_calls import ComponentCalls
from gateway.calls.errors import NotFound
from gateway.config import GatewayConfig
from gateway.host.errors import ComponentError
from gateway.observe.events import Interrupted
from gateway.routes.dispatcher import Dispatcher, Endpoint
from gateway.routes.redirects import RedirectEndpoint
from gateway.serving.loading import Prepared, make_services
from gateway.serving.runtime import Runtime
from gateway.serving.service import Service
from gateway.transports.changes import watches
from gateway.transports.messages import subscriptions
from gateway.transports.transport import Transport
from gateway.transports.wrpc import listeners

__all__ = ["Generation"]

READY: Final = 5.0
"""Seconds that a generation waits until its transports take what comes, before the one before it takes no more.
Arbitrary: a broker that is there needs a round trip, and for one that is not there nothing is lost."""


class Generation:
    """The components of a configuration, and the way to them.

    Attributes:
        number: 1 for the first of a gateway.
        config: what it was made of.
        services: the components, in the order of the configuration.
    """

    def __init__(
        self,
        number: int,
        config: GatewayConfig,
        prepared: Sequence[Prepared],
        runtime: Runtime,
        operations: Mapping[str, Endpoint],
    ) -> None:
        """Link everything. Needs no event loop, and may be done in a thread.

        Args:
            number: how many there have been, this one included.
            config: what to make.
            prepared: its components, in the order of the configuration.
            runtime: what outlives it.
            operations: the operational routes beside the components'.

        Raises:
            ComponentError: a component is refused; the message names each that is.
        """
        self.number = number
        self.config = config
        self.services: list[Service] = make_services(config, prepared, runtime)
        try:
            self._dispatcher = Dispatcher(
                self.services,
                config.server,
                operations,
                runtime.tracer,
                beside=[(each, RedirectEndpoint(each)) for each in config.server.redirects],
                pages=config.server.pages,
            )
        except ComponentError:
            for service in self.services:
                service.grants.abandon()
            raise
        self._transports: tuple[Transport, ...] = (
            *subscriptions(self.services),
            *watches(self.services),
            *listeners(self.services, config.server),
        )
        self._calls: dict[str, ComponentCalls] = {}
        self._requests = 0
        self._idle: asyncio.Future[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self._requests += 1
        try:
            await self._dispatcher(scope, receive, send)
        finally:
            self._requests -= 1
            if not self._requests and self._idle is not None:
                self._rest(self._idle)

    async def call(
        self, component: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a method of a component: `ComponentCalls.call`.

        Raises:
            CallFailed: it returned nothing, or there is no such component.
        """
        self._requests += 1
        try:
            return await self.calls(component).call(method, args, kwargs)
        finally:
            self._requests -= 1
            if not self._requests and self._idle is not None:
                self._rest(self._idle)

    def calls(self, component: str) -> ComponentCalls:
        """Calls of a component, by its name.

        Raises:
            NotFound: there is none.
        """
        found = self._calls.get(component)
        if found is None:
            service = next((it for it in self.services if it.name == component), None)
            if service is None:
                names = ", ".join(it.name for it in self.services)
                raise NotFound(f'there is no component "{component}": there are {names or "none"}')
            found = ComponentCalls(service, self.config.server.rpc_max_result)
            self._calls[component] = found
        return found

    @staticmethod
    def _rest(idle: asyncio.Future[None]) -> None:
        """Tell who waits that nothing is under way."""
        if not idle.done():
            idle.set_result(None)

    @property
    def busy(self) -> bool:
        """Whether anything that came otherwise than by HTTP is still to be finished."""
        return any(transport.busy for transport in self._transports)

    def troubles(self) -> list[str]:
        """Why something does not come that should, otherwise than by HTTP, and which ends of links are away."""
        away = [
            f"component {service.name}, {trouble}"
            for service in self.services
            for trouble in service.links.troubles()
        ]
        return [*(it.trouble for it in self._transports if it.trouble), *away]

    def start(self, before: Generation | None = None) -> None:
        """Begin to take what comes otherwise than by HTTP, on the event loop.

        Args:
            before: the generation that does so until now.
        """
        present = {} if before is None else {it.identity: it for it in before._transports}
        for transport in self._transports:
            transport.start(present.get(transport.identity))

    def drain(self) -> None:
        """Take no more of that from outside of this worker."""
        for transport in self._transports:
            transport.drain(inside=False)

    async def ready(self) -> None:
        """Wait until all that comes is taken, as long as that can be expected to take."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY):
                for transport in self._transports:
                    await transport.ready()

    def stop_calls(self) -> int:
        """Stop every invocation that is under way; returns how many there were."""
        for transport in self._transports:
            transport.abandon()
        under_way = [work for service in self.services for work in service.under_way]
        for work in under_way:
            work.stop(Interrupted("the gateway is stopping"))
        return len(under_way)

    async def retire(self) -> None:
        """Wait until the last request of it has been answered, and close it."""
        self.drain()
        if self._requests:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        await self._finished()
        await self.aclose()

    async def _finished(self) -> None:
        for transport in self._transports:
            transport.drain(inside=True)
        for transport in self._transports:
            await transport.finished()
        # What goes on in one component may have others begin something.
        while any(service.going_on for service in self.services):
            for service in self.services:
                await service.finished()

    async def aclose(self) -> None:
        """Close what its components have open outside of themselves, when what they have taken is finished.

        They have the time for that which requests have when the gateway stops. May be called again.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.server.shutdown_timeout):
                await self._finished()
        for transport in self._transports:
            await transport.aclose()
        for service in self.services:
            service.gate.close()
            await service.aclose()
