"""The program: its commands, and what becomes of their failures."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated, Final, NoReturn

import typer

from gateway import __version__, server
from gateway.cli import claims
from gateway.cli.build import build
from gateway.cli.call import call
from gateway.cli.check import check
from gateway.cli.client import client
from gateway.cli.componentize import componentize
from gateway.cli.dev import dev
from gateway.cli.doctor import doctor
from gateway.cli.inspect import inspect
from gateway.cli.new import new
from gateway.cli.schema import schema
from gateway.cli.serve import serve
from gateway.cli.status import FAILED, REFUSED
from gateway.cli.stubs import stubs
from gateway.config import ConfigError
from gateway.host.errors import ComponentError
from gateway.observe.telemetry import TelemetryError
from gateway.wasm.claims import ClaimsError

__all__ = ["app", "main"]

_TABLE_WIDTH: Final = 110
"""Columns of a terminal that a table of options needs: in fewer, it would cut the names of flags."""

app = typer.Typer(
    rich_markup_mode="rich" if shutil.get_terminal_size().columns >= _TABLE_WIDTH else None,
    help="Serve WebAssembly components over HTTP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: Final = (
    new,
    doctor,
    serve,
    build,
    dev,
    check,
    schema,
    inspect,
    call,
    client,
    stubs,
    componentize,
    claims.sign,
    claims.verify,
)
for command in _COMMANDS:
    app.command()(command)

_keys = typer.Typer(help="Keys that sign components.", no_args_is_help=True)
_keys.callback()(lambda: None)  # else a program of one command has no names for it
_keys.command("generate")(claims.keys_generate)
app.add_typer(_keys, name="keys")


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


def main() -> NoReturn:
    """Run the command line: what goes wrong is told in words, and in the exit status."""
    # Python objects that links name are found in the folder it is started in, after all that is installed.
    sys.path.append("")
    try:
        app(prog_name="gateway")
    except ConfigError as error:
        _end(REFUSED, "this configuration is refused:", str(error))
    except ClaimsError as error:
        _end(REFUSED, str(error))
    except ComponentError as error:
        _end(REFUSED, "this component is refused:", str(error))
    except TelemetryError as error:
        _end(REFUSED, str(error))
    except server.ListenError as error:
        _end(FAILED, str(error))
    except OSError as error:
        _end(FAILED, _told(error))
    sys.exit()


def _told(error: OSError) -> str:
    """What the system refused, without the number that Python puts before it."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"


def _end(status: int, *lines: str) -> NoReturn:
    message = "\n".join(lines).replace("\n", "\n  ")
    typer.echo(f"gateway: {message}", err=True)
    sys.exit(status)
