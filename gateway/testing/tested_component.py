"""A component under test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx

from gateway.config import ServerConfig
from gateway.observe.events import ReturnEvent
from gateway.opened.component import BlockingComponent, Component
from gateway.opened.content import Content
from gateway.opened.opening import open as open_component
from gateway.server.app_server import serving
from gateway.testing.clock import Clock
from gateway.testing.key_value import KeyValue
from gateway.testing.outbound import Outbound
from gateway.testing.secret_store import Secrets

__all__ = ["TestedComponent", "with_fakes"]


class TestedComponent:
    """A component with fakes for what it reaches; made by `with_fakes`.

    Args:
        component: the component, opened.
        events: where its return events go.
        outbound: the servers that it talks to.
        clock: the time that it sees.

    Attributes:
        outbound: ditto.
        clock: ditto.
        url: where it is served, `http://127.0.0.1:PORT`; empty where it is not.
    """

    __test__ = False  # no class of tests

    def __init__(
        self,
        component: BlockingComponent,
        events: list[ReturnEvent],
        outbound: Outbound,
        clock: Clock,
    ) -> None:
        self._component = component
        self._events = events
        self.outbound = outbound
        self.clock = clock
        self.url = ""

    @property
    def types(self) -> SimpleNamespace:
        """The classes of its values: `gateway.BlockingComponent.types`."""
        return self._component.types

    @property
    def events(self) -> list[ReturnEvent]:
        """The return events of what has ended so far, in order."""
        self._component.hand_over_events()
        return list(self._events)

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method: `gateway.BlockingComponent.call`."""
        return self._component.call(method, *args, **kwargs)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send an HTTP request to its handler, in the process.

        Args:
            method: the method.
            path: the path, with a query if there is one.
            **options: as of `httpx.request`, such as `content`, `json` and `headers`.
        """
        asked = partial(_request, self._component.component, method, path, options)
        return self._component.portal.call(asked)


async def _request(
    app: Component, method: str, path: str, options: Mapping[str, Any]
) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://component.test") as client:
        return await client.request(method, path, **options)


@contextlib.contextmanager
def with_fakes(
    source: Content,
    *,
    served: bool = False,
    keyvalue: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str | bytes] | Secrets | None = None,
    outbound: Outbound | None = None,
    clock: Clock | None = None,
    **keys: Any,
) -> Iterator[TestedComponent]:
    """Open a component for a test.

    Args:
        source: as of `gateway.open`.
        served: whether it listens on a free port of the loopback interface too.
        keyvalue: as the key of that name; a `KeyValue` may be in the place of a URL.
        secrets: what it may reveal, by name: the secrets themselves, and no URLs.
        outbound: the servers that it talks to; ones that have no answers by default.
        clock: the time that it sees; by default it stands at the beginning of 2000.
        **keys: more, as of `gateway.open`.
    """
    outbound = Outbound() if outbound is None else outbound
    clock = Clock() if clock is None else clock
    backends: dict[str, dict[str, Any]] = {}
    if keyvalue is not None:
        stores = backends["keyvalue"] = {}
        keys["keyvalue"] = {name: _lent(grant, stores) for name, grant in keyvalue.items()}
    if secrets is not None:
        kept = secrets if isinstance(secrets, Secrets) else Secrets(secrets)
        backends["secrets"] = {"testing": kept}
        keys["secrets"] = dict.fromkeys(kept.values, "testing:")
    events: list[ReturnEvent] = []
    with open_component(
        source,
        on_event=events.append,
        backends=backends,
        hosts=outbound,
        wall_clock=clock.time_ns,
        **keys,
    ) as component:
        made = TestedComponent(component, events, outbound, clock)
        with _listening(component, made) if served else contextlib.nullcontext():
            yield made


def _lent(grant: Any, stores: dict[str, Any]) -> Any:
    """What the configuration has for a store: the URL by which it is lent, where it is one of ours."""
    if not isinstance(grant, KeyValue):
        return grant
    known = (scheme for scheme, store in stores.items() if store is grant)
    scheme = next(known, f"testing{len(stores)}")
    stores[scheme] = grant
    return f"{scheme}:"


@contextlib.contextmanager
def _listening(component: BlockingComponent, made: TestedComponent) -> Iterator[None]:
    served = serving(component.component, ServerConfig(port=0))
    with component.portal.wrap_async_context_manager(served) as made.url:
        yield
