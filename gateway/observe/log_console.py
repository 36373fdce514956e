"""The log for people who read it as it is written, on a terminal.

A line tells when, how bad, of which request, what, and then the rest. What programs need and people do not is left
out, for the log in JSON has it: dates, names of loggers, the ends of ids and digests, the trace where it is the
request's own, and fields without a value. So what the guest writes stands under what else is told of its request.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any, Final

import structlog
from structlog.dev import Column
from structlog.typing import EventDict, Processor

from gateway.observe.visible_text import visible

__all__ = ["renderer"]

_ID: Final = 8
"""Digits of an id: enough to find what belongs together on a screen, and to search a log in JSON for."""

_IDS: Final = ("request_id", "trace_id", "span_id", "digest")

_LINES: Final = ("backtrace", "frames", "exception")
"""The fields that become lines below."""

_LEVEL_WIDTH: Final = len("critical")


def renderer(*, colors: bool) -> list[Processor]:
    """The steps that write a line whose values are fit to be seen.

    Args:
        colors: whether it may have escape sequences of a terminal.
    """
    columns = [
        Column("timestamp", _Styled(_DIM, colors=colors)),
        Column("level", _level(colors=colors)),
        Column("request_id", _Styled(_CYAN, colors=colors)),
        Column("event", _Styled(_BOLD, colors=colors)),
        Column("", _Field(colors=colors)),
    ]
    return [_readable, structlog.dev.ConsoleRenderer(columns=columns, sort_keys=False)]


def _readable(_logger: object, _method: str, event: EventDict) -> EventDict:
    if event.get("trace_id") == event.get("request_id"):
        event.pop("trace_id", None)
    event.pop("logger", None)
    if (timestamp := event.get("timestamp")) is not None:
        event["timestamp"] = (
            datetime.fromisoformat(timestamp).astimezone().strftime("%H:%M:%S.%f")[:-3]
        )
    for key in _IDS:
        if isinstance(value := event.get(key), str):
            event[key] = value[:_ID]
    match event.get("event"):
        case "request":
            event["event"] = _request(event.pop)
        case "guest output":
            event["event"] = f"{_BAR[event.pop('stream', 'stdout')]} {event.pop('line', '')}"
        case "guest log":
            words = (event.pop("context", ""), event.pop("message", ""))
            event["event"] = f"{_BAR['stdout']} {': '.join(filter(None, words))}"
        case name if (reason := event.pop("reason", None)) is not None:
            event["event"] = f"{name}: {reason}"
    below = [line for key in _LINES for line in _below(event.pop(key, None))]
    told = {key: value for key, value in event.items() if value not in (None, "", [], (), {})}
    told["request_id"] = (event.get("request_id") or "").ljust(_ID)
    if below:
        told["exception"] = "\n".join(below)
    return told


_BAR: Final = {"stdout": "|", "stderr": "!"}
"""What stands before a line that a guest has written."""


def _request(take: Any) -> str:
    """What the line of a request tells, as people say it; whatever takes a field out of it."""
    method, authority, path = take("method", ""), take("authority", None) or "", take("path", "")
    ends = [str(take("status", 0) or "no response")]
    if (outcome := take("outcome", None)) not in (None, "ok"):
        ends.append(outcome)
    ends.append(f"{take('duration_ms', 0):.1f} ms")
    ends.append(f"{take('sent', 0)} bytes")
    return f"{method} {authority}{path} {', '.join(ends)}"


def _below(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    return [f"    at {visible(str(frame))}" for frame in value or ()]  # which guests name


def _text(value: object) -> str:
    """A value of a field: as it is where it is one word, so that it can be copied."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    text = visible(str(value))
    return shlex.quote(text) if any(map(str.isspace, text)) else text


# --- colors -----------------------------------------------------------------------------------------------------

_RESET: Final = "\x1b[0m"
_BOLD: Final = "\x1b[1m"
_DIM: Final = "\x1b[2m"
_RED: Final = "\x1b[31m"
_YELLOW: Final = "\x1b[33m"
_CYAN: Final = "\x1b[36m"

_LEVELS: Final = {"warning": _YELLOW, "error": _RED, "critical": _RED}


class _Styled:
    """A value in a style, without its key."""

    def __init__(self, style: str, *, colors: bool) -> None:
        self._begin, self._end = (style, _RESET) if colors else ("", "")

    def __call__(self, key: str, value: object) -> str:  # noqa: ARG002 - what structlog calls it with
        return f"{self._begin}{value}{self._end}"


def _level(*, colors: bool) -> Any:
    styles = {name: _Styled(style, colors=colors) for name, style in _LEVELS.items()}
    plain = _Styled("", colors=False)
    return lambda key, value: styles.get(value, plain)(key, str(value).ljust(_LEVEL_WIDTH))


class _Field:
    """A key and its value."""

    def __init__(self, *, colors: bool) -> None:
        self._key = _Styled(_DIM, colors=colors)

    def __call__(self, key: str, value: object) -> str:
        return f"{self._key(key, f'{key}=')}{_text(value)}"
