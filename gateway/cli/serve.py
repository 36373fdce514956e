"""`gateway serve`: the gateway itself."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from gateway import app, server
from gateway.cli.flags import flags
from gateway.cli.options import SERVER, Target, option, read
from gateway.lifecycle.builds import BuildLog, Builds

__all__ = ["serve"]


@flags()
def serve(
    target: Target,
    *,
    watch: Annotated[
        bool,
        option(
            "--watch",
            None,
            "Reload what has changed in the files, and build what has a build.",
            SERVER,
        ),
    ] = False,
    **keys: Any,
) -> None:
    """Serve a component, or the components of a configuration, until a signal ends it.

    Flags of the server go before the keys of a gateway.toml. Those of a component are refused beside
    one: there, each component has its own.
    """
    read_again = functools.partial(read, target, unbuilt=watch, **keys)
    config = read_again()
    with Builds(BuildLog()) if watch else nullcontext() as builds:
        status = server.serve(
            config,
            create_app=functools.partial(app.create_app, modular=watch),
            verify=functools.partial(app.verify, modular=watch),
            read=read_again,
            watch=target if watch else None,
            builds=builds,
        )
    raise typer.Exit(status)
