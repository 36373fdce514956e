"""What `wasmcloud:secrets` needs of a place where secrets are kept. Each backend implements this protocol."""

from __future__ import annotations

from typing import Final, Protocol
from urllib.parse import unquote

from gateway.capabilities.backend import Backend, BackendError
from gateway.config.backend_url import BackendURL

__all__ = ["GONE", "MAX_SECRET", "SecretSource", "check_size", "split_name"]

GONE: Final = "the secret cannot be read any more"
"""What is told of one that is missing, and of one that may not be read."""

MAX_SECRET: Final = 64 << 10
"""Bytes of a secret. Arbitrary: keys, tokens and chains of certificates are smaller."""


class SecretSource(Backend, Protocol):
    """A place where secrets are kept.

    It keeps none of them itself: each is read when it is revealed, so that one that was replaced is seen at once,
    and no more of them is in memory than guests are about to get.
    """

    def check(self, name: str) -> None:
        """See that a secret is there, when a component is put in service. It may block: there is no event loop.

        Raises:
            BackendUnusable: it is not, or cannot be read.
        """

    async def read(self, name: str) -> bytes:
        """The value of a secret.

        Raises:
            BackendError: it is not there any more, or cannot be read.
        """


def check_size(value: bytes, where: str) -> bytes:
    """A value that is not too large.

    Raises:
        BackendError: it is; the log is told where.
    """
    if len(value) > MAX_SECRET:
        raise BackendError(GONE, f"{where} has more than {MAX_SECRET} bytes")
    return value


def split_name(url: BackendURL, name: str) -> tuple[BackendURL, str]:
    """A place, and what a secret is called there, which URLs of Vault may say themselves: `#NAME`.

    So all secrets of one place share what reads them.

    Args:
        url: as the operator has it.
        name: what the secret is called where that does not say it.
    """
    if not url.scheme.startswith("vault+"):
        return url, name
    rest, _, said = url.rest.partition("#")
    return BackendURL(url.scheme, rest), unquote(said) or name
