"""wasi:filesystem, descriptors: opening, reading and writing, attributes."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.bindings.filesystem.error_code import ERRNO, ErrorCode, error_code
from gateway.host.values import Err, Ok
from tests.bindings.filesystem.guest import (
    FOLLOW,
    NO_CHANGE,
    NOW,
    filesystem_guest,
    timestamp,
    writable,
)
from tests.guests import wit

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("version")]

MOST: Final = 2**64 - 1
"""The largest `u64`."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`file`, `dir/inner`, `link` to the file and `dir-link` to the directory."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "dir" / "inner").write_bytes(b"inner")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dir-link").symlink_to("dir")
    return tmp_path


# --- open-at -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "open_flags", "flags", "code"),
    [
        ("file", (), ("read", "file-integrity-sync"), "unsupported"),
        ("file", (), ("write", "data-integrity-sync"), "unsupported"),
        ("file", (), ("read", "requested-write-sync"), "unsupported"),
        ("dir", ("directory", "create"), ("read",), "invalid"),
        ("dir", ("directory", "exclusive"), ("read",), "invalid"),
        ("dir", ("directory", "truncate"), ("read",), "invalid"),
        ("file", ("directory",), ("read",), "not-directory"),
        ("nothing", ("directory",), ("read",), "no-entry"),
        ("nothing", (), ("read",), "no-entry"),
        ("nothing", ("truncate",), ("write",), "no-entry"),
        ("nothing/x", ("create",), ("write",), "no-entry"),
        ("file/x", ("create",), ("write",), "not-directory"),
        ("file", ("create", "exclusive"), ("write",), "exist"),
        ("link", ("create", "exclusive"), ("write",), "exist"),
        ("dir", ("create", "exclusive"), ("read",), "exist"),
        ("dir", ("create",), ("read",), "is-directory"),
        ("dir", ("truncate",), ("read",), "is-directory"),
        ("dir", (), ("write",), "is-directory"),
        ("dir", (), ("read", "write"), "is-directory"),
        ("new/", ("create",), ("write",), "is-directory"),
        ("link", (), ("read",), "loop"),
        ("link", ("create",), ("write",), "loop"),
    ],
)
async def test_open_at_refuses(
    folder: Path, path: str, open_flags: tuple[str, ...], flags: tuple[str, ...], code: str
) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        assert await guest.open_at(path, flags, open_flags) == Err(code)
    assert (folder / "file").read_bytes() == b"content"
    assert not (folder / "new").exists()


@pytest.mark.parametrize(
    ("path", "open_flags", "flags", "held"),
    [
        ("file", (), (), {"read"}),
        ("file", (), ("read",), {"read"}),
        ("file", (), ("write",), {"write"}),
        ("file", (), ("read", "write"), {"read", "write"}),
        ("file", (), ("write", "mutate-directory"), {"write"}),
        ("file", ("exclusive",), ("read",), {"read"}),
        ("file", ("create",), ("read",), {"read"}),
        ("link", (), ("read",), {"read"}),
        ("new", ("create",), ("write",), {"write"}),
        ("new", ("create", "exclusive"), ("read", "write"), {"read", "write"}),
        ("new", ("create", "truncate"), (), {"read"}),
        ("dir", (), ("read",), {"read", "mutate-directory"}),
        ("dir", ("directory",), (), {"read", "mutate-directory"}),
        ("dir-link", ("directory",), (), {"read", "mutate-directory"}),
        (".", ("directory",), (), {"read", "mutate-directory"}),
        ("dir/..", (), (), {"read", "mutate-directory"}),
    ],
)
async def test_open_at_opens(
    folder: Path,
    path: str,
    open_flags: tuple[str, ...],
    flags: tuple[str, ...],
    held: set[str],
) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        opened = await guest.open_at(path, flags, open_flags, follow=True)
        assert isinstance(opened, Ok), opened
        assert await guest.call("get-flags", opened.value) == Ok(held)
        expected = "directory" if "mutate-directory" in held else "regular-file"
        assert await guest.call("get-type", opened.value) == Ok(expected)
    assert (folder / "file").read_bytes() == b"content"


@pytest.mark.parametrize("follow", [False, True])
async def test_a_dangling_link_exists_as_far_as_exclusive_is_concerned(
    folder: Path, follow: bool
) -> None:
    (folder / "dangling").symlink_to("new")
    async with filesystem_guest(writable(folder)) as guest:
        flags = ("create", "exclusive")
        assert await guest.open_at("dangling", ("write",), flags, follow=follow) == Err("exist")
    assert not (folder / "new").exists()


