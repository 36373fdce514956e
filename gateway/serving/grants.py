"""What one component is given, and may reach outside of itself: nothing that its configuration does not say."""

from __future__ import annotations

import ssl
from collections.abc import Collection

from gateway.bindings.cli import CliCtx
from gateway.bindings.config import ConfigCtx
from gateway.bindings.context import State, WasiCtx
from gateway.bindings.descriptors import Descriptors, Share
from gateway.bindings.filesystem import Mount, OpenFiles
from gateway.bindings.http.outbound import OnRequest, OutboundClient
from gateway.bindings.logging import Log, LoggingCtx
from gateway.bindings.sockets import WasiSocketsCtx
from gateway.bindings.stdio import Output
from gateway.config import ComponentConfig
from gateway.host.errors import ComponentError
from gateway.http.trace_context import TraceContext
from gateway.observe.telemetry import OFF, Tracer
from gateway.policy.egress import EgressPolicy, EgressRule

__all__ = ["Grants"]


class Grants:
    """Environment, folders and hosts of a component, from which each invocation gets its context.

    What a component does not import is not made for its invocations.

    Args:
        config: what the operator said of the component.
        imports: the names of what it imports.
        tls: what makes the servers that it talks to trusted.
        descriptors: the file descriptors that guests may hold.
        tracer: what is told of its outbound requests.
        on_outbound_request: what is told how each of them ended.

    Raises:
        ComponentError: a folder that should be mounted cannot be opened.
    """

    def __init__(
        self,
        config: ComponentConfig,
        imports: Collection[str],
        tls: ssl.SSLContext,
        descriptors: Descriptors,
        *,
        tracer: Tracer = OFF,
        on_outbound_request: OnRequest | None = None,
    ) -> None:
        self._name = config.name
        self._environment = config.environment
        self._arguments = ("main.wasm", *config.arguments)
        self._values = config.config
        self._share = descriptors.share(config.name)
        self._mounts = _open_mounts(config, self._share)
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
        self._has_requests = _imports(imports, "wasi:http/outgoing-handler")
        self._has_sockets = _imports(imports, "wasi:sockets/")

    def context(
        self, request_id: str, output: Output, log: Log, trace: TraceContext | None = None
    ) -> WasiCtx:
        """The context of one invocation, to be closed when that ends.

        Args:
            request_id: the id of the request that it answers, for the log.
            output: where stdout and stderr go.
            log: where it logs.
            trace: the trace that its outbound requests are part of.
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
            granted.append(client.invocation(request_id, trace))
        if self._has_sockets:
            whose = {"component": self._name, "request_id": request_id}
            if trace is not None:
                whose["trace_id"] = trace.trace_id
            granted.append(WasiSocketsCtx(client.policy, client.resolve, whose, share=self._share))
        return WasiCtx(*granted)

    def close_mounts(self) -> None:
        """Close the folders. Invocations that come later find none."""
        for mount in self._mounts:
            mount.close()
        self._mounts = ()

    async def aclose(self) -> None:
        """Close the folders and every connection."""
        self.close_mounts()
        await self._client.aclose()


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
