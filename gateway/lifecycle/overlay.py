"""What was changed while the gateway runs, on top of what its configuration says.

Components that were put or deleted. The changes last until the gateway is started again. Whoever reads the
configuration has them: the supervisor of workers, or the application where it is alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config import ComponentConfig, GatewayConfig

__all__ = ["Overlay"]


@dataclass(frozen=True, slots=True)
class Overlay:
    """Changes to a configuration.

    Attributes:
        components: what takes the place of components, by name; None where nothing does.
    """

    components: Mapping[str, ComponentConfig | None] = field(default_factory=dict)

    def apply(self, config: GatewayConfig) -> GatewayConfig:
        """The configuration with the changes: components that were put take the place of those of their name."""
        changes = self.components
        if not changes:
            return config
        kept = [changes.get(component.name, component) for component in config.components]
        names = {component.name for component in config.components}
        added = [component for name, component in changes.items() if name not in names]
        components = tuple(component for component in (*kept, *added) if component is not None)
        return config.model_copy(update={"components": components})

    def changed(self, name: str, component: ComponentConfig | None) -> Overlay:
        """These changes and another one.

        Args:
            name: the component's name.
            component: what takes its place; None if nothing does.
        """
        return Overlay({**self.components, name: component})
