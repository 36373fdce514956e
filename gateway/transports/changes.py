"""Changes of key-value stores that a component is told of, by its `wasi:keyvalue/watcher`.

It is told of each that others make in a store which it watches, once in this worker. What it has written itself
it knows, and would never come to an end if it wrote whenever it was told.

Source: `wasi:keyvalue@0.2.0-draft` and `@0.2.0-draft2`, `watch.wit`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from gateway.bindings.keyvalue import BucketHandle
from gateway.capabilities.keyvalue import Change
from gateway.capabilities.subscription import Subscription
from gateway.http.trace_context import TraceContext
from gateway.observe.events import KeyvalueWatcherOnDeleteReturned, KeyvalueWatcherOnSetReturned
from gateway.observe.telemetry import Span, Tracer
from gateway.serving.backend_grants import Watched
from gateway.serving.handlers import Watcher
from gateway.serving.service import Service
from gateway.transports.deliveries import Deliveries, Delivery

__all__ = ["Changes", "watches"]


def watches(services: Iterable[Service]) -> Iterator[Changes]:
    """Those of components in service."""
    for service in services:
        watcher = service.handlers.watcher
        if watcher is not None:
            for watched in service.grants.backends.watched:
                yield Changes(service, watcher, watched)


class Changes(Deliveries[Change]):
    """The changes of one store.

    Args:
        service: the component.
        watcher: what it is told by.
        watched: the store.
    """

    what = "changes"
    by = "store"

    def __init__(self, service: Service, watcher: Watcher, watched: Watched) -> None:
        grant = watched.grant
        super().__init__(service, watched.store, watched.identifier, grant, grant.max_value)
        self._watcher = watcher
        self._watched = watched

    @property
    def identity(self) -> Hashable:
        """That of the part of the store, too: `Transport.identity`."""
        return super().identity, self._watched.grant.prefix

    def subscribe(self) -> Subscription[Change]:
        """`Deliveries.subscribe`."""
        return self._watched.bucket.watch(self._watched.identifier, self.take)

    def size(self, item: Change) -> int:
        """`Deliveries.size`."""
        return len(item.value or b"")

    def delivery(self, item: Change) -> Delivery:
        """`Deliveries.delivery`."""
        handle, watcher = (
            BucketHandle(self._watched.granted, self._watched.identifier),
            self._watcher,
        )
        if item.value is None:
            return Delivery(watcher.on_delete, (handle, item.key), KeyvalueWatcherOnDeleteReturned)
        return Delivery(
            watcher.on_set, (handle, item.key, item.value), KeyvalueWatcherOnSetReturned
        )

    def span(self, item: Change, tracer: Tracer, trace: TraceContext, request_id: str) -> Span:  # noqa: ARG002
        """`Deliveries.span`."""
        return tracer.change(trace, self.backend.kind, self.route, request_id)