@pytest.mark.parametrize("flags", [(), ("read",), ("write",), ("read", "write")])
async def test_truncate_empties_a_file_whatever_it_is_opened_for(
    folder: Path, flags: tuple[str, ...]
) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        await guest.opened("file", flags, ("truncate",))
    assert (folder / "file").read_bytes() == b""


async def test_what_was_not_opened_for_reading_or_writing_is_neither(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        written = await guest.opened("file", ("write",))
        assert await guest.call("read", written, 1, 0) == Err("bad-descriptor")
        assert await guest.call("read-via-stream", written, 0) == Err("bad-descriptor")
        for open_flags in ((), ("truncate",), ("create",)):
            read = await guest.opened("file", ("read",), open_flags)
            assert await guest.call("write-via-stream", read, 0) == Err("bad-descriptor")
            assert await guest.call("append-via-stream", read) == Err("bad-descriptor")
            assert await guest.call("set-size", read, 0) == Err("invalid")
        read = await guest.opened("file", ("read",))
        assert await guest.call("write", read, b"x", 0) == Err("bad-descriptor")


async def test_what_is_created_has_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        async with filesystem_guest(writable(tmp_path)) as guest:
            await guest.opened("file", ("write",), ("create",))
            await guest.succeed("create-directory-at", guest.root, "dir")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "dir").stat().st_mode & 0o777 == 0o750


# --- the wrong kind ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("read", 1, 0), "bad-descriptor"),
        (("write", b"x", 0), "bad-descriptor"),
        (("advise", 0, 0, "normal"), "bad-descriptor"),
        (("set-size", 0), "bad-descriptor"),
        (("read-via-stream", 0), "is-directory"),
        (("write-via-stream", 0), "bad-descriptor"),
        (("append-via-stream",), "bad-descriptor"),
    ],
    ids=str,
)
async def test_a_directory_is_no_file(
    folder: Path, call: tuple[Any, ...], code: str, version: str
) -> None:
    name, *arguments = call
    if name == "read" and version == "0.3":  # which has it by a stream alone
        code = "is-directory"
    async with filesystem_guest(writable(folder)) as guest:
        assert await guest.call(name, guest.root, *arguments) == Err(code)


@pytest.mark.parametrize(
    "call",
    [
        ("read-directory",),
        ("create-directory-at", "x"),
        ("stat-at", (), "x"),
        ("set-times-at", (), "x", NOW, NOW),
        ("open-at", (), "x", (), ()),
        ("readlink-at", "x"),
        ("remove-directory-at", "x"),
        ("symlink-at", "x", "y"),
        ("unlink-file-at", "x"),
        ("metadata-hash-at", (), "x"),
    ],
    ids=str,
)
async def test_a_file_is_no_directory(folder: Path, call: tuple[Any, ...]) -> None:
    name, *arguments = call
    async with filesystem_guest(writable(folder)) as guest:
        descriptor = await guest.opened("file", ("read", "write"))
        assert await guest.call(name, descriptor, *arguments) == Err("not-directory")


@pytest.mark.parametrize("name", ["link-at", "rename-at"])
async def test_neither_base_of_a_new_name_may_be_a_file(folder: Path, name: str) -> None:
    flags = [()] if name == "link-at" else []
    async with filesystem_guest(writable(folder)) as guest:
        descriptor = await guest.opened("file")
        for old, new in ((descriptor, guest.root), (guest.root, descriptor)):
            assert await guest.call(name, old, *flags, "file", new, "y") == Err("not-directory")


# --- content -----------------------------------------------------------------------------------------------


