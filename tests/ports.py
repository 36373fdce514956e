"""Ports of the loopback interface for what is told its port before it starts, or starts there again."""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import suppress
from typing import Final

__all__ = ["free_port"]

_FIRST: Final = 20_000
_COUNT: Final = 12_000
"""Below the ports that systems hand out themselves (Linux: from 32768 on): while nothing listens at one of these,
nobody who asks for any port, or connects somewhere, is given it."""

# Tests run in several processes, whose ids are near each other: each begins somewhere else. OpenBao has the port
# that follows its own too.
_ports: Final = itertools.count(os.getpid() * 257 * 2, 2)


def free_port() -> int:
    """A port that nothing listens at, and that no other test is given."""
    for number in itertools.islice(_ports, _COUNT):
        port = _FIRST + number % _COUNT
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")
