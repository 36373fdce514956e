"""Where secrets are kept: what `wasmcloud:secrets` needs of such a place, and those that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.capabilities.backend import Opener, missing_extra
from gateway.capabilities.secrets.environment import Environment
from gateway.capabilities.secrets.file import Files
from gateway.capabilities.secrets.source import MAX_SECRET, SecretSource, split_name
from gateway.config.backend_url import BackendURL

__all__ = ["MAX_SECRET", "OPENERS", "SecretSource", "split_name"]


def _vault(url: BackendURL) -> SecretSource:
    try:
        from gateway.capabilities.secrets.vault import Vault  # noqa: PLC0415 - for those who use it
    except ModuleNotFoundError:
        raise missing_extra("vault") from None
    return Vault(url)


OPENERS: Final[Mapping[str, Opener[SecretSource]]] = {
    "env": Environment,
    "file": Files,
    "vault+http": _vault,
    "vault+https": _vault,
}
"""What opens one, by the scheme of its URL."""
