"""What a component may use that stands behind capabilities: its parts in backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

from gateway.bindings.blobstore import ALL, BlobstoreCtx, GrantedSpace
from gateway.bindings.context import State
from gateway.bindings.descriptors import UNCOUNTED, Share
from gateway.bindings.keyvalue import GrantedBucket, KeyValueCtx
from gateway.bindings.messaging import GrantedBroker, MessagingCtx
from gateway.bindings.secrets import GrantedSecret, SecretsCtx
from gateway.capabilities import blobstore
from gateway.capabilities.backend import Backend, Backends, BackendUnusable, Lease
from gateway.capabilities.keyvalue import KeyValueStore, Quota, WatchableBucket, WatchableStore
from gateway.capabilities.messaging import Broker
from gateway.capabilities.operations import OnOperation, Operations
from gateway.capabilities.worker import WorkerBackends
from gateway.config import ComponentConfig
from gateway.config.grant import BackendGrant, KeyValueGrant
from gateway.host.errors import ComponentError
from gateway.observe.telemetry import Tracer
from gateway.policy.rate import Rate
from gateway.policy.subject import SubjectPolicy

__all__ = ["BackendGrants", "Watched"]

B = TypeVar("B", bound=Backend)

_ANY_TIME: Final = 2**32 / 1000
"""Seconds: more than a guest can give a request."""


class Watched(NamedTuple):
    """A store whose changes a component is told of.

    Attributes:
        identifier: what it knows the store by.
        grant: what the operator says of that.
        store: the store.
        bucket: the component's part of it.
        granted: the same as the component may use it.
    """

    identifier: str
    grant: KeyValueGrant
    store: KeyValueStore
    bucket: WatchableBucket
    granted: GrantedBucket


class BackendGrants:
    """The parts of one component in backends.

    Args:
        config: what the operator said of the component.
        backends: those of the worker.
        share: where what it has open takes its places among the file descriptors.
        tracer: what is told of its operations, if anything is.
        on_operation: told how each of them ended.

    Attributes:
        some: whether it has any.
        broker: what carries its messages; None where it has none.
        watched: the stores whose changes it is told of.

    Raises:
        ComponentError: a backend cannot be used.
    """

    def __init__(
        self,
        config: ComponentConfig,
        backends: WorkerBackends,
        share: Share,
        *,
        tracer: Tracer | None = None,
        on_operation: OnOperation | None = None,
    ) -> None:
        self._share = share
        self._operations = _Operations(config.name, on_operation, tracer)
        self._leases: list[Lease[Any]] = []
        self._messaging: GrantedBroker | None = None
        self.watched: list[Watched] = []
        try:
            self._buckets = dict(self._open_buckets(config, backends))
            self._spaces = dict(self._open_spaces(config, backends))
            self._secrets = dict(self._find_secrets(config, backends))
            self.broker = self._find_broker(config, backends)
        except ComponentError:
            self.abandon()
            raise
        self.some = bool(self._leases)

    def _open_buckets(
        self, config: ComponentConfig, backends: WorkerBackends
    ) -> Iterator[tuple[str, GrantedBucket]]:
        watches = any(grant.watch for grant in config.keyvalue.values())
        for identifier, grant in config.keyvalue.items():
            watchable: WatchableBucket | None = None
            with _refusing(config, "keyvalue", identifier):
                store = self._lease(backends.keyvalue, grant)
                quota = Quota(grant.max_value, grant.max_keys, grant.max_bytes)
                if watches and isinstance(store, WatchableStore):
                    watchable = store.watchable_bucket(grant.prefix, quota, config.name)
                elif grant.watch:
                    raise BackendUnusable(
                        "is a store that does not tell of changes: leave watch out, or use another, such as "
                        '"memory:"'
                    )
                bucket = watchable or store.bucket(grant.prefix, quota)
            operations = self._operations.on(store, grant)
            granted = GrantedBucket(bucket, operations, read_only=grant.read_only)
            if watchable is not None and grant.watch:
                self.watched.append(Watched(identifier, grant, store, watchable, granted))
            yield identifier, granted

    def _open_spaces(
        self, config: ComponentConfig, backends: WorkerBackends
    ) -> Iterator[tuple[str, GrantedSpace]]:
        for container, grant in config.blobstore.items():
            with _refusing(config, "blobstore", container):
                store = self._lease(backends.blobstore, grant)
                quota = blobstore.Quota(grant.max_object, grant.max_objects, grant.max_bytes)
                only = None if container == ALL else container
                space = store.space(grant.prefix, only, quota)
            yield (
                container,
                GrantedSpace(
                    space,
                    self._operations.on(store, grant),
                    share=self._share if store.waits else UNCOUNTED,
                    read_only=grant.read_only,
                ),
            )

    def _find_secrets(
        self, config: ComponentConfig, backends: WorkerBackends
    ) -> Iterator[tuple[str, GrantedSecret]]:
        for key, grant in config.secrets.items():
            name = grant.name or key
            with _refusing(config, "secrets", key):
                source = self._lease(backends.secrets, grant)
                source.check(name)
            yield key, GrantedSecret(source, name, self._operations.on(source, grant))

    def _find_broker(self, config: ComponentConfig, backends: WorkerBackends) -> Broker | None:
        grant = config.messaging
        if grant is None:
            return None
        try:
            broker = self._lease(backends.messaging, grant)
        except BackendUnusable as error:
            raise ComponentError(
                f"{config.source}: messaging of component {config.name}: {error}"
            ) from error
        self._messaging = GrantedBroker(
            broker,
            self._operations.on(broker, grant, what="broker"),
            self._operations.on(broker, grant, what="broker", timeout=_ANY_TIME),
            publish=SubjectPolicy(grant.publish),
            hears=SubjectPolicy(each.subject for each in grant.subscriptions),
            max_message=grant.max_message,
            rate=None if grant.max_publish_rate is None else Rate(grant.max_publish_rate),
        )
        return broker

    def _lease(self, backends: Backends[B], grant: BackendGrant) -> B:
        lease = backends.lease(grant.url)
        self._leases.append(lease)
        return lease.backend

    def states(self, answers: str | None = None) -> Iterator[State]:
        """What an invocation has of each family that it was granted something of.

        Args:
            answers: the subject at which it may answer, besides those that are granted.
        """
        if self._buckets:
            yield KeyValueCtx(self._buckets)
        if self._spaces:
            yield BlobstoreCtx(self._spaces)
        if self._secrets:
            yield SecretsCtx(self._secrets)
        if self._messaging is not None:
            yield MessagingCtx(self._messaging, answers)

    def abandon(self) -> None:
        """Give up all parts of a component that never served: `WorkerBackends.close_abandoned` does the rest."""
        for lease in self._leases:
            lease.abandon()

    async def aclose(self) -> None:
        """Give back all parts, and close what nobody else has."""
        for space in self._spaces.values():
            await space.aclose()
        for lease in self._leases:
            await lease.aclose()


class _Operations(NamedTuple):
    """Makes what is told of a component's operations on a backend."""

    component: str
    on_operation: OnOperation | None
    tracer: Tracer | None

    def on(
        self,
        backend: Backend,
        grant: BackendGrant,
        *,
        what: str = "store",
        timeout: float | None = None,
    ) -> Operations:
        if timeout is None and backend.waits:
            timeout = grant.timeout
        return Operations(
            self.component,
            backend.kind,
            timeout=timeout,
            what=what,
            on_operation=self.on_operation,
            tracer=self.tracer,
        )


@contextmanager
def _refusing(config: ComponentConfig, key: str, name: str) -> Iterator[None]:
    """Refuse the component where what it is granted by a key, under a name, cannot be used."""
    try:
        yield
    except BackendUnusable as error:
        raise ComponentError(
            f'{config.source}: {key} "{name}" of component {config.name}: {error}'
        ) from error
