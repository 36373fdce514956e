"""Where secrets are kept: what `wasmcloud:secrets` needs of such a place, and those that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.capabilities.backend import Opener
from gateway.capabilities.secrets.environment import Environment
from gateway.capabilities.secrets.file import Files
from gateway.capabilities.secrets.source import MAX_SECRET, SecretSource

__all__ = ["MAX_SECRET", "OPENERS", "SecretSource"]

OPENERS: Final[Mapping[str, Opener[SecretSource]]] = {"env": Environment, "file": Files}
"""What opens one, by the scheme of its URL."""
