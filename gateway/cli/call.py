"""`gateway call`: one method of a component, without a server.

Exit statuses: 0, the function returned (ok, if it returns a result); 1, it returned err; 2, what was asked for is
wrong: usage, component, method or parameters; 3, the component failed; 4, it took too long.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any, Final

import typer

from gateway.cli.flags import flags
from gateway.cli.options import ComponentFile
from gateway.cli.status import REFUSED
from gateway.config import single
from gateway.host.errors import ResultTooLarge, Trap
from gateway.host.values import Err
from gateway.json.text import InvalidJson, dump, parse
from gateway.observe import log
from gateway.observe.events import DynamicExportReturned, Outcome
from gateway.rpc.json_values import InvalidValue
from gateway.rpc.procedure import Procedure
from gateway.serving.call import Call
from gateway.serving.loading import load_services
from gateway.serving.runtime import Runtime
from gateway.serving.service import Service
from gateway.units import format_size

__all__ = ["call"]

RETURNED_ERR: Final = 1
COMPONENT_FAILED: Final = 3
DEADLINE: Final = 4

_FAILURES: Final = {
    Outcome.DEADLINE: (DEADLINE, "{}; --max-execution-time gives it more"),
    Outcome.CPU_TIME: (DEADLINE, "{}; --max-cpu-time gives it more"),
    Outcome.EXHAUSTED: (COMPONENT_FAILED, "{}"),
    Outcome.TRAP: (COMPONENT_FAILED, "the component trapped: {}"),
    Outcome.ERR: (COMPONENT_FAILED, "{}"),  # it exited, and owed a value
}
"""Exit status and what is told where the function has not returned. All else is the gateway's own failure."""

_REQUEST_ID: Final = "call"
"""What joins the log lines of the one call that is made."""


@flags(
    *("ca_files", "log_level", "cache", "cache_dir", "rpc_max_result"),
    *("max_execution_time", "max_cpu_time", "max_memory"),
    *("environment", "arguments", "mounts", "config_file", "config_env_prefix", "config"),
    *("keyvalue", "blobstore", "secrets", "messaging.url", "messaging.publish"),
    *("links", "allowed_outbound_hosts"),
)
def call(
    component: ComponentFile,
    method: Annotated[
        str | None,
        typer.Argument(
            metavar="METHOD",
            help="interface.function, or the full name as `gateway inspect` has it. Without one, all are listed.",
            show_default=False,
        ),
    ] = None,
    params: Annotated[
        str,
        typer.Argument(
            metavar="PARAMS",
            help="A JSON object by name, an array by position, or - to read either from the standard input.",
        ),
    ] = "[]",
    **keys: Any,
) -> None:
    """Call a function that a component exports, and print what it returns as JSON, or list those that it has.

    What it returns goes to standard output; an err goes to standard error, as does what the component writes
    itself. Exit status: 0 returned, 1 returned err, 2 wrong usage, method or parameters, 3 the component failed,
    4 it took too long.
    """
    keys["log_level"] = keys["log_level"] or "warning"
    config = single(component, max_concurrency=1, **keys)
    log.configure("auto", config.server.log_level)
    (service,) = load_services(config, Runtime.quiet())
    max_result = config.server.rpc_max_result
    raise typer.Exit(asyncio.run(_perform(service, method, params, max_result)))


async def _perform(service: Service, method: str | None, params: str, max_result: int) -> int:
    """Make the call and print what comes of it; returns the exit status."""
    try:
        if method is None:
            return _list(service)
        procedure = service.procedures.get(method)
        if procedure is None:
            return _refuse(_unknown(service, method))
        try:
            text = (
                sys.stdin.buffer.read()
                if params == "-"
                else params.encode(errors="surrogateescape")
            )
            arguments = procedure.arguments(parse(text))
        except InvalidJson as error:
            return _refuse(f"PARAMS is not JSON: {error}")
        except InvalidValue as error:
            where = f"PARAMS{error.pointer}"
            return _refuse(f"{where}: expected {error.expected}\n{_signature(procedure)}")
        return await _run(service, procedure, arguments, max_result)
    finally:
        await service.aclose()


async def _run(
    service: Service, procedure: Procedure, arguments: list[Any], max_result: int
) -> int:
    with (
        await service.gate.enter() as place,
        Call(
            service,
            procedure.export,
            arguments,
            place=place,
            event=DynamicExportReturned,
            request_id=_REQUEST_ID,
            output=_write,
            in_pieces=True,
            max_result=max_result,
            reports=lambda: False,
        ) as call,
    ):
        answer = await call.perform(procedure)
    if isinstance(answer, Exception):
        return _failed(call.outcome, answer)
    typer.echo(dump(procedure.encode(answer)), err=isinstance(answer, Err))
    return RETURNED_ERR if isinstance(answer, Err) else 0


def _failed(outcome: Outcome, failure: Exception) -> int:
    if isinstance(failure, ResultTooLarge):
        larger = f"the result is larger than {format_size(failure.most)}"
        return _refuse(f"{larger}; --rpc-max-result allows more", COMPONENT_FAILED)
    if outcome not in _FAILURES:
        raise failure
    status, words = _FAILURES[outcome]
    frames = failure.backtrace if isinstance(failure, Trap) else ()
    return _refuse("\n  at ".join((words.format(failure), *frames)), status)


def _write(_stream: str, data: bytes) -> None:
    sys.stderr.buffer.write(data)
    sys.stderr.buffer.flush()


def _refuse(reason: str, status: int = REFUSED) -> int:
    typer.echo(f"gateway: {reason}", err=True)
    return status


def _list(service: Service) -> int:
    """Print what can be called, with its types."""
    if not service.procedures:
        return _refuse(_no_methods(service))
    for method in service.methods.served:
        typer.echo(f"{method.short or method.name}: {method.type}")
    return 0


def _unknown(service: Service, name: str) -> str:
    if not service.procedures:
        return _no_methods(service)
    return f"{service.config.source} has no method {name}: {service.methods.meant(name)}"


def _no_methods(service: Service) -> str:
    source = service.config.source
    return (
        f"{source} exports no functions that can be called with JSON; `gateway inspect` tells why"
    )


def _signature(procedure: Procedure) -> str:
    return f"{procedure.method.name}: {procedure.method.type}"