async def test_read_takes_what_is_there_and_tells_the_end_with_nothing(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file")
        assert await guest.call("read", file, 4, 0) == Ok((b"cont", False))
        assert await guest.call("read", file, 100, 4) == Ok((b"ent", False))
        assert await guest.call("read", file, 100, 7) == Ok((b"", True))
        assert await guest.call("read", file, 100, 1000) == Ok((b"", True))
        assert await guest.call("read", file, 0, 0) == Ok((b"", True))


async def test_read_returns_at_most_64_kib(tmp_path: Path) -> None:
    content = os.urandom(100_000)
    (tmp_path / "file").write_bytes(content)
    async with filesystem_guest(writable(tmp_path)) as guest:
        file = await guest.opened("file")
        assert await guest.call("read", file, MOST, 1) == Ok((content[1:65537], False))


async def test_write_fills_the_gap_before_it_with_zeroes(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file", ("write",))
        assert await guest.call("write", file, b"far", 10) == Ok(3)
        assert await guest.call("write", file, b"CON", 0) == Ok(3)
        assert await guest.call("write", file, b"", 50) == Ok(0)
    assert (folder / "file").read_bytes() == b"CONtent\0\0\0far"


async def test_write_takes_more_than_a_read_returns(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    async with filesystem_guest(writable(tmp_path)) as guest:
        file = await guest.opened("file", ("write",), ("create",))
        assert await guest.call("write", file, content, 0) == Ok(300_000)
    assert (tmp_path / "file").read_bytes() == content


async def test_set_size_cuts_and_extends(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file", ("write",))
        await guest.succeed("set-size", file, 3)
        await guest.succeed("set-size", file, 5)
        assert (await guest.succeed("stat", file))["size"] == 5
    assert (folder / "file").read_bytes() == b"con\0\0"


@pytest.mark.parametrize(
    "call",
    [
        ("read", 1, 2**63),
        ("write", b"x", 2**63),
        ("set-size", MOST),
        ("advise", MOST, 0, "normal"),
        ("advise", 0, MOST, "normal"),
        ("read-via-stream", 2**63),
        ("write-via-stream", MOST),
    ],
    ids=str,
)
async def test_an_offset_beyond_what_systems_know_is_invalid(
    folder: Path, call: tuple[Any, ...]
) -> None:
    name, *arguments = call
    async with filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file", ("read", "write"))
        assert await guest.call(name, file, *arguments) == Err("invalid")


async def test_writing_beyond_the_largest_file_is_refused(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file", ("write",))
        assert await guest.call("write", file, b"x", 2**63 - 2) == Err("file-too-large")


@pytest.mark.parametrize(
    "advice", ["normal", "sequential", "random", "will-need", "dont-need", "no-reuse"]
)
async def test_advice_is_taken(folder: Path, advice: str) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file")
        assert await guest.call("advise", file, 0, 100, advice) == Ok()
        assert await guest.call("advise", file, 2**63 - 1, 0, advice) == Ok()


@pytest.mark.parametrize("name", ["sync", "sync-data"])
async def test_everything_can_be_synchronized(folder: Path, name: str) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        for descriptor in (
            guest.root,
            await guest.opened("dir"),
            await guest.opened("file", ("read",)),
            await guest.opened("file", ("write",)),
        ):
            assert await guest.call(name, descriptor) == Ok()


# --- attributes --------------------------------------------------------------------------------------------


async def test_stat_tells_what_the_system_does(folder: Path) -> None:
    os.utime(folder / "file", ns=(1_000_000_002, 3_000_000_004))
    os.link(folder / "file", folder / "second")
    async with filesystem_guest(writable(folder)) as guest:
        stat = await guest.succeed("stat", await guest.opened("file"))
        changed = (folder / "file").stat().st_ctime_ns
        assert stat == {
            "type": "regular-file",
            "link-count": 2,
            "size": 7,
            "data-access-timestamp": {"seconds": 1, "nanoseconds": 2},
            "data-modification-timestamp": {"seconds": 3, "nanoseconds": 4},
            "status-change-timestamp": {
                "seconds": changed // 10**9,
                "nanoseconds": changed % 10**9,
            },
        }
        assert await guest.succeed("stat-at", guest.root, (), "file") == stat
        assert await guest.succeed("stat-at", guest.root, FOLLOW, "link") == stat
        link = await guest.succeed("stat-at", guest.root, (), "link")
        assert (link["type"], link["size"]) == ("symbolic-link", len("file"))
        root = await guest.succeed("stat", guest.root)
        assert root["type"] == "directory"
        assert await guest.succeed("stat-at", guest.root, (), ".") == root
        assert await guest.succeed("stat-at", guest.root, (), "dir/..") == root


async def test_a_time_before_1970_is_none(folder: Path) -> None:
    os.utime(folder / "file", ns=(-1, 0))
    async with filesystem_guest(writable(folder)) as guest:
        stat = await guest.succeed("stat-at", guest.root, (), "file")
        assert stat["data-access-timestamp"] is None
        assert stat["data-modification-timestamp"] == {"seconds": 0, "nanoseconds": 0}


async def test_times_are_set_each_by_itself(folder: Path) -> None:
    path = folder / "file"
    begun = os.stat(path).st_ctime_ns - 10**9
    async with filesystem_guest(writable(folder)) as guest:
        file = await guest.opened("file")
        for name, *start in (("set-times", file), ("set-times-at", guest.root, (), "file")):
            await guest.succeed(name, *start, timestamp(5, 6), timestamp(7, 8))
            assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (
                5 * 10**9 + 6,
                7 * 10**9 + 8,
            )
            await guest.succeed(name, *start, NO_CHANGE, timestamp(9))
            assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (5 * 10**9 + 6, 9 * 10**9)
            await guest.succeed(name, *start, timestamp(10), NO_CHANGE)
            assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (10 * 10**9, 9 * 10**9)
            await guest.succeed(name, *start, NO_CHANGE, NO_CHANGE)
            assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (10 * 10**9, 9 * 10**9)
            await guest.succeed(name, *start, NOW, NO_CHANGE)
            assert path.stat().st_atime_ns > begun
            assert path.stat().st_mtime_ns == 9 * 10**9
            await guest.succeed(name, *start, NOW, NOW)
            assert path.stat().st_mtime_ns > begun


async def test_times_of_directories_and_links_are_set(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        await guest.succeed("set-times", guest.root, timestamp(1), timestamp(2))
        assert os.stat(folder).st_mtime == 2
        inner = await guest.opened("dir")
        await guest.succeed("set-times", inner, timestamp(1), timestamp(3))
        assert (folder / "dir").stat().st_mtime == 3
        await guest.succeed("set-times-at", guest.root, (), "link", timestamp(1), timestamp(4))
        assert (folder / "link").lstat().st_mtime == 4
        await guest.succeed("set-times-at", guest.root, FOLLOW, "link", timestamp(1), timestamp(5))
        assert (folder / "file").stat().st_mtime == 5
        assert (folder / "link").lstat().st_mtime == 4


@pytest.mark.parametrize("version", ["0.2"], indirect=True)
async def test_a_time_that_no_system_counts_to_is_an_overflow(folder: Path) -> None:
    """Of the seconds of 0.3, which are signed, the system counts all."""
    async with filesystem_guest(writable(folder)) as guest:
        far = timestamp(MOST, 999_999_999)
        file = await guest.opened("file")
        assert await guest.call("set-times", file, far, NOW) == Err("overflow")
        assert await guest.call("set-times-at", guest.root, (), "file", NOW, far) == Err("overflow")


async def test_descriptors_and_names_of_one_object_are_known_to_be_of_one(folder: Path) -> None:
    os.link(folder / "file", folder / "second")
    async with filesystem_guest(writable(folder)) as guest:
        file, again, second, other = [
            await guest.opened(name) for name in ("file", "file", "second", "dir/inner")
        ]
        for descriptor in (file, again, second):
            assert await guest.call("is-same-object", file, descriptor)
        for descriptor in (other, guest.root):
            assert not await guest.call("is-same-object", file, descriptor)
        assert await guest.call("is-same-object", guest.root, await guest.opened("dir/.."))

        value = await guest.succeed("metadata-hash", file)
        for equal in (
            await guest.succeed("metadata-hash", second),
            await guest.succeed("metadata-hash-at", guest.root, (), "second"),
            await guest.succeed("metadata-hash-at", guest.root, FOLLOW, "link"),
        ):
            assert equal == value
        others = [
            await guest.succeed("metadata-hash", other),
            await guest.succeed("metadata-hash", guest.root),
            await guest.succeed("metadata-hash-at", guest.root, (), "link"),
        ]
        assert len({(hash_["lower"], hash_["upper"]) for hash_ in (value, *others)}) == 4
        writer = await guest.opened("file", ("write",))
        await guest.succeed("write", writer, b"more", 100)
        assert await guest.succeed("metadata-hash", file) == value


# --- error codes -------------------------------------------------------------------------------------------


def test_the_codes_are_those_of_the_wit() -> None:
    [document] = [path.read_text() for path in wit.PACKAGES if path.name == "filesystem.wit"]
    enum = re.search(r"enum error-code \{(.*?)\}", document, re.DOTALL)
    assert enum is not None
    assert enum[1].replace(",", "").split() == [str(code) for code in ErrorCode]


def test_every_code_stands_for_an_error_of_the_system() -> None:
    assert set(ERRNO.values()) == set(ErrorCode)


@pytest.mark.parametrize("number", [None, 0, 99_999])
def test_an_unknown_error_of_the_system_is_io(number: int | None) -> None:
    assert error_code(OSError() if number is None else OSError(number, "unknown")) is ErrorCode.IO


async def test_an_error_of_the_system_reaches_the_guest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that no test can make the system have."""

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with filesystem_guest(writable(folder)) as guest:
        monkeypatch.setattr(os, "mkdir", full)
        assert await guest.call("create-directory-at", guest.root, "new") == Err(
            "insufficient-space"
        )
