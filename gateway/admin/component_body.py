"""The description of a component in JSON: the keys of a `[[components]]` table, but for its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.admin.problems import ErrorDetail
from gateway.config.component import ComponentConfig
from gateway.config.gateway import Claim, conflicts
from gateway.config.problem import reason_of
from gateway.config.route import Route

__all__ = ["InvalidComponent", "describe", "taken_routes"]

# Where the words for a file in TOML would mislead.
_REASONS: Final = {
    "string_type": "must be a string",
    "path_type": "must be a string",
    "is_instance_of": "must be a string",
    "tuple_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}


class InvalidComponent(Exception):
    """A value does not describe a component.

    Attributes:
        errors: everything that is wrong with it.
    """

    def __init__(self, errors: Iterable[ErrorDetail]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(error.detail for error in self.errors))


def describe(name: str, value: object, base: Path, defaults: Mapping[str, Any]) -> ComponentConfig:
    """Read the description of a component.

    Args:
        name: its name.
        value: the description, in JSON's types.
        base: the folder that relative paths count from.
        defaults: the keys that it has where it does not say otherwise.

    Raises:
        InvalidComponent: it does not describe one, or its files are not there.
    """
    if not isinstance(value, dict):
        raise InvalidComponent([ErrorDetail(detail="must be an object", pointer="")])
    errors = []
    if "name" in value:
        errors.append(ErrorDetail(detail="belongs in the URL, not in the content", pointer="/name"))
    if "build" in value:  # who may change what is served may not run commands
        errors.append(ErrorDetail(detail="belongs in a configuration file", pointer="/build"))
    try:
        config = ComponentConfig.model_validate(
            {**defaults, **_with_integers(value), "name": name}, context={"base": base}
        )
    except ValidationError as error:
        raise InvalidComponent(
            [*errors, *map(_error, error.errors(include_url=False, include_input=False))]
        ) from None
    errors += _repeated_routes(config)
    if errors:
        raise InvalidComponent(errors)
    return config


def taken_routes(
    config: ComponentConfig, others: Mapping[str, Iterable[Route]]
) -> list[ErrorDetail]:
    """Say which declared routes of a component are another's.

    Args:
        config: the component.
        others: the routes of every component, by name; those of a component of the same name do not count.
    """
    owners = {
        route.key: name
        for name, routes in others.items()
        if name != config.name
        for route in routes
    }
    return [
        ErrorDetail(
            detail=f'component "{owners[route.key]}" answers {route}', pointer=f"/routes/{index}"
        )
        for index, route in _declared_routes(config)
        if route.key in owners
    ]


def _with_integers(value: Any) -> Any:
    """The value with 1 for 1.0: in JSON Schema, 6.1.1, integers are all numbers "with a zero fractional part"."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_with_integers(item) for item in value]
        case dict():
            return {key: _with_integers(item) for key, item in value.items()}
    return value


def _declared_routes(config: ComponentConfig) -> Iterable[tuple[int, Route]]:
    # Whether it has the default depends on what it exports.
    return enumerate(config.routes) if "routes" in config.model_fields_set else ()


def _repeated_routes(config: ComponentConfig) -> Iterable[ErrorDetail]:
    routes = {f"/routes/{index}": route for index, route in _declared_routes(config)}
    for pointer, reason in conflicts([Claim("component", config.name, routes)]):
        yield ErrorDetail(detail=reason, pointer=pointer)


def _error(error: ErrorDetails) -> ErrorDetail:
    location = error["loc"]
    reason = _REASONS.get(error["type"]) or reason_of(
        error, ComponentConfig, hidden={"name", "build"}
    )
    if location == ("name",):
        return ErrorDetail(detail=reason, parameter="name")
    # pydantic marks what is wrong with the name of a variable so, and "TOKEN=hunter2" is no name to repeat.
    if location[-1:] == ("[key]",):
        location = location[:-2]
    return ErrorDetail(detail=reason, pointer=_pointer(location))


def _pointer(location: tuple[Any, ...]) -> str:
    """A JSON Pointer (RFC 6901, section 3)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
