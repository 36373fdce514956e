"""The flags of a configuration's keys, made from its models, and how what they say becomes keys again."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from gateway.cli.options import COMPONENT, SERVER, option
from gateway.config import ComponentConfig, ConfigError, Problem, ServerConfig
from gateway.config.key import Flag, flag_name, flag_of, quantity_of, written_default
from gateway.config.values import table_of

__all__ = ["flags"]

Command = Callable[..., None]


def flags(*keys: str) -> Callable[[Command], Command]:
    """Give a command the flags of keys; it is called with what they say, as keys of a configuration.

    Help shows the flags that the command has itself after those of the server.

    Args:
        *keys: which, in the order that help shows; all that have a flag, in that of the models, if none is named.
    """
    known = {each.key: each for each in _flagged()}
    given = [known[key] for key in keys or known]

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters.values()

        @functools.wraps(command)
        def run(**values: Any) -> None:
            said = [(each, values.pop(each.parameter)) for each in given]
            command(**values, **_as_keys(said))

        # What typer makes a command of; it has no use for annotations where the parameters have their own.
        parameters = [
            *(each for each in own if each.kind is each.POSITIONAL_OR_KEYWORD),
            *(_parameter(each) for each in given if each.panel == SERVER),
            *(each for each in own if each.kind is each.KEYWORD_ONLY),
            *(_parameter(each) for each in given if each.panel == COMPONENT),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {}
        return run

    return decorate


class _Flagged(NamedTuple):
    """A key that has a flag, and the panel of help that shows it; one of a table within is `table.key`."""

    key: str
    field: FieldInfo
    flag: Flag
    panel: str

    @property
    def name(self) -> str:
        """How the flag is spelled."""
        return flag_name(self.key.rpartition(".")[2], self.field)

    @property
    def parameter(self) -> str:
        """What a command calls it."""
        return self.key.replace(".", "_")

    @property
    def kind(self) -> Any:
        """The type of the key's values."""
        return _kind(self.field.annotation)


def _flagged() -> Iterator[_Flagged]:
    for model, panel in ((ServerConfig, SERVER), (ComponentConfig, COMPONENT)):
        for key, field in model.model_fields.items():
            if (flag := flag_of(field)) is not None:
                yield _Flagged(key, field, flag, panel)
            elif (table := table_of(field.annotation)) is not None:
                for inner, part in table.model_fields.items():
                    if (flag := flag_of(part)) is not None:
                        yield _Flagged(f"{key}.{inner}", part, flag, panel)


def _parameter(flagged: _Flagged) -> inspect.Parameter:
    """Describe a flag to typer: most are text, which the models read, so that mistakes are told in their words."""
    _, field, flag, panel = flagged
    name, metavar, default = flagged.name, flag.metavar, written_default(field)
    kind, quantity = flagged.kind, quantity_of(field)
    taken: Any = str | None
    if kind is bool and flag.name is not None:
        taken, default = bool, None
    elif kind is bool:
        taken = bool | None
        name += f"/--no-{name.removeprefix('--')}"
        default = {True: "on", False: "off"}.get(field.default)
    elif quantity is not None:
        metavar = quantity.name
    elif kind is int:
        taken = int | None
    elif get_origin(kind) is Literal:
        metavar = "|".join(get_args(kind))
    elif get_origin(kind) is dict or get_args(kind)[1:] == (...,):
        taken, default = list[str] | None, None
    text = flag.help if default is None else f"{flag.help} Default {default}.".lstrip()
    return inspect.Parameter(
        flagged.parameter,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if taken is bool else None,
        annotation=Annotated[taken, option(name, metavar, text, panel)],
    )


def _kind(annotation: Any) -> Any:
    """A type without None and without what it is annotated with."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return _kind(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def _as_keys(said: Iterable[tuple[_Flagged, Any]]) -> dict[str, Any]:
    """What flags say, as keys of a configuration: None for those that were not given.

    Raises:
        ConfigError: with every flag that cannot be read.
    """
    keys: dict[str, Any] = {}
    problems: list[Problem] = []
    said = list(said)
    for flagged, value in said:
        if flagged.kind is bool and flagged.flag.name is not None:
            keys[flagged.key] = False if value else None
        elif value is None or value == []:
            keys[flagged.key] = None
        elif get_origin(flagged.kind) is dict:
            keys[flagged.key] = _pairs(value, flagged, problems)
        elif (read := flagged.flag.read) is not None:
            keys[flagged.key] = _items(value, read, flagged.name, problems)
        else:
            keys[flagged.key] = value
    problems += _alone(said)
    if problems:
        raise ConfigError(problems)
    return _nested(keys)


def _alone(said: Iterable[tuple[_Flagged, Any]]) -> Iterator[Problem]:
    """Say which flags of a table within were given without the one that the table cannot be without."""
    by_table: dict[str, list[tuple[_Flagged, Any]]] = {}
    for flagged, value in said:
        by_table.setdefault(flagged.key.rpartition(".")[0], []).append((flagged, value))
    by_table.pop("", None)
    for flags_of_table in by_table.values():
        given = [flagged for flagged, value in flags_of_table if value]
        for flagged, value in flags_of_table:
            if given and not value and flagged.field.is_required():
                needed = f"{flagged.name} {flagged.flag.metavar}"
                yield Problem("command line", given[0].name, f"needs {needed} beside it")


def _nested(keys: dict[str, Any]) -> dict[str, Any]:
    """Put what is of a table within into that, which is None where nothing of it was given."""
    nested: dict[str, Any] = {}
    for key, value in keys.items():
        table, dot, inner = key.rpartition(".")
        if not dot:
            nested[key] = value
        else:
            given = {} if value is None else {inner: value}
            nested[table] = (nested.get(table) or {}) | given or None
    return nested


def _pairs(items: Iterable[str], flagged: _Flagged, problems: list[Problem]) -> dict[str, str]:
    """Read NAME=VALUE; NAME alone keeps a secret out of the list of processes."""
    pairs: dict[str, str] = {}
    for item in items:
        name, given, value = item.partition("=")
        if not given and name not in os.environ:
            form = str(flagged.flag.metavar)
            reason = f"must be {form}, or a {form.partition('=')[0]} that is set"
            problems.append(Problem("command line", flagged.name, reason))
        elif name in pairs:
            problems.append(Problem("command line", flagged.name, f'"{name}" is given twice'))
        else:
            pairs[name] = value if given else os.environ[name]
    return pairs


def _items(
    items: Iterable[str], read: Callable[[str], object], name: str, problems: list[Problem]
) -> list[object]:
    """Read what is given one by one."""
    values = []
    for item in items:
        try:
            values.append(read(item))
        except ValueError as error:
            problems.append(Problem("command line", name, str(error)))
    return values
