"""What one component is given, and may reach outside of itself: nothing that its configuration does not say."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from gateway.bindings.cli import CliCtx
from gateway.bindings.clocks import ClockCtx
from gateway.bindings.config import ConfigCtx
from gateway.bindings.context import Caller, State, States, WasiCtx
from gateway.bindings.descriptors import Descriptors, Share
from gateway.bindings.filesystem import Mount, OpenFiles
from gateway.bindings.http.outbound import (
    LinkedHandler,
    OnRequest,
    OutboundClient,
    OutboundRequests,
)
from gateway.bindings.lattice import LatticeCtx
from gateway.bindings.logging import LoggingCtx
from gateway.bindings.sockets import WasiSocketsCtx
from gateway.bindings.stdio import MAX_LINE, LineOutput, Output
from gateway.capabilities.operations import OnOperation
from gateway.capabilities.worker import WorkerBackends
from gateway.config import ComponentConfig
from gateway.host import wit
from gateway.host.errors import ComponentError
from gateway.observe.telemetry import Tracer
from gateway.policy.egress import EgressPolicy, EgressRule
from gateway.serving.backend_grants import BackendGrants
from gateway.serving.grantee import Grantee, Maker
from gateway.serving.guest_log import GuestLog
from gateway.serving.link_names import chooses, link_names

__all__ = ["Grants"]


class Grants:
    """Environment, folders and hosts of a component, from which each invocation gets its context.

    What an invocation does not ask for is not made for it.

    Attributes:
        backends: its part in what stands behind capabilities.

    Args:
        config: what the operator said of the component.
        imports: what it imports.
        tls: what makes the servers that it talks to trusted.
        descriptors: the file descriptors that guests may hold.
        backends: what stands behind the capabilities of a worker's components.
        log: takes what its guests write and log.
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
        log: GuestLog,
        tracer: Tracer | None = None,
        on_outbound_request: OnRequest | None = None,
        on_operation: OnOperation | None = None,
        linked: Mapping[str, Mapping[str, LinkedHandler]] = MappingProxyType({}),
        wall_clock: Callable[[], int] | None = None,
    ) -> None:
        self._name = config.name
        self._config = config
        self._arguments = ("main.wasm", *config.arguments)
        self._log = log
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
        self._makers: dict[type[State], Maker] = {
            CliCtx: self._cli,
            LineOutput: self._lines,
            LoggingCtx: self._logging,
            ConfigCtx: lambda _: ConfigCtx(config.config),
            OpenFiles: lambda _: OpenFiles(self._mounts),
            OutboundRequests: lambda grantee: self._client.invocation(grantee.caller),
            WasiSocketsCtx: self._sockets,
            **dict(self.backends.makers()),
        }
        if wall_clock is not None:
            self._makers[ClockCtx] = lambda _: ClockCtx(wall_clock)
        names = [wit.interface_name(name, item) for name, item in imports.items()]
        if any(name.startswith("wasmcloud:bus/lattice") for name in names):
            chosen = link_names(config, self.backends.names)
            self._makers[LatticeCtx] = lambda _: LatticeCtx(chosen)

    def context(
        self, caller: Caller, output: Output | None = None, answers: str | None = None
    ) -> WasiCtx:
        """The context of one invocation, to be closed when that ends.

        Args:
            caller: on whose behalf it runs.
            output: where stdout and stderr go; to lines of the log by default.
            answers: the subject at which it may answer, besides those that are granted.
        """
        return WasiCtx(caller=caller, grant=partial(self._grant, caller, output, answers))

    def _grant(
        self,
        caller: Caller,
        output: Output | None,
        answers: str | None,
        states: States,
        family: type[State],
    ) -> State | None:
        make = self._makers.get(family)
        return None if make is None else make(Grantee(caller, states, output, answers))

    def _cli(self, grantee: Grantee) -> CliCtx:
        output = grantee.output
        if output is None:
            output = grantee.states[LineOutput]
        return CliCtx(self._config.environment, self._arguments, output)

    def _lines(self, grantee: Grantee) -> LineOutput:
        whose = grantee.caller.log_context
        return LineOutput(
            lambda stream, line: self._log.line(stream, line, whose),
            max_lines=self._config.log_max_lines,
            max_bytes=self._config.log_max_bytes,
            on_dropped=lambda lines, size: self._log.dropped(lines, size, whose),
        )

    def _logging(self, grantee: Grantee) -> LoggingCtx:
        whose = grantee.caller.log_context
        # What it logs counts with what it writes to the log otherwise.
        lines: LineOutput | None = None
        if grantee.output is None:
            lines = grantee.states[LineOutput]

        def log(level: str, context: str, message: str) -> None:
            if lines is None or lines.take(len(context) + len(message)):
                self._log.message(level, context, message[:MAX_LINE], whose)

        return LoggingCtx(log)

    def _sockets(self, grantee: Grantee) -> WasiSocketsCtx:
        client, whose = self._client, grantee.caller.log_context
        return WasiSocketsCtx(client.policy, client.resolve, whose, share=self._share)

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
