"""What one component is given, and may reach outside of itself: nothing that its configuration does not say."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from gateway.bindings.cli import CliCtx
from gateway.bindings.clocks import ClockCtx
from gateway.bindings.config import ConfigCtx
from gateway.bindings.context import Caller, State, WasiCtx
from gateway.bindings.descriptors import Descriptors, Share
from gateway.bindings.filesystem import Mount, OpenFiles
from gateway.bindings.http.outbound import LinkedHandler, OnRequest, OutboundClient
from gateway.bindings.lattice import LatticeCtx
from gateway.bindings.logging import Log, LoggingCtx
from gateway.bindings.sockets import WasiSocketsCtx
from gateway.bindings.stdio import Output
from gateway.capabilities.operations import OnOperation
from gateway.capabilities.worker import WorkerBackends
from gateway.config import ComponentConfig
from gateway.host import wit
from gateway.host.errors import ComponentError
from gateway.observe.telemetry import Tracer
from gateway.policy.egress import EgressPolicy, EgressRule
from gateway.serving.backend_grants import BackendGrants
from gateway.serving.link_names import chooses, link_names

__all__ = ["Grants"]


class Grants:
    """Environment, folders and hosts of a component, from which each invocation gets its context.

    What a component does not import is not made for its invocations.

    Attributes:
        writes: whether it may write to its standard streams, or log.
        backends: its part in what stands behind capabilities.

    Args:
        config: what the operator said of the component.
        imports: what it imports.
        tls: what makes the servers that it talks to trusted.
        descriptors: the file descriptors that guests may hold.
        backends: what stands behind the capabilities of a worker's components.
        tracer: what is told of its outbound requests, and of what it does with its stores, if anything is.
        on_outbound_request: what is told how each of the former ended.
        on_operation: and each of the latter.
        linked: what answers its requests to names in the place of servers, by the names of links and by those.
        wall_clock: gives the time of day that it sees, in nanoseconds since 1970; None for what it is.

    Raises:
        ComponentError: a folder that should be mounted cannot be opened, or a backend cannot be used.
    """

    def __init__(
        self,
        config: ComponentConfig,
        imports: Mapping[str, wit.Item],
        tls: ssl.SSLContext,
        descriptors: Descriptors,
        backends: WorkerBackends,
        *,
        tracer: Tracer | None = None,
        on_outbound_request: OnRequest | None = None,
        on_operation: OnOperation | None = None,
        linked: Mapping[str, Mapping[str, LinkedHandler]] = MappingProxyType({}),
        wall_clock: Callable[[], int] | None = None,
    ) -> None:
        self._name = config.name
        self._environment = config.environment
        self._arguments = ("main.wasm", *config.arguments)
        self._values = config.config
        self._share = descriptors.share(config.name)
        self._mounts = _open_mounts(config, self._share)
        try:
            self.backends = BackendGrants(
                config,
                backends,
                self._share,
                tracer=tracer,
                on_operation=on_operation,
                named=chooses(imports),
            )
        except ComponentError:
            self._close_mounts()
            raise
        policy = EgressPolicy(map(EgressRule.parse, config.allowed_outbound_hosts))
        self._client = OutboundClient(
            config.name,
            policy,
            tls=tls,
            tracer=tracer,
            on_request=on_outbound_request,
            share=self._share,
            linked=linked,
        )
        names = [wit.interface_name(name, item) for name, item in imports.items()]
        self._has_cli = _has(names, "wasi:cli/")
        self._has_log = _has(names, "wasi:logging/")
        self._wall_clock = wall_clock
        self.writes = self._has_cli or self._has_log
        self._has_requests = _has(names, "wasi:http/outgoing-handler", "wasi:http/client")
        self._has_sockets = _has(names, "wasi:sockets/")
        self._link_names: Mapping[str, Collection[str]] | None = None
        if _has(names, "wasmcloud:bus/lattice"):
            self._link_names = link_names(config, self.backends.names)

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
        if self._wall_clock is not None:
            granted.append(ClockCtx(self._wall_clock))
        if self._values:
            granted.append(ConfigCtx(self._values))
        if self._mounts:
            granted.append(OpenFiles(self._mounts))
        if self._has_requests:
            granted.append(client.invocation(caller))
        if self._has_sockets:
            whose = caller.log_context
            granted.append(WasiSocketsCtx(client.policy, client.resolve, whose, share=self._share))
        if self._link_names is not None:
            granted.append(LatticeCtx(self._link_names))
        if self.backends.some:
            granted += self.backends.states(answers)
        return WasiCtx(*granted, caller=caller)

    def abandon(self) -> None:
        """Close all of a component that never served, but for backends, see `WorkerBackends.close_abandoned`."""
        self._close_mounts()
        self.backends.abandon()

    async def aclose(self) -> None:
        """Close the folders, which invocations that come later do not find, and every connection."""
        self._close_mounts()
        await self._client.aclose()
        await self.backends.aclose()

    def _close_mounts(self) -> None:
        for mount in self._mounts:
            mount.close()
        self._mounts = ()


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


def _has(names: Iterable[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)
