"""What a provider raises."""

from __future__ import annotations

from typing import Generic

from gateway.rpc.client.runtime.values import _E


class CallError(Exception, Generic[_E]):
    """The err side of a function's result: who raises it returns that.

    Attributes:
        value: what is returned.
    """

    def __init__(self, value: _E) -> None:
        super().__init__(value)
        self.value = value
