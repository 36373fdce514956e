"""wasi:filesystem, what a mount grants: nothing without one, and no change to one that is read-only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.bindings.filesystem.mount import Mount
from gateway.host.values import Err, Ok
from gateway.policy.guest_path import guest_path
from tests.bindings.filesystem.guest import FOLLOW, NOW, filesystem_guest, read_only, writable

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("version")]

Call = tuple[Any, ...]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`file`, `dir/inner`, `empty`, `link`."""
    folder = tmp_path / "folder"
    (folder / "dir").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "file").write_bytes(b"content")
    (folder / "dir" / "inner").write_bytes(b"inner")
    (folder / "link").symlink_to("file")
    return folder


def snapshot(folder: Path) -> object:
    """All that a guest could have changed."""
    return [
        (
            path,
            path.lstat().st_mtime_ns,
            os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes(),
        )
        for path in sorted(folder.rglob("*"))
    ]


async def test_without_a_mount_there_is_no_directory() -> None:
    async with filesystem_guest() as guest:
        assert guest.roots == []


async def test_mounts_are_preopened_in_their_order_each_time_with_new_descriptors(
    tmp_path: Path,
) -> None:
    names = ["/zebra", "/", "/ant/hill", "/ünï"]
    mounts: list[Mount] = []
    for name in names:
        folder = tmp_path / str(len(mounts))
        folder.mkdir()
        (folder / f"file{len(mounts)}").touch()
        mounts.append(Mount(folder, name))
    async with filesystem_guest(*mounts) as guest:
        again = await guest.guest.call("preopens#get-directories")
        assert [name for _, name in again] == names
        assert len({*guest.roots, *(descriptor for descriptor, _ in again)}) == 8
        for number, descriptor in enumerate(guest.roots):
            await guest.drop("descriptor", descriptor)
            assert list(await guest.entries(again[number][0])) == [f"file{number}"]


async def test_one_guest_has_no_part_of_what_is_mounted_for_another(folder: Path) -> None:
    async with filesystem_guest(read_only(folder)) as one, filesystem_guest() as other:
        assert await one.content("file") == b"content"
        assert other.roots == []


DIRECTORY_CALLS: Final[Sequence[Call]] = [
    ("open-at", (), "new", ("create",), ("read",)),
    ("open-at", (), "file", ("create",), ("read",)),
    ("open-at", (), "file", ("create", "exclusive"), ("read",)),
    ("open-at", (), "file", ("truncate",), ("read",)),
    ("open-at", (), "file", (), ("write",)),
    ("open-at", (), "file", (), ("read", "write")),
    ("open-at", FOLLOW, "link", (), ("write",)),
    ("open-at", (), "dir", (), ("write",)),
    ("set-times-at", (), "file", NOW, NOW),
    ("create-directory-at", "new"),
    ("symlink-at", "file", "new"),
    ("unlink-file-at", "file"),
    ("unlink-file-at", "link"),
    ("unlink-file-at", "nothing"),
    ("remove-directory-at", "empty"),
    ("set-times", NOW, NOW),
]


@pytest.mark.parametrize("call", DIRECTORY_CALLS, ids=str)
async def test_a_read_only_directory_cannot_be_changed(folder: Path, call: Call) -> None:
    before = snapshot(folder)
    name, *arguments = call
    async with filesystem_guest(read_only(folder)) as guest:
        assert await guest.call(name, guest.root, *arguments) == Err("not-permitted")
        below = await guest.opened("dir", ("read", "mutate-directory"), ("directory",))
        assert await guest.call(name, below, *arguments) == Err("not-permitted")
    assert snapshot(folder) == before


FILE_CALLS: Final[Sequence[Call]] = [
    ("write", b"x", 0),
    ("write", b"", 0),
    ("write-via-stream", 0),
    ("append-via-stream",),
    ("set-size", 0),
    ("set-times", NOW, NOW),
]


@pytest.mark.parametrize("call", FILE_CALLS, ids=str)
async def test_a_file_of_a_read_only_mount_cannot_be_changed(folder: Path, call: Call) -> None:
    before = snapshot(folder)
    name, *arguments = call
    async with filesystem_guest(read_only(folder)) as guest:
        descriptor = await guest.opened("file")
        assert await guest.call(name, descriptor, *arguments) == Err("not-permitted")
    assert snapshot(folder) == before


