"""How a part of a gateway has the whole changed, wherever it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.config import ComponentConfig

__all__ = ["Owner", "Peers", "Spreading"]


class Spreading(Exception):
    """A change is in effect in this worker, and others take longer than whoever asked should wait.

    They go on until they have it too.
    """


class Peers(Protocol):
    """All workers of a gateway, this one included, as one of them sees them: by their supervisor.

    Changes are made one after the other. Each method returns when every worker that lives has made the change; one
    that is started later starts with it.
    """

    async def change(self, name: str, component: ComponentConfig | None) -> None:
        """Have all of them serve a component, or not serve it any more; this one serves it so already.

        Raises:
            gateway.host.errors.ComponentError: it does not go together with what others were asked for
                meanwhile. This worker has gone back.
            Spreading: not all of them have it yet.
        """

    async def reload(self) -> None:
        """Have the configuration read again, and all of them serve it.

        Raises:
            gateway.host.errors.ComponentError: it is refused; all stays as it was.
            Spreading: not all of them have it yet.
        """

    def drain(self) -> None:
        """Have all of them go out of service."""


@dataclass(slots=True)
class Owner:
    """Who decides what a gateway serves: nobody but itself, until its server says otherwise.

    Attributes:
        reload: reads the configuration again and serves it, if that is this process's business. Where that is
            refused, it says so in the log and raises `ConfigError` or `ComponentError`.
        peers: the workers that this process is one of, if it is.
    """

    reload: Callable[[], Awaitable[None]] | None = None
    peers: Peers | None = None
