"""The parameters that commands share, and how they become keys of a configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.config import ConfigError, GatewayConfig, Problem, load, single

__all__ = [
    "COMPONENT",
    "SERVER",
    "AllowedOutboundHosts",
    "Arguments",
    "CaFiles",
    "CacheDir",
    "ComponentFile",
    "Environment",
    "LogFormat",
    "LogLevel",
    "MaxExecutionTime",
    "MaxMemory",
    "Mounts",
    "NoCache",
    "Target",
    "component_keys",
    "option",
    "read",
]

SERVER: Final = "Server"
COMPONENT: Final = "Component"


def option(flag: str, metavar: str | None, text: str, panel: str) -> Any:
    """A parameter that is None where it was not given."""
    return typer.Option(flag, metavar=metavar, help=text, rich_help_panel=panel, show_default=False)


Target = Annotated[
    Path,
    typer.Argument(
        metavar="TARGET",
        help="A component (app.wasm, app.wat), or a configuration of many (gateway.toml).",
        show_default=False,
    ),
]
ComponentFile = Annotated[
    Path,
    typer.Argument(
        metavar="COMPONENT", help="A component (app.wasm, app.wat).", show_default=False
    ),
]

CaFiles = Annotated[
    list[Path] | None,
    option(
        "--ca-file",
        "FILE",
        "Certificates in PEM that components trust besides those of the system. Repeatable.",
        SERVER,
    ),
]
LogFormat = Annotated[
    str | None, option("--log-format", "auto|json|console", "Default auto.", SERVER)
]
LogLevel = Annotated[
    str | None,
    option("--log-level", "debug|info|warning|error|critical", "Default info.", SERVER),
]
CacheDir = Annotated[
    Path | None, option("--cache-dir", "DIR", "Where compiled components are kept.", SERVER)
]
NoCache = Annotated[
    bool, option("--no-cache", None, "Compile at each start; keep nothing.", SERVER)
]

MaxExecutionTime = Annotated[
    str | None,
    option("--max-execution-time", "DURATION", "Of one request. Default 30s.", COMPONENT),
]
MaxMemory = Annotated[
    str | None, option("--max-memory", "SIZE", "Of an instance. Default 256MiB.", COMPONENT)
]
Environment = Annotated[
    list[str] | None,
    option(
        "--env",
        "NAME=VALUE",
        "What the component finds in its environment; NAME alone has the value it has here. "
        "Repeatable.",
        COMPONENT,
    ),
]
Arguments = Annotated[
    list[str] | None,
    option("--arg", "TEXT", "An argument of the component. Repeatable.", COMPONENT),
]
Mounts = Annotated[
    list[str] | None,
    option(
        "--mount",
        "HOST:GUEST[:rw]",
        "A folder of the host, and the absolute path where the component finds it; read-only without "
        ":rw. Repeatable.",
        COMPONENT,
    ),
]
AllowedOutboundHosts = Annotated[
    list[str] | None,
    option(
        "--allow-outbound-host",
        "SCHEME://HOST:PORT",
        "A server that the component may reach, such as https://api.example.com or "
        "https://*.example.com:8443. Repeatable.",
        COMPONENT,
    ),
]


def read(target: Path, **flags: Any) -> GatewayConfig:
    """Read a configuration, or make one for a component alone.

    Args:
        target: the file.
        **flags: keys of a configuration; None where not given.

    Raises:
        ConfigError: with every problem of the file and the flags.
    """
    return (load if target.suffix.lower() == ".toml" else single)(target, **flags)


def component_keys(
    *,
    environment: list[str] | None,
    arguments: list[str] | None,
    mounts: list[str] | None,
    allowed_outbound_hosts: list[str] | None,
) -> dict[str, Any]:
    """What the flags say that a component is given, as keys of its configuration.

    Raises:
        ConfigError: with every flag that cannot be read.
    """
    problems: list[Problem] = []
    variables = _environment(environment or (), problems)
    folders = _mounts(mounts or (), problems)
    if problems:
        raise ConfigError(problems)
    return {
        "environment": variables or None,
        "arguments": arguments or None,
        "mounts": folders or None,
        "allowed_outbound_hosts": allowed_outbound_hosts or None,
    }


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
