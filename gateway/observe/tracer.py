"""What a tracer does for the rest of the gateway. Where tracing is off there is none, and no span."""

from __future__ import annotations

from typing import Protocol

from starlette.types import Scope

from gateway.http.forwarded import Origin
from gateway.http.trace_context import TraceContext
from gateway.observe.events import Outcome

__all__ = ["Span", "Tracer"]


class Span(Protocol):
    """Something that the gateway does for a trace, from now until it ends."""

    @property
    def trace(self) -> TraceContext:
        """The trace as it goes on in here, for the spans of what is done in turn."""

    def end(
        self,
        *,
        status: int = 0,
        route: str | None = None,
        component: str | None = None,
        outcome: Outcome | None = None,
        error: str | None = None,
    ) -> None:
        """It has ended. Called once, with nothing that is a secret.

        Args:
            status: the status code of the response, sent or received; 0 if there was none.
            route: the route that the request took, as the configuration has it.
            component: the name of the component that answered it.
            outcome: how the invocation ended, if there was one.
            error: what went wrong, as one of few words, where neither status nor outcome says it.
        """


class Tracer(Protocol):
    """Makes spans."""

    def request(
        self,
        trace: TraceContext,
        scope: Scope,
        origin: Origin,
        request_id: str,
    ) -> Span:
        """Begin the span of a request that came in.

        Args:
            trace: the trace that it names, or that begins with it.
            scope: its ASGI scope.
            origin: where it comes from.
            request_id: its id.
        """

    def message(
        self,
        trace: TraceContext,
        system: str,
        subscription: str,
        request_id: str,
        deliveries: int | None = None,
    ) -> Span:
        """Begin the span of a message that came in.

        Args:
            trace: the trace that it names, or that begins with it.
            system: the kind of the broker.
            subscription: what it came by, as the configuration has it.
            request_id: the id that it has in here.
            deliveries: how often it was delivered, this time included; None where nobody counts.
        """

    def change(
        self,
        trace: TraceContext,
        backend: str,
        store: str,
        request_id: str,
    ) -> Span:
        """Begin the span of a change of a store that a component watches.

        Args:
            trace: the trace that begins with it.
            backend: the kind of the store.
            store: what the component calls it.
            request_id: the id that it has in here.
        """

    def invocation(
        self,
        trace: TraceContext,
        component: str,
        export: str,
    ) -> Span:
        """Begin the span of an invocation.

        Args:
            trace: that of the span of the request that it is made for.
            component: the component's name.
            export: the full name of the function.
        """

    def outbound(
        self,
        trace: TraceContext,
        method: str,
        scheme: str,
        host: str,
        port: int,
    ) -> Span:
        """Begin the span of a request that a component makes.

        Args:
            trace: that of the span of the invocation.
            method: its method.
            scheme: `http` or `https`.
            host: the server, IPv6 addresses in brackets.
            port: its port.
        """

    def operation(
        self,
        trace: TraceContext,
        interface: str,
        function: str,
        backend: str,
    ) -> Span:
        """Begin the span of what a component does with a capability.

        Args:
            trace: that of the span of the invocation.
            interface: the interface, without its version.
            function: the function that the guest calls.
            backend: the kind of what stands behind it.
        """

    def close(self, timeout: float) -> None:
        """Hand on what was recorded: blocks until then, but not much longer than a timeout in seconds."""
