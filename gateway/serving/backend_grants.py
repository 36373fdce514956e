"""What a component may use that stands behind capabilities: its parts in backends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

from gateway.bindings.blobstore import ALL, BlobstoreCtx, GrantedSpace
from gateway.bindings.context import State
from gateway.bindings.descriptors import UNCOUNTED, Share
from gateway.bindings.keyvalue import DEFAULT, GrantedBucket, KeyValueCtx
from gateway.bindings.messaging import GrantedBroker, MessagingCtx
from gateway.bindings.secrets import GrantedSecret, SecretsCtx
from gateway.capabilities import blobstore, secrets
from gateway.capabilities.backend import Backend, Backends, BackendUnusable, Lease
from gateway.capabilities.keyvalue import KeyValueStore, Quota, WatchableBucket, WatchableStore
from gateway.capabilities.messaging import Broker, DurableBroker
from gateway.capabilities.operations import OnOperation, Operations
from gateway.capabilities.worker import WorkerBackends
from gateway.config import ComponentConfig
from gateway.config.backend_url import BackendURL
from gateway.config.grant import BackendGrant, BlobstoreGrant, KeyValueGrant, SecretGrant
from gateway.config.messaging import MessagingGrant
from gateway.host.errors import ComponentError
from gateway.observe.telemetry import Tracer
from gateway.policy.rate import Rate
from gateway.policy.subject import SubjectPolicy
from gateway.serving.grantee import Maker
from gateway.serving.link_names import by_link, split_key

__all__ = ["BackendGrants", "Watched"]

B = TypeVar("B", bound=Backend)
G = TypeVar("G", bound=BackendGrant)
T = TypeVar("T")

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
        named: whether the component knows links by their names, as of `link_names.chooses`.

    Attributes:
        broker: what carries its messages; None where it has none.
        watched: the stores whose changes it is told of.
        names: the names of links by which it has some, by key of the configuration.

    Raises:
        ComponentError: some backends cannot be used; the message has a line for each of them.
    """

    def __init__(
        self,
        config: ComponentConfig,
        backends: WorkerBackends,
        share: Share,
        *,
        tracer: Tracer | None = None,
        on_operation: OnOperation | None = None,
        named: bool = False,
    ) -> None:
        self._share = share
        self._named = named
        self._operations = _Operations(config.name, on_operation, tracer)
        self._leases: list[Lease[Any]] = []
        self._messaging: GrantedBroker | None = None
        self._refused: list[str] = []
        self.watched: list[Watched] = []
        self._config = config
        self._backends = backends
        self._buckets = by_link(
            self._each("keyvalue", config.keyvalue, self._bucket), named, DEFAULT
        )
        self._spaces = by_link(self._each("blobstore", config.blobstore, self._space), named)
        self.names = {"keyvalue": self._buckets.keys(), "blobstore": self._spaces.keys()}
        self._secrets = self._each("secrets", config.secrets, self._secret)
        self.broker: Broker | None = None
        if (grant := config.messaging) is not None:
            with self._refusing("messaging"):
                self.broker = self._find_broker(grant)
        if self._refused:
            self.abandon()
            raise ComponentError("\n".join(self._refused))

    def _each(self, key: str, grants: Mapping[str, G], take: Callable[[str, G], T]) -> dict[str, T]:
        """Take part in what each grant of a key names, as far as that can be used."""
        taken = {}
        for name, grant in grants.items():
            with self._refusing(f'{key} "{name}"'):
                taken[name] = take(name, grant)
        return taken

    @contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        """Note that the component is refused where what it is granted cannot be used."""
        try:
            yield
        except BackendUnusable as error:
            config = self._config
            self._refused.append(f"{config.source}: {what} of component {config.name}: {error}")

    def _bucket(self, identifier: str, grant: KeyValueGrant) -> GrantedBucket:
        store = self._lease(self._backends.keyvalue, grant.url)
        quota = Quota(grant.max_value, grant.max_keys, grant.max_bytes)
        watchable: WatchableBucket | None = None
        watches = any(each.watch for each in self._config.keyvalue.values())
        if watches and isinstance(store, WatchableStore):
            watchable = store.watchable_bucket(grant.prefix, quota, self._config.name)
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
        return granted

    def _space(self, key: str, grant: BlobstoreGrant) -> GrantedSpace:
        _, container = split_key(key, self._named)
        store = self._lease(self._backends.blobstore, grant.url)
        quota = blobstore.Quota(grant.max_object, grant.max_objects, grant.max_bytes)
        space = store.space(grant.prefix, None if container == ALL else container, quota)
        return GrantedSpace(
            space,
            self._operations.on(store, grant),
            share=self._share if store.waits else UNCOUNTED,
            read_only=grant.read_only,
        )

    def _secret(self, key: str, grant: SecretGrant) -> GrantedSecret:
        url, name = secrets.split_name(grant.url, grant.name or key)
        source = self._lease(self._backends.secrets, url)
        source.check(name)
        return GrantedSecret(source, name, self._operations.on(source, grant))

    def _find_broker(self, grant: MessagingGrant) -> Broker:
        broker = self._lease(self._backends.messaging, grant.url)
        streams = any(each.jetstream is not None for each in grant.subscriptions)
        if streams and not isinstance(broker, DurableBroker):
            raise BackendUnusable(
                'is a broker without streams: leave jetstream out, or use "nats://HOST:PORT"'
            )
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

    def _lease(self, backends: Backends[B], url: BackendURL) -> B:
        lease = backends.lease(url)
        self._leases.append(lease)
        return lease.backend

    def makers(self) -> Iterator[tuple[type[State], Maker]]:
        """What makes the state of each family that it was granted something of."""
        buckets, spaces, secret, messaging = (
            self._buckets,
            self._spaces,
            self._secrets,
            self._messaging,
        )
        if buckets:
            yield KeyValueCtx, lambda _: KeyValueCtx(buckets)
        if spaces:
            yield BlobstoreCtx, lambda _: BlobstoreCtx(spaces)
        if secret:
            yield SecretsCtx, lambda _: SecretsCtx(secret)
        if messaging is not None:
            yield MessagingCtx, lambda grantee: MessagingCtx(messaging, grantee.answers)

    def abandon(self) -> None:
        """Give up all parts of a component that never served: `WorkerBackends.close_abandoned` does the rest."""
        for lease in self._leases:
            lease.abandon()

    async def aclose(self) -> None:
        """Give back all parts, and close what nobody else has."""
        for spaces in self._spaces.values():
            for space in spaces.values():
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
