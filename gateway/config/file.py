"""Reads a configuration: a TOML file, or flags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from gateway.config.admin import AdminConfig
from gateway.config.component import ComponentConfig, Defaults
from gateway.config.gateway import TABLES, Claim, GatewayConfig, conflicts
from gateway.config.key import flag_name, flag_of
from gateway.config.problem import ConfigError, Problem, dotted, reason_of, unknown_key
from gateway.config.route import Route
from gateway.config.server import ServerConfig
from gateway.config.toml_file import read_toml
from gateway.config.values import MIB, Table, table_of

__all__ = ["load", "opened", "single"]

MAX_SIZE: Final = 16 * MIB
"""Bytes of a configuration. Arbitrary: 100,000 components are less, and more than this is another file."""

_COMMAND_LINE: Final = "command line"
_T = TypeVar("_T", bound=Table)


class _Reader:
    """One pass over a document that notes every problem and goes on."""

    def __init__(
        self, file: str, base: Path, flags: Mapping[str, Any], *, unbuilt: bool = False
    ) -> None:
        self.file = file
        self.base = base
        self.flags = flags
        self.unbuilt = unbuilt
        self.problems: list[Problem] = []

    def note(self, key: str, reason: str) -> None:
        self.problems.append(Problem(self.file, key, reason))

    def table(self, model: type[_T], raw: object, *prefix: int | str) -> _T | None:
        """Validate one table; None where it has a problem."""
        built = isinstance(raw, Mapping) and "build" in raw
        context = {"base": self.base, "unbuilt": self.unbuilt and built}
        try:
            return model.model_validate(raw, context=context)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                location = detail["loc"]
                if detail["type"] == "default_factory_not_called":
                    continue  # the default waits for another key, whose own problem is told
                reason = reason_of(detail, model)
                if location and location[0] in self.flags and location[0] in model.model_fields:
                    flag = _flag(model, *map(str, location))
                    if flag_of(model.model_fields[str(location[0])]) and location[-1] != "[key]":
                        of = self.flags[str(location[0])]
                        flag += f" {location[1]}" if isinstance(of, dict) else ""
                    self.problems.append(Problem(_COMMAND_LINE, flag, reason))
                else:
                    self.note(dotted((*prefix, *location)), reason)
            return None

    def claim(self, raw: Mapping[str, Any], index: int) -> Claim:
        """Note a component's name and routes, as far as they can be read, for `conflicts`."""
        declared = raw.get("routes")
        routes = {}
        for number, item in enumerate(declared if isinstance(declared, list) else ()):
            try:
                routes[f"components[{index}].routes[{number}]"] = Route.model_validate(item)
            except ValidationError:
                continue  # `table` has told
        return Claim(f"components[{index}]", _as_name(raw), routes)

    def document(self, document: Mapping[str, Any]) -> GatewayConfig:
        """Validate the whole.

        Raises:
            ConfigError: with everything that is wrong with it.
        """
        for key in document:
            if key not in TABLES:
                self.note(key, unknown_key(key, TABLES))
        server = self.table(ServerConfig, self._server(document), "server")
        admin = None
        if "admin" in document:
            admin = self.table(AdminConfig, document["admin"], "admin")
            if server is not None and server.admin_addr is None:
                self.note("admin", "needs an address to be served at: set admin_addr in [server]")
        defaults = self.table(Defaults, document.get("defaults", {}), "defaults")
        inherited = defaults.model_dump(exclude_unset=True) if defaults is not None else {}

        tables = document.get("components", [])
        if not isinstance(tables, list):
            self.note("components", "must be written as [[components]], one table for each")
        elif not tables and "admin" not in document:  # whose API may put all of them
            self.note(
                "components", "there is none: add a [[components]] table with name and source"
            )
        components, claims = [], []
        for index, raw in enumerate(tables if isinstance(tables, list) else ()):
            if isinstance(raw, Mapping):
                claims.append(self.claim(raw, index))
                raw = {**inherited, **raw}  # noqa: PLW2901
            components.append(self.table(ComponentConfig, raw, "components", index))
        for key, reason in conflicts(claims):
            self.note(key, reason)
        if self.problems or server is None:
            raise ConfigError(self.problems)
        return GatewayConfig(
            server=server,
            admin=admin,
            defaults=defaults or Defaults(),
            components=tuple(filter(None, components)),
            folder=self.base.absolute(),
        )

    def _server(self, document: Mapping[str, Any]) -> object:
        table = document.get("server", {})
        if not isinstance(table, Mapping):
            return table
        # `--cache-dir` must not contradict a `cache = false` in the file, nor `--no-cache` a directory.
        hidden = {"cache", "cache_dir"} if {"cache", "cache_dir"} & self.flags.keys() else set()
        # Who says `--port` means that port, whatever addresses the file has.
        hidden |= {"bind", "uds"} if {"host", "port"} & self.flags.keys() else set()
        flags = {
            key: value for key, value in self.flags.items() if key in ServerConfig.model_fields
        }
        return {key: value for key, value in table.items() if key not in hidden} | flags


