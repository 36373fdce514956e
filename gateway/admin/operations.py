"""What the admin API asks of the gateway that it steers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway.config.component import ComponentConfig
from gateway.lifecycle.status import ComponentStatus, ServerStatus

__all__ = ["Operations"]


class Operations(Protocol):
    """A gateway that can be steered while it serves.

    What fails leaves everything as it was. Changes come into force one after the other; of two changes of one
    component, the later is the one that does. Requests in flight finish on what they began with. All of it is for
    every worker: what changes something returns when each of them has made the change, or raises
    `gateway.lifecycle.reload.Spreading` where that takes too long for anyone to wait.
    """

    def defaults(self) -> Mapping[str, Any]:
        """The keys of components that are added and do not say otherwise."""

    def components(self) -> Sequence[ComponentStatus]:
        """The components, in the order of the configuration."""

    def configurations(self) -> Mapping[str, ComponentConfig]:
        """What each component was made by, by its name."""

    async def put_component(self, config: ComponentConfig) -> tuple[ComponentStatus, bool]:
        """Load a component, or put it in the place of the one of that name.

        Returns:
            How it is now, and whether there was none before.

        Raises:
            RouteConflict: another component answers one of its routes.
            Superseded: it was put again, or deleted, before it was in service.
            ComponentError: it cannot be loaded.
        """

    async def delete_component(self, name: str) -> bool:
        """Unload a component; tells whether there was one.

        Raises:
            Superseded: it was put again before it was unloaded.
            ComponentError: others have links to it.
        """

    async def reload(self) -> None:
        """Read the configuration file again, and serve what it says.

        Raises:
            gateway.config.ConfigError: it says nothing that could be served.
            ComponentError: a component cannot be loaded.
        """

    def drain(self) -> None:
        """Begin to go out of service; once more changes nothing."""

    def status(self) -> ServerStatus:
        """How the gateway is."""
