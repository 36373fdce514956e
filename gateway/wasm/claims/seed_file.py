"""Seeds in files: one seed, one line, readable by its owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from gateway.wasm.claims.errors import InvalidKey
from gateway.wasm.claims.keys import KeyPair

__all__ = ["is_private", "read_seed", "write_file", "write_seed"]

_SEED_MODE: Final = 0o600
# Bytes of a file that is read as a seed. Threat: a flag that names something large, or without an end.
_MAX_SIZE: Final = 1024


def read_seed(path: Path) -> KeyPair:
    """Read a seed.

    Raises:
        OSError: the file cannot be read.
        InvalidKey: it holds no seed; the message names the file, and nothing of its content.
    """
    with path.open("rb") as file:
        data = file.read(_MAX_SIZE + 1)
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise InvalidKey(f"{path}: holds no seed of a key, but other data") from error
    try:
        return KeyPair.from_seed(text)
    except InvalidKey as error:
        raise error.at(path) from None


def write_seed(path: Path, key: KeyPair, *, force: bool = False) -> None:
    """Write the seed of a key to a file that only its owner can read.

    Args:
        path: the file.
        key: whose seed.
        force: whether a file that is there already is replaced.

    Raises:
        FileExistsError: there is one already.
        OSError: it cannot be written.
    """
    write_file(path, f"{key.seed}\n".encode(), mode=_SEED_MODE, replace=force)


def write_file(path: Path, data: bytes, *, mode: int, replace: bool) -> None:
    """Write a file that is there as a whole or not at all.

    Args:
        path: the file.
        data: its content.
        mode: who may do what with it, before the process's umask.
        replace: whether one that is there is replaced.

    Raises:
        FileExistsError: there is one and it is not to be replaced, or it is no plain file.
        OSError: it cannot be written.
    """
    if os.path.lexists(path) and not (replace and stat.S_ISREG(path.lstat().st_mode)):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise FileExistsError(
                f"{path} is no plain file, and is not replaced: give another name"
            )
        raise FileExistsError(
            f"{path} is there already: give another name, or --force to replace it"
        )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        # Private from the moment it exists: a mode that is set later leaves a gap.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            # Unlike a rename, a link fails if the name was taken in the meantime.
            os.link(temporary, path)
    except OSError as error:
        # What failed is the file that was asked for. The other's name tells its reader nothing.
        if error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def is_private(path: Path) -> bool:
    """Whether nobody but its owner can read a file.

    Raises:
        OSError: that cannot be told.
    """
    return not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
