"""`gateway serve`: the gateway itself."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import typer

from gateway import app, server
from gateway.cli.flags import flags
from gateway.cli.options import SERVER, Target, option, read

__all__ = ["serve"]


@flags()
def serve(
    target: Target,
    *,
    watch: Annotated[
        bool, option("--watch", None, "Reload what has changed in the files.", SERVER)
    ] = False,
    **keys: Any,
) -> None:
    """Serve a component, or the components of a configuration, until a signal ends it.

    Flags of the server go before the keys of a gateway.toml. Those of a component are refused beside
    one: there, each component has its own.
    """
    read_again = functools.partial(read, target, **keys)
    status = server.serve(
        read_again(),
        create_app=app.create_app,
        verify=app.verify,
        read=read_again,
        watch=target if watch else None,
    )
    raise typer.Exit(status)
