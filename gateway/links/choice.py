"""An imported interface that several links provide: a call goes by the one that its invocation has chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from gateway.bindings.context import DEFAULT_LINK, WasiCtx
from gateway.host import wit
from gateway.host.binding import HostFunction, HostInterface
from gateway.host.errors import Trap, TrapKind
from gateway.wasm.version import split_version

__all__ = ["choice"]


def choice(
    name: str,
    links: Mapping[str, HostInterface],
    otherwise: HostInterface | None,
    others: Iterable[str] = (),
) -> HostInterface:
    """What an import finds linked.

    Args:
        name: that of the import: the interface's full name, or a label.
        links: what its links provide, by their names.
        otherwise: what the gateway provides for it: that is the link by the default name, if there is no other.
        others: names by which it is that, too.
    """
    if name in links:
        return links[name]  # a label is the choice
    if otherwise is not None:
        links = {**dict.fromkeys((DEFAULT_LINK, *others), otherwise), **links}
    if links.keys() == {DEFAULT_LINK}:
        return links[DEFAULT_LINK]
    return _Choice(name, links)


class _Choice(HostInterface):
    def __init__(self, name: str, links: Mapping[str, HostInterface]) -> None:
        super().__init__(*split_version(name))
        self._full_name = name
        self._links = links

    def find(self, name: str, ty: wit.Function) -> HostFunction | None:
        functions = {link: interface.find(name, ty) for link, interface in self._links.items()}
        found = {link: function for link, function in functions.items() if function is not None}
        if not found:
            return None
        call = partial(self._call, name, found)
        return HostFunction(call, f"{self.name}#{name}", blocking=True, apart=True)

    def _call(
        self, function: str, functions: Mapping[str, HostFunction], ctx: WasiCtx, *args: Any
    ) -> Any:
        link_name = ctx.link_name(self.name)
        found = functions.get(link_name)
        if found is None:
            raise Trap(
                f"{self._full_name}#{function}: there is no link by the name {link_name}",
                kind=TrapKind.CALLEE_NOT_FOUND,
            )
        return found.function(ctx, *args)
