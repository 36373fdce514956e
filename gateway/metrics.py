"""Counts of what the gateway has done, in the terms of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from gateway.events import Kind, Outcome

__all__ = ["Metrics"]


class Metrics:
    """The metrics of one application.

    Attributes:
        registry: where they are; each application has its own, so that several can live in one process.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._invocations = Counter(
            "gateway_invocations",
            "Invocations of components, by what called them and how they ended.",
            ("component", "kind", "outcome"),
            registry=self.registry,
        )

    def returned(self, component: str, kind: Kind, outcome: Outcome) -> None:
        """Count an invocation that has ended, or was refused."""
        self._invocations.labels(component, kind.value, outcome.value).inc()
