"""wasi:filesystem, directories: listing them, and what is done with the names in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gateway.bindings.filesystem.directory_entries import BATCH
from gateway.host.values import Err, Ok
from tests.bindings.filesystem.guest import FilesystemGuest, filesystem_guest, read_only, writable

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("version")]

OF_0_2 = pytest.mark.parametrize("version", ["0.2"], indirect=True)
"""For tests of `directory-entry-stream`. In its place 0.3 has streams: `tests.routes.test_wasi_0_3_files`."""

NEXT = "directory-entry-stream.read-directory-entry"
NOT_UTF8 = b"not-\xff-utf8"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`file`, `dir/inner`, `empty`, `link` to the file, `dir-link` and `dangling`."""
    folder = tmp_path / "folder"
    (folder / "dir").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "file").write_bytes(b"content")
    (folder / "dir" / "inner").write_bytes(b"inner")
    (folder / "link").symlink_to("file")
    (folder / "dir-link").symlink_to("dir")
    (folder / "dangling").symlink_to("nothing")
    return folder


# --- read-directory ----------------------------------------------------------------------------------------


async def test_a_listing_has_every_entry_once_with_its_type(folder: Path) -> None:
    (folder / "ünï 🦀").touch()
    async with filesystem_guest(read_only(folder)) as guest:
        assert await guest.entries(guest.root) == {
            "dir": "directory",
            "empty": "directory",
            "file": "regular-file",
            "link": "symbolic-link",
            "dir-link": "symbolic-link",
            "dangling": "symbolic-link",
            "ünï 🦀": "regular-file",
        }
        assert await guest.entries(await guest.opened("empty")) == {}


async def test_a_long_listing_is_read_in_parts(tmp_path: Path) -> None:
    names = {f"file{number}" for number in range(3 * BATCH + 1)}
    for name in names:
        (tmp_path / name).touch()
    async with filesystem_guest(read_only(tmp_path)) as guest:
        assert set(await guest.entries(guest.root)) == names


@OF_0_2
async def test_every_listing_begins_at_the_first_entry_and_goes_on_by_itself(folder: Path) -> None:
    async with filesystem_guest(read_only(folder)) as guest:
        whole = await guest.entries(guest.root)
        one = await guest.succeed("read-directory", guest.root)
        first = await guest.succeed(NEXT, one)
        other = await guest.succeed("read-directory", guest.root)
        assert await guest.succeed(NEXT, other) == first
        assert await guest.succeed(NEXT, one) != first
        assert await guest.entries(guest.root) == whole


@OF_0_2
async def test_the_end_of_a_listing_stays_the_end(folder: Path) -> None:
    async with filesystem_guest(read_only(folder)) as guest:
        stream = await guest.succeed("read-directory", await guest.opened("empty"))
        assert [await guest.call(NEXT, stream) for _ in range(3)] == [Ok(), Ok(), Ok()]


@OF_0_2
async def test_a_listing_outlives_its_descriptor(folder: Path) -> None:
    async with filesystem_guest(read_only(folder)) as guest:
        descriptor = await guest.opened("dir")
        stream = await guest.succeed("read-directory", descriptor)
        await guest.drop("descriptor", descriptor)
        assert await guest.succeed(NEXT, stream) == {"type": "regular-file", "name": "inner"}


@OF_0_2
async def test_a_name_that_is_no_utf_8_is_an_error_among_the_others(folder: Path) -> None:
    os.mkdir(os.path.join(os.fsencode(folder), b"dir", NOT_UTF8))
    async with filesystem_guest(read_only(folder)) as guest:
        stream = await guest.succeed("read-directory", await guest.opened("dir"))
        results = [await guest.call(NEXT, stream) for _ in range(3)]
    assert results[2] == Ok()
    assert Err("illegal-byte-sequence") in results
    assert Ok({"type": "regular-file", "name": "inner"}) in results


