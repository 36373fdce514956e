"""The command line: `gateway serve`, `gateway check` and `gateway inspect`.

Exit statuses: 0, all is well; 1, the server could not run; 2, what was asked for is wrong (usage,
configuration, component).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from gateway import __version__, log, server
from gateway import app as application
from gateway.config import ConfigError, GatewayConfig, Problem, load, single
from gateway.host.errors import ComponentError
from gateway.inspect import describe
from gateway.units import format_duration, format_size

__all__ = ["app", "main"]

app = typer.Typer(
    help="Serve WebAssembly components over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FAILED: Final = 1
REFUSED: Final = 2

Target = Annotated[
    Path,
    typer.Argument(
        metavar="TARGET",
        help="A component (app.wasm, app.wat), or a configuration of many (gateway.toml).",
        show_default=False,
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"component-gateway {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def _option(flag: str, metavar: str | None, text: str, panel: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, rich_help_panel=panel, show_default=False)


_SERVER: Final = "Server"
_COMPONENT: Final = "Component"


@app.command()
def serve(
    target: Target,
    *,
    host: Annotated[
        str | None, _option("--host", None, "Address to listen on. Default 127.0.0.1.", _SERVER)
    ] = None,
    port: Annotated[
        int | None, _option("--port", None, "TCP port, 0 for any free one. Default 8080.", _SERVER)
    ] = None,
    workers: Annotated[
        int | None, _option("--workers", None, "Processes. Default 1.", _SERVER)
    ] = None,
    trusted_proxies: Annotated[
        list[str] | None,
        _option(
            "--trusted-proxy",
            "NETWORK",
            "Believe Forwarded and X-Forwarded-* of these addresses. Repeatable.",
            _SERVER,
        ),
    ] = None,
    forwarded_header: Annotated[
        str | None,
        _option(
            "--forwarded-header",
            "forwarded|x-forwarded",
            "Which of the two these proxies maintain. Default: either.",
            _SERVER,
        ),
    ] = None,
    ca_files: Annotated[
        list[Path] | None,
        _option(
            "--ca-file",
            "FILE",
            "Certificates in PEM that components trust besides those of the system. Repeatable.",
            _SERVER,
        ),
    ] = None,
    log_format: Annotated[
        str | None, _option("--log-format", "auto|json|console", "Default auto.", _SERVER)
    ] = None,
    log_level: Annotated[
        str | None,
        _option("--log-level", "debug|info|warning|error|critical", "Default info.", _SERVER),
    ] = None,
    access_log: Annotated[
        bool | None,
        _option("--access-log/--no-access-log", None, "Log each request. Default on.", _SERVER),
    ] = None,
    cache_dir: Annotated[
        Path | None,
        _option("--cache-dir", "DIR", "Where compiled components are kept.", _SERVER),
    ] = None,
    no_cache: Annotated[
        bool, _option("--no-cache", None, "Compile at each start; keep nothing.", _SERVER)
    ] = False,
    http: Annotated[
        str | None, _option("--http", "auto|httptools|h11", "HTTP parser. Default auto.", _SERVER)
    ] = None,
    loop: Annotated[
        str | None, _option("--loop", "auto|uvloop|asyncio", "Event loop. Default auto.", _SERVER)
    ] = None,
    max_execution_time: Annotated[
        str | None,
        _option("--max-execution-time", "DURATION", "Of one request. Default 30s.", _COMPONENT),
    ] = None,
    max_memory: Annotated[
        str | None,
        _option("--max-memory", "SIZE", "Of one linear memory. Default 256MiB.", _COMPONENT),
    ] = None,
    max_body: Annotated[
        str | None,
        _option("--max-body", "SIZE", "Of one request. Default unlimited.", _COMPONENT),
    ] = None,
    max_concurrency: Annotated[
        int | None,
        _option(
            "--max-concurrency", None, "Requests at once in a worker. Default 1024.", _COMPONENT
        ),
    ] = None,
    environment: Annotated[
        list[str] | None,
        _option(
            "--env",
            "NAME=VALUE",
            "What the component finds in its environment; NAME alone has the value it has here. "
            "Repeatable.",
            _COMPONENT,
        ),
    ] = None,
    arguments: Annotated[
        list[str] | None,
        _option("--arg", "TEXT", "An argument of the component. Repeatable.", _COMPONENT),
    ] = None,
    mounts: Annotated[
        list[str] | None,
        _option(
            "--mount",
            "HOST:GUEST[:rw]",
            "A folder of the host, and the absolute path where the component finds it; read-only without "
            ":rw. Repeatable.",
            _COMPONENT,
        ),
    ] = None,
    allowed_outbound_hosts: Annotated[
        list[str] | None,
        _option(
            "--allow-outbound-host",
            "SCHEME://HOST:PORT",
            "A server that the component may reach, such as https://api.example.com or "
            "https://*.example.com:8443. Repeatable.",
            _COMPONENT,
        ),
    ] = None,
) -> None:
    """Serve a component, or the components of a configuration, until a signal ends it.

    Flags of the server go before the keys of a gateway.toml. Those of a component are refused beside
    one: there, each component has its own.
    """
    problems: list[Problem] = []
    variables = _environment(environment or (), problems)
    folders = _mounts(mounts or (), problems)
    if problems:
        raise ConfigError(problems)
    config = _read(
        target,
        host=host,
        port=port,
        workers=workers,
        trusted_proxies=trusted_proxies or None,
        forwarded_header=forwarded_header,
        ca_files=ca_files or None,
        log_format=log_format,
        log_level=log_level,
        access_log=access_log,
        cache=False if no_cache else None,
        cache_dir=cache_dir,
        http=http,
        loop=loop,
        max_execution_time=max_execution_time,
        max_memory=max_memory,
        max_body=max_body,
        max_concurrency=max_concurrency,
        environment=variables or None,
        arguments=arguments or None,
        mounts=folders or None,
        allowed_outbound_hosts=allowed_outbound_hosts or None,
    )
    raise typer.Exit(server.serve(config))


@app.command()
def check(target: Target) -> None:
    """Load a configuration and its components without serving them, and tell what is wrong."""
    config = _read(target)
    log.configure("console", "warning")
    application.verify(config)
    for line in _summary(target, config):
        typer.echo(line)


@app.command()
def inspect(
    component: Annotated[
        Path,
        typer.Argument(
            metavar="COMPONENT", help="A component (app.wasm, app.wat).", show_default=False
        ),
    ],
) -> None:
    """Show what a component imports and exports, with its digest and size."""
    typer.echo(describe(component))


def _read(target: Path, **flags: Any) -> GatewayConfig:
    read = load if target.suffix.lower() == ".toml" else single
    return read(target, **flags)


def _environment(items: Iterable[str], problems: list[Problem]) -> dict[str, str]:
    """Read NAME=VALUE; NAME alone keeps a secret out of the list of processes."""
    environment: dict[str, str] = {}
    for item in items:
        name, given, value = item.partition("=")
        if not given and name not in os.environ:
            problems.append(
                Problem("command line", "--env", "must be NAME=VALUE, or a NAME that is set")
            )
        elif name in environment:
            problems.append(Problem("command line", "--env", f'"{name}" is given twice'))
        else:
            environment[name] = value if given else os.environ[name]
    return environment


# As Docker has it, though what is not said to be writable is not. The guest's path is absolute, so colons in the
# host's do no harm; one at its end is Wasmtime's HOST::GUEST, which must not be taken for a folder's name.
_MOUNT: Final = re.compile(r"(?P<host>.*[^:]):(?P<guest>/[^:]*)(?::(?P<mode>ro|rw))?", re.DOTALL)


def _mounts(items: Iterable[str], problems: list[Problem]) -> list[dict[str, Any]]:
    """Read HOST:GUEST, HOST:GUEST:ro and HOST:GUEST:rw."""
    mounts = []
    for item in items:
        match = _MOUNT.fullmatch(item)
        if match is None:
            reason = f'must be HOST:GUEST or HOST:GUEST:rw, such as "data:/data", not "{item}"'
            problems.append(Problem("command line", "--mount", reason))
        else:
            mounts.append(
                {"host": match["host"], "guest": match["guest"], "writable": match["mode"] == "rw"}
            )
    return mounts


def _summary(target: Path, config: GatewayConfig) -> Iterable[str]:
    server = config.server
    yield f"{target} is well"
    yield f"  listens on {server.host} port {server.port}, workers: {server.workers}"
    yield f"  keeps compiled components in {server.cache_dir or 'no cache'}"
    for component in config.components:
        yield f"component {component.name}"
        yield f"  source              {component.source}"
        yield f"  routes              {', '.join(map(str, component.routes))}"
        yield f"  max_execution_time  {format_duration(component.max_execution_time)}"
        yield f"  max_memory          {format_size(component.max_memory)}"
        max_body = component.max_body
        yield f"  max_body            {'unlimited' if max_body is None else format_size(max_body)}"
        yield f"  max_concurrency     {component.max_concurrency}"


def main() -> NoReturn:
    """Run the command line: what goes wrong is told in words, and in the exit status."""
    try:
        app(prog_name="gateway")
    except ConfigError as error:
        _end(REFUSED, "this configuration is refused:", str(error))
    except ComponentError as error:
        _end(REFUSED, "this component is refused:", str(error))
    except (server.ListenError, OSError) as error:
        _end(FAILED, str(error))
    sys.exit()


def _end(status: int, *lines: str) -> NoReturn:
    message = "\n".join(lines).replace("\n", "\n  ")
    typer.echo(f"gateway: {message}", err=True)
    sys.exit(status)
