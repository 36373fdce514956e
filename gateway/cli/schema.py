"""`gateway schema`: what a configuration may say, for editors."""

from __future__ import annotations

import json

import typer

from gateway.config.schema import configuration_schema

__all__ = ["schema"]


def schema() -> None:
    """Print a JSON Schema of gateway.toml, by which an editor completes, explains and checks it.

    Save it, and have the first line of the configuration name the file: #:schema ./gateway.schema.json
    """
    typer.echo(json.dumps(configuration_schema(), indent=2))