async def test_a_removed_directory_is_empty_and_stays_so(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        descriptor = await guest.opened("empty")
        await guest.succeed("remove-directory-at", guest.root, "empty")
        assert await guest.entries(descriptor) == {}
        assert await guest.open_at("x", ("write",), ("create",), base=descriptor) == Err("no-entry")


# --- names -------------------------------------------------------------------------------------------------


def tree(folder: Path) -> list[Path]:
    """All paths below a folder."""
    return sorted(folder.rglob("*"))


async def call(guest: FilesystemGuest, name: str, *paths: str) -> Any:
    """Call something that takes one path, or two; with the root as the base of each."""
    root = guest.root
    match name, *paths:
        case "link-at", old, new:
            return await guest.call(name, root, (), old, root, new)
        case "rename-at", old, new:
            return await guest.call(name, root, old, root, new)
    return await guest.call(name, root, *paths)


@pytest.mark.parametrize(
    ("name", "paths", "code"),
    [
        ("create-directory-at", ("dir",), "exist"),
        ("create-directory-at", ("file",), "exist"),
        ("create-directory-at", ("dangling",), "exist"),
        ("create-directory-at", (".",), "exist"),
        ("create-directory-at", ("dir/..",), "exist"),
        ("create-directory-at", ("new/.",), "no-entry"),
        ("create-directory-at", ("nothing/new",), "no-entry"),
        ("create-directory-at", ("file/new",), "not-directory"),
        ("create-directory-at", ("",), "no-entry"),
        ("remove-directory-at", ("dir",), "not-empty"),
        ("remove-directory-at", ("file",), "not-directory"),
        ("remove-directory-at", ("dir-link",), "not-directory"),
        ("remove-directory-at", ("nothing",), "no-entry"),
        ("remove-directory-at", (".",), "invalid"),
        ("remove-directory-at", ("dir/..",), "invalid"),
        ("unlink-file-at", ("dir",), "is-directory"),
        ("unlink-file-at", ("dir/",), "is-directory"),
        ("unlink-file-at", (".",), "is-directory"),
        ("unlink-file-at", ("file/",), "not-directory"),
        ("unlink-file-at", ("nothing",), "no-entry"),
        ("unlink-file-at", ("nothing/",), "no-entry"),
        ("rename-at", ("nothing", "new"), "no-entry"),
        ("rename-at", ("file", "nothing/new"), "no-entry"),
        ("rename-at", ("dir", "file"), "not-directory"),
        ("rename-at", ("file", "dir"), "is-directory"),
        ("rename-at", ("empty", "dir"), "not-empty"),
        ("rename-at", ("dir", "dir/inner"), "invalid"),
        ("rename-at", ("dir", "dir/new"), "invalid"),
        ("rename-at", ("file/", "new"), "not-directory"),
        ("rename-at", ("file", "new/"), "not-directory"),
        ("rename-at", (".", "new"), "busy"),
        ("rename-at", ("dir", "."), "busy"),
        ("link-at", ("nothing", "new"), "no-entry"),
        ("link-at", ("file", "link"), "exist"),
        ("link-at", ("dir", "new"), "not-permitted"),
        ("link-at", ("file", "new/"), "no-entry"),
        ("link-at", ("file", "empty/"), "exist"),
        ("link-at", ("file/", "new"), "not-directory"),
        ("link-at", ("file", "file/"), "not-directory"),
        ("link-at", ("file", "."), "exist"),
        ("symlink-at", ("x", "file"), "exist"),
        ("symlink-at", ("x", "new/"), "no-entry"),
        ("symlink-at", ("x", "empty/"), "exist"),
        ("symlink-at", ("x", "file/"), "not-directory"),
        ("symlink-at", ("x/", "file"), "exist"),
        ("symlink-at", ("x", "."), "exist"),
        ("symlink-at", ("/x", "new"), "not-permitted"),
        ("symlink-at", ("/", "new"), "not-permitted"),
        ("symlink-at", ("", "new"), "no-entry"),
        ("symlink-at", ("x\0", "new"), "invalid"),
        ("symlink-at", ("x" * 5000, "new"), "name-too-long"),
        ("readlink-at", ("file",), "invalid"),
        ("readlink-at", ("dir",), "invalid"),
        ("readlink-at", ("dir-link/",), "invalid"),
        ("readlink-at", ("file/",), "not-directory"),
        ("readlink-at", ("link/",), "not-directory"),
        ("readlink-at", ("nothing",), "no-entry"),
    ],
)
async def test_what_cannot_be_done_with_a_name(
    folder: Path, name: str, paths: tuple[str, ...], code: str
) -> None:
    before = tree(folder)
    async with filesystem_guest(writable(folder)) as guest:
        assert await call(guest, name, *paths) == Err(code)
    assert tree(folder) == before


@pytest.mark.parametrize("path", ["new", "new/", "new//", "dir/new", "dir-link/new"])
async def test_a_directory_is_made_and_removed(folder: Path, path: str) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        assert await call(guest, "create-directory-at", path) == Ok()
        assert (folder / path).is_dir()
        assert await call(guest, "remove-directory-at", path) == Ok()
        assert not (folder / path).exists()


async def test_files_and_links_are_removed_as_such(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        for name in ("dir-link", "dangling", "file"):
            assert await call(guest, "unlink-file-at", name) == Ok()
    assert sorted(os.listdir(folder)) == ["dir", "empty", "link"]
    assert os.listdir(folder / "dir") == ["inner"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("file", "new"),
        ("file", "dir/inner"),
        ("file", "file"),
        ("dir", "new"),
        ("dir/", "new"),
        ("dir", "new/"),
        ("dir", "empty"),
        ("dir/inner", "dir/../new"),
        ("link", "new"),
        ("dangling", "new"),
    ],
)
async def test_a_rename_takes_the_object_with_it(folder: Path, old: str, new: str) -> None:
    inode = (folder / old).lstat().st_ino
    async with filesystem_guest(writable(folder)) as guest:
        assert await call(guest, "rename-at", old, new) == Ok()
    assert (folder / new).lstat().st_ino == inode
    if old != new:
        assert not (folder / old).is_symlink()
        assert not (folder / old).exists()


async def test_a_hard_link_is_another_name_of_the_file(folder: Path) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        assert await call(guest, "link-at", "file", "dir/new") == Ok()
        assert await guest.call(
            "link-at", guest.root, ("symlink-follow",), "link", guest.root, "followed"
        ) == Err("invalid")
    assert (folder / "dir" / "new").stat().st_ino == (folder / "file").stat().st_ino
    assert not (folder / "followed").exists()


@pytest.mark.parametrize("target", ["file", "../..", "nothing", "dir/", "ünï", "a//b", "x" * 4000])
async def test_a_symbolic_link_holds_what_it_was_given(folder: Path, target: str) -> None:
    async with filesystem_guest(writable(folder)) as guest:
        assert await call(guest, "symlink-at", target, "new") == Ok()
        assert os.readlink(folder / "new") == target
        assert await call(guest, "readlink-at", "new") == Ok(target)


async def test_a_link_that_no_guest_could_have_made_is_not_shown(folder: Path) -> None:
    os.symlink(NOT_UTF8, os.fsencode(folder / "bytes"))
    os.symlink(b"/" + NOT_UTF8, os.fsencode(folder / "absolute"))
    async with filesystem_guest(writable(folder)) as guest:
        assert await call(guest, "readlink-at", "bytes") == Err("illegal-byte-sequence")
        assert await call(guest, "readlink-at", "absolute") == Err("not-permitted")


async def test_a_link_is_followed_through_names_that_are_no_utf_8(folder: Path) -> None:
    os.mkdir(os.path.join(os.fsencode(folder), NOT_UTF8))
    os.symlink(NOT_UTF8 + b"/../file", os.fsencode(folder / "bytes"))
    async with filesystem_guest(writable(folder)) as guest:
        assert await guest.content("bytes") == b"content"
