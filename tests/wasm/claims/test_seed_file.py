"""Seeds in files, and files that are there as a whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.wasm.claims import KeyPair
from gateway.wasm.claims.errors import InvalidKey
from gateway.wasm.claims.seed_file import is_private, read_seed, write_file, write_seed
from tests.wasm.claims.elsewhere import ACCOUNT, ACCOUNT_SEED, SUBJECT_SEED

KEY = KeyPair.from_seed(ACCOUNT_SEED)
OTHER = KeyPair.from_seed(SUBJECT_SEED)


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("umask")
def test_a_seed_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "account.nk"
    write_seed(path, KEY)
    assert mode(path) == 0o600
    assert is_private(path)
    assert path.read_text() == f"{ACCOUNT_SEED}\n"
    assert names(tmp_path) == ["account.nk"]
    assert str(read_seed(path).public) == ACCOUNT


def test_a_seed_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "account.nk"
    write_seed(path, KEY)
    with pytest.raises(FileExistsError, match="is there already"):
        write_seed(path, OTHER)
    assert path.read_text() == f"{ACCOUNT_SEED}\n"
    assert names(tmp_path) == ["account.nk"]


def test_a_seed_is_replaced_if_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "account.nk"
    path.write_text("longer than what comes after it, and for everyone to read" * 10)
    path.chmod(0o644)
    write_seed(path, KEY, force=True)
    assert path.read_text() == f"{ACCOUNT_SEED}\n"
    assert mode(path) == 0o600
    assert names(tmp_path) == ["account.nk"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_plain_file_is_left_alone(tmp_path: Path, force: bool) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    link = tmp_path / "link"
    link.symlink_to(target)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nothing")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (link, dangling, fifo, folder):
        with pytest.raises(FileExistsError, match="no plain file"):
            write_seed(path, KEY, force=force)
    assert target.read_text() == "kept"
    assert names(tmp_path) == ["dangling", "fifo", "folder", "link", "target"]
    assert names(folder) == []


def test_a_name_that_is_taken_meanwhile_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone else makes the file between the look and the write: the write fails, and theirs stays."""
    path = tmp_path / "account.nk"
    fsync = os.fsync

    def taken(descriptor: int) -> None:
        path.write_text("theirs")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", taken)
    with pytest.raises(FileExistsError):
        write_seed(path, KEY)
    assert path.read_text() == "theirs"
    assert names(tmp_path) == ["account.nk"]


def test_nothing_is_left_of_a_write_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_seed(tmp_path / "account.nk", KEY)
    assert names(tmp_path) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none" / "account.nk"
    with pytest.raises(FileNotFoundError) as caught:
        write_seed(path, KEY)
    assert caught.value.filename == str(path)


def test_the_mode_of_another_file_is_the_process_own(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "signed.wasm"
    write_file(path, b"x", mode=0o666, replace=True)
    assert mode(path) == 0o666 & ~umask


@pytest.mark.parametrize("content", [f"{ACCOUNT_SEED}\n", ACCOUNT_SEED, f"  {ACCOUNT_SEED}\r\n\n"])
def test_a_seed_is_read_whatever_ends_the_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seed"
    path.write_bytes(content.encode())
    assert str(read_seed(path).public) == ACCOUNT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has 58 characters, not 0"),
        (f"{ACCOUNT_SEED}\n{ACCOUNT_SEED}\n".encode(), "has 58 characters"),
        (ACCOUNT.encode(), "has 58 characters, not 56"),
        (ACCOUNT_SEED[:-3].encode() + b"AAA", "checksum"),
        (b"\0asm\x01\0\0\0\xff", "other data"),
        (b"x" * (1 << 20), "has 58 characters, not 1025"),
    ],
)
def test_other_files_are_no_seeds(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "seed"
    path.write_bytes(content)
    with pytest.raises(InvalidKey, match=reason) as caught:
        read_seed(path)
    assert str(path) in str(caught.value)
    assert ACCOUNT_SEED[5:20] not in str(caught.value)


@pytest.mark.parametrize(
    ("bits", "private"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)]
)
def test_whether_others_can_read_a_seed(tmp_path: Path, bits: int, private: bool) -> None:
    path = tmp_path / "seed"
    path.touch()
    path.chmod(bits)
    assert is_private(path) is private
