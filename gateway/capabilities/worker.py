"""All backends of a worker, by family."""

from __future__ import annotations

from typing import Final

from gateway.capabilities import keyvalue, secrets
from gateway.capabilities.backend import Backends
from gateway.capabilities.keyvalue import KeyValueStore
from gateway.capabilities.secrets import SecretSource

__all__ = ["WorkerBackends"]


class WorkerBackends:
    """The backends that the components of a worker share, whatever is loaded.

    Attributes:
        keyvalue: key-value stores.
        secrets: where secrets are kept.
    """

    def __init__(self) -> None:
        self.keyvalue: Final[Backends[KeyValueStore]] = Backends(keyvalue.OPENERS)
        self.secrets: Final[Backends[SecretSource]] = Backends(secrets.OPENERS)
