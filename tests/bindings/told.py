"""Operations on capabilities, as whoever wants to know is told of them."""

from __future__ import annotations

from gateway.capabilities.operations import Operation, OperationOutcome


class Told:
    """Takes note of operations of the component "shop".

    Attributes:
        operations: the function of each, and how it ended.
    """

    def __init__(self, backend: str | None = None) -> None:
        """Prepares to.

        Args:
            backend: the kind of backend that all must be on; None for any.
        """
        self.operations: list[tuple[str, str]] = []
        self._backend = backend

    def __call__(
        self,
        component: str,
        operation: Operation,
        backend: str,
        outcome: str,
        seconds: float | None,
    ) -> None:
        assert component == "shop"
        assert self._backend in {None, backend}
        assert (seconds is None) == (outcome == OperationOutcome.REFUSED)
        self.operations.append((operation.function, outcome))
