"""Reads TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from gateway.units import format_size

__all__ = ["read_toml"]


def read_toml(path: Path, max_size: int, open_file: Callable[[Path], BinaryIO]) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: the file.
        max_size: bytes that it may have.
        open_file: opens it, and raises OSError.

    Raises:
        ValueError: it cannot be read, or is no TOML; the message is the reason, in words that follow a path.
    """
    try:
        with open_file(path) as file:
            content = file.read(max_size + 1)
        if len(content) <= max_size:
            return tomllib.loads(content.decode())
        reason = f"has more than {format_size(max_size)}"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}"
    except ValueError as error:  # tomllib's own, which has line and column, and int's
        reason = f"is not TOML: {error}"
    except RecursionError:
        reason = "is nested too deeply"
    raise ValueError(reason)
