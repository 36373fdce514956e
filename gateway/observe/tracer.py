"""What a tracer does for the rest of the gateway, by one that records nothing."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

from gateway.http.forwarded import Origin
from gateway.http.trace_context import TraceContext
from gateway.observe.events import Outcome

__all__ = ["OFF", "Span", "Tracer"]


class Span:
    """Something that the gateway does for a trace, from now until it ends. This one nobody records.

    Attributes:
        trace: the trace as it goes on in here, for the spans of what is done in turn.
    """

    __slots__ = ("trace",)

    def __init__(self, trace: TraceContext) -> None:
        self.trace: Final = trace

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


class Tracer:
    """Makes spans. These nobody records, and what they pass on is what they were given."""

    __slots__ = ()

    def request(
        self,
        trace: TraceContext,
        scope: Scope,  # noqa: ARG002
        origin: Origin,  # noqa: ARG002
        request_id: str,  # noqa: ARG002
    ) -> Span:
        """Begin the span of a request that came in.

        Args:
            trace: the trace that it names, or that begins with it.
            scope: its ASGI scope.
            origin: where it comes from.
            request_id: its id.
        """
        return Span(trace)

    def invocation(
        self,
        trace: TraceContext,
        component: str,  # noqa: ARG002
        export: str,  # noqa: ARG002
    ) -> Span:
        """Begin the span of an invocation.

        Args:
            trace: that of the span of the request that it is made for.
            component: the component's name.
            export: the full name of the function.
        """
        return Span(trace)

    def outbound(
        self,
        trace: TraceContext,
        method: str,  # noqa: ARG002
        scheme: str,  # noqa: ARG002
        host: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
    ) -> Span:
        """Begin the span of a request that a component makes.

        Args:
            trace: that of the span of the invocation.
            method: its method.
            scheme: `http` or `https`.
            host: the server, IPv6 addresses in brackets.
            port: its port.
        """
        return Span(trace)

    def operation(
        self,
        trace: TraceContext,
        interface: str,  # noqa: ARG002
        function: str,  # noqa: ARG002
        backend: str,  # noqa: ARG002
    ) -> Span:
        """Begin the span of what a component does with a capability.

        Args:
            trace: that of the span of the invocation.
            interface: the interface, without its version.
            function: the function that the guest calls.
            backend: the kind of what stands behind it.
        """
        return Span(trace)

    def close(self, timeout: float) -> None:
        """Hand on what was recorded: blocks until then, but not much longer than a timeout in seconds."""


OFF: Final = Tracer()
"""The tracer where tracing is off."""
