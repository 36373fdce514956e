"""How the lines of the log look, and that none of them is more than a line.

Clients and guests choose much of what is logged: paths, names, messages of errors. So whoever logs, no value is
longer than a bound, and for people, who read it on terminals, no character of control is left in it.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

from gateway.observe.log_console import renderer
from gateway.observe.visible_text import visible

__all__ = ["bounded", "for_logging", "for_machines", "for_people"]

MAX_TEXT: Final = 4096
"""Characters of one value. Threat: a client whose target fills the header limit, or a guest whose names and errors
are long, writes that much to the disk with each request. Arbitrary; NGINX takes a target of twice that."""

MAX_LONG_TEXT: Final = 16 << 10
"""Characters of the values whose length is the point: a line of a guest, which is no longer anyway, a traceback,
and the reasons why components are refused."""

MAX_ITEMS: Final = 100
"""Items of one list or table. Arbitrary."""

_COLLECTIONS: Final = (list, tuple, dict)

_LONG: Final = frozenset(("exception", "line", "message", "reason"))

_JSON: Final = structlog.processors.JSONRenderer()


def for_machines() -> list[Processor]:
    """The last steps of a line in JSON, which escapes whatever is not ASCII itself."""
    return [
        structlog.processors.format_exc_info,
        _in_order,
        _as_json,
    ]


def for_people(*, colors: bool) -> list[Processor]:
    """The last steps of a line for people.

    Tracebacks are plain: those that structlog makes where rich is installed have the values of local variables,
    and with them a component's environment.
    """
    return [
        structlog.processors.format_exc_info,
        bounded,
        _without_controls,
        *renderer(colors=colors),
    ]


def for_logging(_logger: object, _method: str, event: EventDict) -> tuple[tuple[str], EventDict]:
    """The last step of a line for `logging`: what happened and the fields, as text, and as `record.gateway`."""
    exc_info = event.pop("exc_info", None)
    name = visible(str(event.pop("event", "")))
    fields = "".join(f" {key}={value!r}" for key, value in event.items())
    extra = {"gateway": {"event": name, **event}}
    return (f"{name}{fields}",), {"exc_info": exc_info, "extra": extra, "stacklevel": 3}


def bounded(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Cut what is too long."""
    for key, value in event.items():
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                event[key] = _cut(value, MAX_LONG_TEXT if key in _LONG else MAX_TEXT)
        elif isinstance(value, _COLLECTIONS):
            event[key] = _bounded(value)
    return event


def _without_controls(_logger: object, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = visible(value, "\n\t" if key == "exception" else "")
    return event


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put what every line has before what only this one has."""
    take = event.pop
    return {
        "timestamp": take("timestamp", None),
        "level": take("level", None),
        "logger": take("logger", None),
        "event": take("event", None),
        **event,
    }


def _as_json(logger: object, method: str, event: EventDict) -> str | bytes:
    line = _JSON(logger, method, event)
    # Nearly every line is shorter than one of its values may be, and none of them has to be looked at.
    return line if len(line) <= MAX_TEXT else _JSON(logger, method, bounded(logger, method, event))


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return _cut(value, MAX_TEXT)
    if not isinstance(value, _COLLECTIONS):
        return value
    more = len(value) - MAX_ITEMS
    if isinstance(value, dict):
        table = {str(key): _bounded(value[key]) for key in itertools.islice(value, MAX_ITEMS)}
        return table if more <= 0 else {**table, "...": f"{more} more"}
    items = [_bounded(item) for item in value[:MAX_ITEMS]]
    return items if more <= 0 else [*items, f"... {more} more"]


def _cut(text: str, most: int) -> str:
    """The beginning and the end of a text that is too long."""
    if len(text) <= most:
        return text
    return (
        f"{text[: most // 2]}... {len(text) - most} characters ...{text[len(text) - most // 2 :]}"
    )
