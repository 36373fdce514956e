"""What was changed while the gateway runs, on top of what its configuration says.

Components that were put or deleted, and whether the gateway is going out of service.

The changes last until the gateway is started again. The workers of one gateway share them in a file; the one that
was asked writes it, the others find it when they reload, and so does a worker that is started later.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from gateway.config import ComponentConfig, GatewayConfig

__all__ = ["Overlay"]


_Changes = Mapping[str, ComponentConfig | None]
"""What takes the place of components, by name; None where nothing does."""


class Overlay:
    """Changes to a configuration.

    Args:
        path: where they are shared; None where there is only one worker.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._changes: _Changes = {}
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the gateway is going out of service, all of its workers."""
        self._read()
        return self._draining

    def apply(self, config: GatewayConfig) -> GatewayConfig:
        """The configuration with the changes: components that were put take the place of those of their name."""
        changes = self._read()
        if not changes:
            return config
        kept = [changes.get(component.name, component) for component in config.components]
        names = {component.name for component in config.components}
        added = [component for name, component in changes.items() if name not in names]
        components = tuple(component for component in (*kept, *added) if component is not None)
        return config.model_copy(update={"components": components})

    def changed(self, name: str, component: ComponentConfig | None) -> Overlay:
        """These changes and another one; not shared before it is saved.

        Args:
            name: the component's name.
            component: what takes its place; None if nothing does.
        """
        overlay = Overlay(None)
        overlay._changes = {**self._read(), name: component}
        overlay._draining = self._draining
        return overlay

    def drained(self) -> Overlay:
        """These changes, and that the gateway is going out of service; not shared before it is saved."""
        overlay = Overlay(None)
        overlay._changes, overlay._draining = self._read(), True
        return overlay

    def save(self, changed: Overlay) -> None:
        """Make other changes the ones that count, for all workers.

        Raises:
            OSError: they cannot be written.
        """
        self._changes, self._draining = changed._changes, changed._draining
        if self._path is None:
            return
        components = {
            name: None
            if component is None
            else component.model_dump(mode="json", exclude_unset=True)
            for name, component in self._changes.items()
        }
        written = {"components": components, "draining": self._draining}
        partial = self._path.with_suffix(f".{os.getpid()}")
        # They may have secrets, in the environments of components.
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(written, file)
        partial.rename(self._path)

    def _read(self) -> _Changes:
        if self._path is not None and self._path.exists():
            written = json.loads(self._path.read_text())
            self._draining = written["draining"]
            self._changes = {
                name: None if keys is None else ComponentConfig.model_validate(keys)
                for name, keys in written["components"].items()
            }
        return self._changes
