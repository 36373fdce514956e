"""Spans: what the gateway does for a request, told to an OpenTelemetry collector where that is wanted.

The rest of the gateway knows `Tracer` and `Span`, and has none where tracing is off. OpenTelemetry is an optional
extra, imported when a process of the gateway starts to trace, and never otherwise.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Final

from gateway.observe.tracer import Span, Tracer

__all__ = ["Span", "TelemetryError", "Tracer", "check", "start"]

_NEEDED: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class TelemetryError(Exception):
    """Tracing was asked for and cannot be had. The message says why and what to do."""


def check() -> None:
    """See whether tracing can be had, without starting it.

    Raises:
        TelemetryError: OpenTelemetry is not installed, or told to export in a way that the gateway does not.
    """
    if not all(map(_is_installed, _NEEDED)):
        raise TelemetryError(
            "tracing needs OpenTelemetry, which is not installed: pip install 'component-gateway[otel]', "
            "or set tracing = false"
        )
    exporter = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter not in {"otlp", "none"}:
        raise TelemetryError(
            f'OTEL_TRACES_EXPORTER is "{exporter}": the gateway exports spans by "otlp", or with "none" not at all'
        )
    for variable in _PROTOCOLS:
        protocol = os.environ.get(variable)
        if protocol and protocol != "http/protobuf":
            raise TelemetryError(
                f'{variable} is "{protocol}": the gateway exports spans by "http/protobuf" alone'
            )
        if protocol:  # the first, which is for spans, counts for more
            break


def start() -> Tracer | None:
    """Trace in this process, which must not fork afterwards, as the environment variables `OTEL_*` say.

    Those of the SDK count: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. The
    tracer belongs to one event loop. It is to be closed. None where they switch the SDK off.

    Raises:
        TelemetryError: see `check`.
    """
    check()
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    from gateway.observe.recorder import Recorder  # noqa: PLC0415 - the extra is optional, and slow to import

    return Recorder()


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False
