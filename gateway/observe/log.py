"""Logging: what becomes of the lines, in a process of the gateway's own or in someone else's.

The gateway's own code logs through structlog. Where the gateway is the program, `configure` has its lines
rendered and written, and those of libraries, which log through the standard library, by the same processors.
Where it is part of another application, its lines go to that application's `logging`, unless it says otherwise:
see `embed`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

from gateway.config import ServerConfig
from gateway.config.values import LogFormat, LogLevel
from gateway.observe.log_rendering import bounded, for_logging, for_machines, for_people
from gateway.observe.log_stream import QueuedStream, queued_stderr

__all__ = ["configure", "drain", "dropped_lines", "embed", "hear", "logger", "serve"]

_log = structlog.get_logger("gateway.log")

_TIMESTAMP: Final = structlog.processors.TimeStamper(fmt="iso", utc=True)

_OWN: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.stdlib.add_logger_name,
    _TIMESTAMP,
]
"""The first steps of a line of the gateway's own."""


def configure(
    format: LogFormat = "auto",  # noqa: A002
    level: LogLevel = "info",
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
    severity = _severity(level)
    render = _render(format, stream)
    _configure([*_OWN, *_own.hearing, *render], severity, _Factory(stream), cache=True)

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
    # At "info", uvicorn tells in four lines what the gateway's "listening" says in one, and httpx has a line for
    # each request that it sends: for each call by a link, without a bound.
    for library in ("uvicorn.error", "httpx"):
        logging.getLogger(library).setLevel(
            severity if level == "debug" else max(severity, logging.WARNING)
        )


def hear(listener: Callable[[Mapping[str, Any]], None]) -> None:
    """Have each of the gateway's lines told to a listener, from the next `configure` on, before it is written.

    Args:
        listener: called with the fields of a line, in the thread that logs it.
    """

    def tell(_logger: object, _method: str, event: EventDict) -> EventDict:
        listener(event)
        return event

    _own.hearing = [tell]


def drain(timeout: float) -> None:
    """Wait, at most so many seconds, until what this process has logged so far has left it."""
    for handler in logging.getLogger().handlers:
        stream = getattr(handler, "stream", None)
        if isinstance(stream, QueuedStream):
            stream.drain(timeout)


def serve(format: LogFormat, level: LogLevel) -> None:  # noqa: A002
    """Set up logging for a process that serves: nothing in it waits for whoever reads its standard error.

    Args:
        format: see `configure`.
        level: see `configure`.
    """
    # Tracebacks, and whatever else is printed, too.
    sys.stderr = stream = _own.queue()
    configure(format, level, stream)


def embed(server: ServerConfig) -> None:
    """Set up the gateway's lines, and nothing else, where it is part of another application.

    They go to the standard library's loggers of their names, which begin with "gateway", for the application's
    handlers. Two keys count where they are set: below `log_level`, lines are not passed on; with a `log_format` of
    "json" or "console" they are written to standard error in it.

    An application that has configured structlog, or called `configure`, has said what becomes of them.

    Args:
        server: what was said of the server.
    """
    if structlog.is_configured() and structlog.get_config()["processors"] is not _own.embedded:
        return
    severity = _severity(server.log_level if "log_level" in server.model_fields_set else None)
    if server.log_format == "auto":
        _own.embedded = [structlog.stdlib.filter_by_level, bounded, for_logging]
        _configure(_own.embedded, severity, _standard_logger, cache=False)
    else:
        stream = _own.queue()
        _own.embedded = [*_OWN, *_render(server.log_format, stream)]
        _configure(_own.embedded, severity, _Factory(stream), cache=False)


def logger(name: str, level: LogLevel | None) -> Any:
    """A logger of its own level, however severe the lines of others must be.

    Args:
        name: the logger's name.
        level: the least severe level that is written; None for that of `configure`.
    """
    if level is None:
        return structlog.get_logger(name)
    return structlog.wrap_logger(
        None,
        wrapper_class=structlog.make_filtering_bound_logger(_severity(level)),
        logger_factory_args=(name,),
    )


def dropped_lines() -> int:
    """How many lines of this process were never written, because nobody read them or that failed."""
    return 0 if _own.stream is None else _own.stream.dropped


class _Own:
    """What this process has of its own: a queue for standard error, what `embed` has set up, who hears lines."""

    stream: QueuedStream | None = None
    embedded: list[Processor] | None = None
    hearing: Sequence[Processor] = ()

    def queue(self) -> TextIO:
        if self.stream is None:
            self.stream = queued_stderr()
            self.stream.on_dropped = _tell_dropped
        return cast("TextIO", self.stream)


_own: Final = _Own()


def _tell_dropped(lines: int, failure: str | None) -> None:
    _log.warning(
        "log lines dropped",
        lines=lines,
        reason=failure or "the log was not read as fast as it was written",
        effect="these lines are missing",
    )


def _severity(level: LogLevel | None) -> int:
    return logging.NOTSET if level is None else logging.getLevelNamesMapping()[level.upper()]


def _render(format: LogFormat, stream: TextIO) -> list[Processor]:  # noqa: A002
    if format == "console" or (format == "auto" and stream.isatty()):
        # https://no-color.org
        return for_people(colors=stream.isatty() and not os.environ.get("NO_COLOR"))
    return for_machines()


def _configure(
    processors: list[Processor], severity: int, factory: Callable[..., Any], *, cache: bool
) -> None:
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=factory,
        cache_logger_on_first_use=cache,
    )


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


def _standard_logger(*args: Any) -> logging.Logger:
    return logging.getLogger(args[0] if args else "gateway")
