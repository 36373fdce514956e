"""The links of a component: what it imports that others provide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gateway.config import ServerConfig
from gateway.config.link import LinkConfig
from gateway.host import wit
from gateway.host.binding import HostInterface
from gateway.host.component import Component
from gateway.host.errors import ComponentError
from gateway.links.link import Link, OnCall
from gateway.links.several import SeveralTargets
from gateway.links.target import LinkMismatch, Target

__all__ = ["Links"]


class Links:
    """The links of one component.

    Attributes:
        interfaces: what it finds linked, by the full names of what it imports.
        called: whether others have links to it.
    """

    def __init__(
        self,
        configs: Iterable[LinkConfig],
        component: Component,
        target_of: Callable[[LinkConfig, Component], Target],
        server: ServerConfig,
        *,
        called: bool,
        on_call: OnCall | None,
    ) -> None:
        """Find what the other ends have.

        Args:
            configs: what the operator said of each.
            component: the component.
            target_of: gives the other end of a link of a component, or raises `LinkMismatch`.
            server: what the operator said of the server.
            called: whether others have links to it.
            on_call: told of each call, if anybody wants to know.

        Raises:
            ComponentError: a link leads nowhere, or the other end lacks what the component imports; the message
                has a line for each fault.
        """
        self.interfaces: dict[str, HostInterface] = {}
        self.called = called
        self._targets: list[Target] = []
        wrong: list[str] = []
        for config in configs:
            try:
                imported = _imported(config.import_, component)
                link = Link(
                    config.import_,
                    target_of(config, component),
                    errors=config.errors,
                    max_depth=server.max_call_depth,
                    on_call=on_call,
                )
                self.interfaces[config.import_] = link.interface(imported)
            except LinkMismatch as mismatch:
                where = f'{component.path}: the link of "{config.import_}"'
                wrong += (f"{where}: {line}" for line in str(mismatch).splitlines())
            else:
                self._targets.append(link.target)
        if wrong:
            raise ComponentError("\n".join(wrong))

    def troubles(self) -> Iterator[str]:
        """Which of several other ends are left out, and why."""
        for name, target in zip(self.interfaces, self._targets, strict=True):
            if isinstance(target, SeveralTargets):
                yield from (f"link of {name}: {trouble}" for trouble in target.troubles())

    async def aclose(self) -> None:
        """Let go of what the other ends have open. May be called again."""
        for target in self._targets:
            await target.aclose()


def _imported(name: str, component: Component) -> wit.Interface:
    """What a component imports by this name.

    Raises:
        LinkMismatch: nothing.
    """
    imported = component.imports.get(name)
    if isinstance(imported, wit.Interface):
        return imported
    names = [each for each, item in component.imports.items() if isinstance(item, wit.Interface)]
    raise LinkMismatch(
        f"the component does not import it (it imports {', '.join(names) or 'no interfaces'})"
    )
