"""The whole: a server, and components that do not claim the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import Field, model_validator

from gateway.config.admin import AdminConfig
from gateway.config.component import ComponentConfig, Defaults
from gateway.config.route import Route
from gateway.config.server import ServerConfig
from gateway.config.values import Table, table_of
from gateway.config.wrpc_address import WrpcAddress

__all__ = ["TABLES", "Claim", "GatewayConfig", "conflicts"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What no other component may have.

    Attributes:
        key: where the component stands, such as "components[1]".
        name: its name; None where that cannot be read.
        routes: the routes that it declares, by their keys.
    """

    key: str
    name: str | None
    routes: Mapping[str, Route]

    def __str__(self) -> str:
        return f'component "{self.name}"' if self.name is not None else self.key


def conflicts(claims: Iterable[Claim]) -> Iterator[tuple[str, str]]:
    """Yield key and reason for each name and each route that was claimed before."""
    names: dict[str, Claim] = {}
    routes: dict[tuple[str | None, str, str], tuple[str, Claim]] = {}
    for claim in claims:
        if claim.name is not None:
            first = names.setdefault(claim.name, claim)
            if first is not claim:
                yield f"{claim.key}.name", f'"{claim.name}" is the name of {first.key} already'
        for key, route in claim.routes.items():
            where, owner = routes.setdefault(route.key, (key, claim))
            if where != key:
                yield key, f"{claim} repeats the route {route} of {owner}, declared by {where}"


class GatewayConfig(Table):
    """All that a gateway needs to know. Names of components are unique, and so are the routes they declare.

    Attributes:
        server: where and how it listens, logs and caches.
        admin: whose tokens open the admin API; None where there is none.
        defaults: what components have that are added later and do not say otherwise.
        components: what it serves.
        folder: what relative paths of components that are added later count from.
    """

    server: ServerConfig = ServerConfig()
    admin: AdminConfig | None = None
    defaults: Defaults = Defaults()
    components: tuple[ComponentConfig, ...] = ()
    folder: Path = Field(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _check_admin(self) -> Self:
        if self.admin is not None and self.server.admin_addr is None:
            raise ValueError("admin: needs an address to be served at: set admin_addr in [server]")
        return self

    @model_validator(mode="after")
    def _check_conflicts(self) -> Self:
        claims = [
            Claim(f"components[{index}]", component.name, dict(_routes_by_key(index, component)))
            for index, component in enumerate(self.components)
        ]
        if told := [f"{key}: {reason}" for key, reason in conflicts(claims)]:
            raise ValueError("; ".join(told))
        return self

    @model_validator(mode="after")
    def _check_wrpc(self) -> Self:
        if self.server.wrpc_prefix == self.server.rpc_prefix:
            raise ValueError(
                "server.wrpc_prefix: is the rpc_prefix too; each needs a path of its own"
            )
        seen: dict[str, str] = {}
        for component in self.components:
            for text in component.wrpc_listen:
                _, address = WrpcAddress.parse(text)
                free = address[1] == 0
                where = f'wrpc_listen of component "{component.name}"'
                if not free and (other := seen.setdefault(str(address), where)) is not where:
                    raise ValueError(f"{where}: {text} is the {other} too")
                if self.server.workers > 1 and (free or isinstance(address, str)):
                    raise ValueError(
                        f"{where}: {text} is for one process, and there are {self.server.workers} workers; a TCP "
                        "port of its own will do"
                    )
        return self


TABLES: Final = {
    key: table
    for key, field in GatewayConfig.model_fields.items()
    if (table := table_of(field.annotation)) is not None
}
"""The tables of a configuration file, by key; of `components` it has a list."""


def _routes_by_key(index: int, component: ComponentConfig) -> Iterator[tuple[str, Route]]:
    if "routes" not in component.model_fields_set:
        return  # whether it has the default depends on what it exports
    for number, route in enumerate(component.routes):
        yield f"components[{index}].routes[{number}]", route