def _flag(model: type[Table], key: str, *inner: str) -> str:
    """The flag of a key, or of one within, where that has its own."""
    field = model.model_fields[key]
    table = table_of(field.annotation)
    if inner and flag_of(field) is None and table is not None and inner[0] in table.model_fields:
        return _flag(table, *inner)
    return "the component" if key == "source" else flag_name(key, field)


def _as_name(raw: Mapping[str, Any]) -> str | None:
    name = raw.get("name")
    return name if isinstance(name, str) else None


def _name_of(source: Path) -> str:
    """Derive a component's name from its file's: "My_App.v2.wasm" gives "my-app-v2"."""
    words = re.findall("[a-z0-9]+", source.stem.lower())
    return "-".join(words)[:63].rstrip("-") or "component"


def load(path: Path, *, unbuilt: bool = False, **flags: Any) -> GatewayConfig:
    """Read a TOML file.

    Args:
        path: the file. Relative paths in it count from its directory.
        unbuilt: whether the files of components that have a `build` may be missing.
        **flags: keys of `ServerConfig` that go before the file's; None means not given. Keys of
            `ComponentConfig` are problems: a component that the file gives a limit of its own would
            silently go on with that one.

    Raises:
        ConfigError: with every problem of the file and the flags.
        TypeError: a flag that is no key of either.
    """
    given = _given(flags)
    server = {key: value for key, value in given.items() if key in ServerConfig.model_fields}
    reader = _Reader(str(path), path.parent, server, unbuilt=unbuilt)
    for key in (key for key in given if key not in server):
        where = (
            "under [defaults] or in a component"
            if key in Defaults.model_fields
            else "in a component"
        )
        reason = f"is for a component served by itself: set {key} {where} of {path}"
        reader.problems.append(Problem(_COMMAND_LINE, _flag(ComponentConfig, key), reason))
    try:
        # It may be a pipe, into which something else writes it.
        document = read_toml(path, MAX_SIZE, lambda path: path.open("rb"))
    except ValueError as error:
        raise ConfigError([Problem(str(path), "", str(error))]) from None
    return reader.document(document)


def single(source: Path, **flags: Any) -> GatewayConfig:
    """Describe a gateway of one component that answers every request.

    Args:
        source: the component's file.
        **flags: keys of `ServerConfig` and `ComponentConfig`; None means not given.

    Raises:
        ConfigError: with every problem of the source and the flags.
        TypeError: a flag that is no key of either.
    """
    given, component = _alone(source, flags)
    return _Reader(_COMMAND_LINE, Path(), given).document({"components": [component]})


def opened(source: Path, **keys: Any) -> GatewayConfig:
    """The same for `gateway.open`: problems are of keys, not of flags.

    Raises:
        ConfigError: as of `single`, and `TypeError` likewise.
    """
    given, component = _alone(source, keys)
    server = {key: value for key, value in given.items() if key not in component}
    try:
        return _Reader("gateway.open", Path(), {}).document(
            {"server": server, "components": [component]}
        )
    except ConfigError as error:
        # Whoever calls has given keys, and no tables that they stand in.
        raise ConfigError(
            Problem(
                it.file, it.key.removeprefix("components[0].").removeprefix("server."), it.reason
            )
            for it in error.problems
        ) from None


def _alone(source: Path, keys: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of one component and its server, and those that are the component's."""
    given = {"name": _name_of(source), **_given(keys), "source": source}
    # What both have is the server's: there is no other component that it could be for.
    own = ComponentConfig.model_fields.keys() - ServerConfig.model_fields.keys()
    return given, {key: value for key, value in given.items() if key in own}


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    known = ServerConfig.model_fields.keys() | ComponentConfig.model_fields.keys()
    for key in flags:
        if key not in known:
            raise TypeError(f"{key}: {unknown_key(key, known)}")
    return {key: value for key, value in flags.items() if value is not None}