async def test_nothing_is_moved_or_linked_between_mounts_unless_both_are_writable(
    folder: Path, tmp_path: Path
) -> None:
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    (fixed / "file").write_bytes(b"fixed")
    async with filesystem_guest(writable(folder, "/folder"), read_only(fixed, "/fixed")) as guest:
        free, bound = guest.roots
        for old, new in ((free, bound), (bound, free), (bound, bound)):
            assert await guest.call("rename-at", old, "file", new, "new") == Err("not-permitted")
            assert await guest.call("link-at", old, (), "file", new, "new") == Err("not-permitted")
    assert (os.listdir(fixed), (fixed / "file").stat().st_nlink) == (["file"], 1)
    assert (folder / "file").stat().st_nlink == 1


async def test_files_are_moved_and_linked_between_writable_mounts(
    folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with filesystem_guest(writable(folder, "/a"), writable(other, "/b")) as guest:
        await guest.succeed("link-at", guest.roots[0], (), "file", guest.roots[1], "linked")
        await guest.succeed("rename-at", guest.roots[0], "dir", guest.roots[1], "moved")
    assert (other / "linked").read_bytes() == b"content"
    assert (other / "moved" / "inner").read_bytes() == b"inner"


async def test_a_read_only_mount_can_be_read(folder: Path) -> None:
    async with filesystem_guest(read_only(folder)) as guest:
        assert await guest.content("file") == b"content"
        assert await guest.content("link") == b"content"
        assert await guest.entries(guest.root) == {
            "dir": "directory",
            "empty": "directory",
            "file": "regular-file",
            "link": "symbolic-link",
        }
        descriptor = await guest.opened("file")
        for name, *arguments in (
            ("stat",),
            ("sync",),
            ("sync-data",),
            ("advise", 0, 0, "normal"),
            ("metadata-hash",),
        ):
            assert isinstance(await guest.call(name, descriptor, *arguments), Ok)


@pytest.mark.parametrize(
    ("mount", "of_directory"), [(read_only, {"read"}), (writable, {"read", "mutate-directory"})]
)
async def test_flags_say_what_a_descriptor_is_good_for(
    folder: Path, mount: Any, of_directory: set[str]
) -> None:
    async with filesystem_guest(mount(folder)) as guest:
        assert await guest.call("get-flags", guest.root) == Ok(of_directory)
        for flags in (("read",), ("read", "mutate-directory")):
            below = await guest.opened("dir", flags, ("directory",))
            assert await guest.call("get-flags", below) == Ok(of_directory)
        assert await guest.call("get-flags", await guest.opened("file")) == Ok({"read"})


async def test_what_the_host_may_not_do_no_guest_may(folder: Path) -> None:
    """As far as the tests do not run as a user who may do everything."""
    (folder / "file").chmod(0)
    expected = "access" if os.geteuid() else b"content"
    async with filesystem_guest(writable(folder)) as guest:
        assert await guest.content("file") == expected


# --- configuring mounts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [("/", "/"), ("/data", "/data"), ("/data/", "/data"), ("/a/b.c/ü", "/a/b.c/ü"), ("//", "/")],
)
def test_the_path_of_a_mount_is_normalized(text: str, path: str) -> None:
    assert guest_path(text) == path


@pytest.mark.parametrize(
    "text", ["", ".", "data", "./data", "/a/../b", "/a/./b", "/a//b", "/..", "/a\0"]
)
def test_the_path_of_a_mount_must_be_absolute_and_plain(text: str) -> None:
    with pytest.raises(ValueError, match=r"absolute|component|NUL"):
        guest_path(text)


def test_a_mount_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        Mount(tmp_path / "nothing", "/")
    with pytest.raises(NotADirectoryError):
        Mount(tmp_path / "file", "/")


def test_a_mount_may_be_reached_through_links(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    mount = Mount(tmp_path / "link", "/")
    assert mount.handle.identity == (tmp_path.stat().st_dev, tmp_path.stat().st_ino)
    mount.close()
