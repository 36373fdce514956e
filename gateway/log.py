"""Logging: one renderer, one stream, two ways in.

The gateway's own code logs through structlog, which renders and writes at once; libraries log through
the standard library, whose records are rendered by the same processors. Each event is one write.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

__all__ = ["configure", "logger"]

_TIMESTAMP: Final = structlog.processors.TimeStamper(fmt="iso", utc=True)


def configure(
    format: Literal["auto", "json", "console"] = "auto",  # noqa: A002
    level: Literal["debug", "info", "warning", "error", "critical"] = "info",
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and the standard library's logging for this process.

    Loggers are cached at their first use: configure before anything logs.

    Args:
        format: "json" for machines, "console" for people, "auto" for console where the stream is a
            terminal and JSON elsewhere.
        level: the least severe level that is written.
        stream: where to; stderr by default.
    """
    stream = stream or sys.stderr
    severity = logging.getLevelNamesMapping()[level.upper()]
    console = format == "console" or (format == "auto" and stream.isatty())
    render = _render_for_people(stream.isatty()) if console else _render_for_machines()

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.stdlib.add_logger_name,
            _TIMESTAMP,
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=_Factory(stream),
        cache_logger_on_first_use=True,
    )

    handler = logging.StreamHandler(stream)
    handler.addFilter(_not_on_purpose)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _TIMESTAMP,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=severity, force=True)
    logging.captureWarnings(capture=True)
    # uvicorn tells in four lines at "info" what the gateway's "listening" says in one.
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(severity if level == "debug" else max(severity, logging.WARNING))


def logger(name: str, level: str | None) -> Any:
    """A logger of its own level, however severe the lines of others must be.

    Args:
        name: the logger's name.
        level: the least severe level that is written; None for that of `configure`.
    """
    if level is None:
        return structlog.get_logger(name)
    severity = logging.getLevelNamesMapping()[level.upper()]
    return structlog.wrap_logger(
        None,
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory_args=(name,),
    )


def _render_for_people(colors: bool) -> list[Processor]:
    # Tracebacks stay plain: structlog's default, where rich is installed, prints the values of local
    # variables, and with them a component's environment.
    return [
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _render_for_machines() -> list[Processor]:
    return [structlog.processors.format_exc_info, _in_order, structlog.processors.JSONRenderer()]


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put what every line has before what only this one has."""
    common = {key: event.pop(key, None) for key in ("timestamp", "level", "logger", "event")}
    return {**common, **event}


_ON_PURPOSE: Final = frozenset({"ResponseAborted", "CancelledError"})
"""Exceptions by which the application ends a response, or the server the application."""


def _not_on_purpose(record: logging.LogRecord) -> bool:
    """Drop uvicorn's tracebacks of what was meant to happen.

    Raising out of the application is the one way to make uvicorn close a connection whose response has
    begun, and cancelling it the one way to stop it; who does so has logged the reason.
    """
    if record.name != "uvicorn.error" or not record.exc_info or record.exc_info[0] is None:
        return True
    return record.exc_info[0].__name__ not in _ON_PURPOSE


class _Named(structlog.WriteLogger):
    """A writer that knows the name it was asked for by, as `add_logger_name` expects."""

    def __init__(self, stream: TextIO, name: str | None) -> None:
        super().__init__(stream)
        self.name = name or "gateway"


class _Factory:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *args: Any) -> _Named:
        return _Named(self._stream, args[0] if args else None)
