"""What one component is given, and may reach outside of itself: nothing that its configuration does not say."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

from gateway.bindings.blobstore import ALL, BlobstoreCtx, GrantedSpace
from gateway.bindings.cli import CliCtx
from gateway.bindings.config import ConfigCtx
from gateway.bindings.context import Caller, State, WasiCtx
from gateway.bindings.descriptors import UNCOUNTED, Descriptors, Share
from gateway.bindings.filesystem import Mount, OpenFiles
from gateway.bindings.http.outbound import OnRequest, OutboundClient
from gateway.bindings.keyvalue import GrantedBucket, KeyValueCtx
from gateway.bindings.logging import Log, LoggingCtx
from gateway.bindings.messaging import GrantedBroker, MessagingCtx
from gateway.bindings.secrets import GrantedSecret, SecretsCtx
from gateway.bindings.sockets import WasiSocketsCtx
from gateway.bindings.stdio import Output
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
from gateway.policy.egress import EgressPolicy, EgressRule
from gateway.policy.subject import SubjectPolicy

__all__ = ["Grants", "Watched"]

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


class Grants:
    """Environment, folders and hosts of a component, from which each invocation gets its context.

    What a component does not import is not made for its invocations.

    Attributes:
        writes: whether it may write to its standard streams, or log.
        broker: what carries its messages; None where it has none.
        watched: the stores whose changes it is told of.

    Args:
        config: what the operator said of the component.
        imports: the names of what it imports.
        tls: what makes the servers that it talks to trusted.
        descriptors: the file descriptors that guests may hold.
        backends: what stands behind the capabilities of a worker's components.
        tracer: what is told of its outbound requests, and of what it does with its stores, if anything is.
        on_outbound_request: what is told how each of the former ended.
        on_operation: and each of the latter.

    Raises:
        ComponentError: a folder that should be mounted cannot be opened, or a backend cannot be used.
    """

    def __init__(
        self,
        config: ComponentConfig,
        imports: Collection[str],
        tls: ssl.SSLContext,
        descriptors: Descriptors,
        backends: WorkerBackends,
        *,
        tracer: Tracer | None = None,
        on_outbound_request: OnRequest | None = None,
        on_operation: OnOperation | None = None,
    ) -> None:
        self._name = config.name
        self._environment = config.environment
        self._arguments = ("main.wasm", *config.arguments)
        self._values = config.config
        self._share = descriptors.share(config.name)
        self._mounts = _open_mounts(config, self._share)
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
        policy = EgressPolicy(map(EgressRule.parse, config.allowed_outbound_hosts))
        self._client = OutboundClient(
            config.name,
            policy,
            tls=tls,
            tracer=tracer,
            on_request=on_outbound_request,
            share=self._share,
        )
        self._has_cli = _imports(imports, "wasi:cli/")
        self._has_log = _imports(imports, "wasi:logging/")
        self.writes = self._has_cli or self._has_log
        self._has_requests = _imports(imports, "wasi:http/outgoing-handler")
        self._has_sockets = _imports(imports, "wasi:sockets/")

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
        )
        return broker

    def _lease(self, backends: Backends[B], grant: BackendGrant) -> B:
        lease = backends.lease(grant.url)
        self._leases.append(lease)
        return lease.backend

    def context(
        self, caller: Caller, output: Output, log: Log, answers: str | None = None
    ) -> WasiCtx:
        """The context of one invocation, to be closed when that ends.

        Args:
            caller: on whose behalf it runs.
            output: where stdout and stderr go.
            log: where it logs.
            answers: the subject at which it may answer, besides those that are granted.
        """
        client = self._client
        granted: list[State] = []
        if self._has_cli:
            granted.append(CliCtx(self._environment, self._arguments, output))
        if self._has_log:
            granted.append(LoggingCtx(log))
        if self._values:
            granted.append(ConfigCtx(self._values))
        if self._mounts:
            granted.append(OpenFiles(self._mounts))
        if self._has_requests:
            granted.append(client.invocation(caller.request_id, caller.trace))
        if self._has_sockets:
            whose = caller.log_context
            granted.append(WasiSocketsCtx(client.policy, client.resolve, whose, share=self._share))
        if self._buckets:
            granted.append(KeyValueCtx(self._buckets))
        if self._spaces:
            granted.append(BlobstoreCtx(self._spaces))
        if self._secrets:
            granted.append(SecretsCtx(self._secrets))
        if self._messaging is not None:
            granted.append(MessagingCtx(self._messaging, answers))
        return WasiCtx(*granted, caller=caller)

    def abandon(self) -> None:
        """Close all of a component that never served, but for backends, see `WorkerBackends.close_abandoned`."""
        self._close_mounts()
        for lease in self._leases:
            lease.abandon()

    async def aclose(self) -> None:
        """Close the folders, which invocations that come later do not find, and every connection."""
        self._close_mounts()
        await self._client.aclose()
        for space in self._spaces.values():
            await space.aclose()
        for lease in self._leases:
            await lease.aclose()

    def _close_mounts(self) -> None:
        for mount in self._mounts:
            mount.close()
        self._mounts = ()


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


def _open_mounts(config: ComponentConfig, share: Share) -> tuple[Mount, ...]:
    mounts: list[Mount] = []
    for mount in config.mounts:
        try:
            mounts.append(Mount(mount.host, mount.guest, writable=mount.writable, share=share))
        except OSError as error:
            for opened in mounts:
                opened.close()
            raise ComponentError(
                f"{mount.host}: cannot be mounted for component {config.name}: {error.strerror}. It must be a "
                "folder that this user may search."
            ) from error
    return tuple(mounts)


def _imports(imports: Collection[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in imports)
