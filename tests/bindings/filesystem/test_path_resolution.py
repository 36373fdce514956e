"""wasi:filesystem, paths: nothing that a guest or anyone else does with names leads out of a mount."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.bindings.filesystem import directory
from gateway.bindings.filesystem.error_code import ErrorCode, FilesystemError
from gateway.bindings.filesystem.mount import Mount
from gateway.bindings.filesystem.path_resolution import MAX_DEPTH, MAX_LINKS, MAX_PATH
from gateway.host.values import Err, Ok
from tests.bindings.filesystem.guest import (
    FOLLOW,
    NOW,
    FilesystemGuest,
    filesystem_guest,
    read_only,
    writable,
)
from tests.patience import PATIENCE

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("version")]

SECRET: Final = b"not for guests"
MINE: Final = b"for guests"

CALLS: Final[dict[str, tuple[Any, ...]]] = {
    "create-directory-at": (),
    "metadata-hash-at": (FOLLOW,),
    "open-at": (FOLLOW,),
    "readlink-at": (),
    "remove-directory-at": (),
    "set-times-at": (FOLLOW,),
    "stat-at": (FOLLOW,),
    "unlink-file-at": (),
}
"""Every call that takes one path, and what comes before it."""

AFTER: Final[dict[str, tuple[Any, ...]]] = {"open-at": ((), ()), "set-times-at": (NOW, NOW)}
"""What comes after it."""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a secret, beside the one that is mounted."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET)
    return folder


@pytest.fixture
def inside(tmp_path: Path, outside: Path) -> Path:
    """The folder that is mounted: `dir/file`, and links in and out."""
    folder = tmp_path / "inside"
    (folder / "dir" / "nested").mkdir(parents=True)
    (folder / "dir" / "file").write_bytes(MINE)
    for name, target in {
        "to-file": "dir/file",
        "to-dir": "dir",
        "to-dir-slash": "dir/",
        "to-dir-dot": "dir/.",
        "to-here": ".",
        "to-nested": "dir/nested",
        "to-link": "to-file",
        "detour": "dir/nested/../../to-dir/./file",
        "dangling": "nothing",
        "dir/up": "../dir/file",
        "self": "self",
        "out": "../outside/secret",
        "out-dir": "../outside",
        "out-absolute": str(outside / "secret"),
        "out-absolute-dir": str(outside),
        "absolute-but-inside": str(folder / "dir" / "file"),
        "dir/out": "../../outside/secret",
        "out-by-way-of-dir": "dir/../../outside/secret",
        "etc": "/etc",
        "root": "/",
    }.items():
        (folder / name).symlink_to(target)
    return folder


async def call(guest: FilesystemGuest, name: str, path: str) -> Any:
    """Call anything that takes a path."""
    return await guest.call(name, guest.root, *CALLS[name], path, *AFTER.get(name, ()))


@pytest.mark.parametrize(
    "path",
    [
        "dir/file",
        "./dir/file",
        "dir//./file",
        "dir/.//nested/../../dir/nested/../nested///.././file",
        "to-file",
        "to-link",
        "to-dir/file",
        "to-dir-slash/file",
        "to-here/to-here/to-file",
        "detour",
        "dir/up",
        "to-dir/up",
        # What is before a `..` is where a link leads, not where it is.
        "to-nested/../file",
        "to-dir-dot/../dir/file",
    ],
)
async def test_paths_and_links_within_the_mount_are_followed(inside: Path, path: str) -> None:
    async with filesystem_guest(read_only(inside)) as guest:
        assert await guest.content(path) == MINE


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/etc/passwd",
        "//dir/file",
        "..",
        "../",
        "../inside/dir/file",
        "../outside/secret",
        "dir/../../outside/secret",
        "dir/../..",
        "out-dir/secret",
        "out-absolute-dir/secret",
        "to-dir/../../outside/secret",
        "etc/passwd",
        "root/etc/passwd",
    ],
)
async def test_no_call_takes_a_path_that_leads_outside(
    inside: Path, outside: Path, name: str, path: str
) -> None:
    async with filesystem_guest(writable(inside)) as guest:
        assert await call(guest, name, path) == Err("not-permitted")
    assert (outside / "secret").read_bytes() == SECRET


@pytest.mark.parametrize("name", ["metadata-hash-at", "open-at", "set-times-at", "stat-at"])
@pytest.mark.parametrize(
    "path",
    [
        "out",
        "out-dir",
        "out-absolute",
        "out-absolute-dir",
        "absolute-but-inside",
        "dir/out",
        "out-by-way-of-dir",
        "etc",
        "root",
    ],
)
async def test_no_call_follows_a_link_that_leads_outside(
    inside: Path, name: str, path: str
) -> None:
    async with filesystem_guest(writable(inside)) as guest:
        assert await call(guest, name, path) == Err("not-permitted")


async def test_no_call_with_two_paths_takes_one_that_leads_outside(
    inside: Path, outside: Path
) -> None:
    async with filesystem_guest(writable(inside)) as guest:
        root = guest.root
        for path in ("../outside/new", "out-dir/new", "/new"):
            for arguments in (
                ("rename-at", root, "dir/file", root, path),
                ("link-at", root, (), "dir/file", root, path),
                ("symlink-at", root, "dir/file", path),
            ):
                assert await guest.call(*arguments) == Err("not-permitted"), arguments
        for path in ("../outside/secret", "out-dir/secret", str(outside / "secret")):
            for arguments in (
                ("rename-at", root, path, root, "new"),
                ("link-at", root, (), path, root, "new"),
            ):
                assert await guest.call(*arguments) == Err("not-permitted"), arguments
    assert os.listdir(outside) == ["secret"]
    assert not (inside / "new").is_symlink()


async def test_a_link_that_leads_outside_can_be_handled_as_a_link(
    inside: Path, outside: Path
) -> None:
    async with filesystem_guest(writable(inside)) as guest:
        root = guest.root
        assert (await guest.succeed("stat-at", root, (), "out"))["type"] == "symbolic-link"
        assert await guest.succeed("readlink-at", root, "out") == "../outside/secret"
        await guest.succeed("rename-at", root, "out", root, "moved")
        await guest.succeed("link-at", root, (), "moved", root, "linked")
        assert (inside / "linked").is_symlink()
        await guest.succeed("set-times-at", root, (), "linked", NOW, NOW)
        await guest.succeed("unlink-file-at", root, "moved")
        assert await guest.content("linked") == "not-permitted"
    assert (outside / "secret").read_bytes() == SECRET


async def test_creating_through_a_link_stays_in_the_mount(inside: Path, outside: Path) -> None:
    (inside / "out-new").symlink_to("../outside/new")
    async with filesystem_guest(writable(inside)) as guest:
        assert await guest.open_at("out-new", ("write",), ("create",), follow=True) == Err(
            "not-permitted"
        )
        assert isinstance(await guest.open_at("dangling", ("write",), ("create",), follow=True), Ok)
    assert (inside / "nothing").read_bytes() == b""
    assert os.listdir(outside) == ["secret"]


async def test_the_descriptor_of_a_directory_is_a_base_that_paths_stay_below(inside: Path) -> None:
    async with filesystem_guest(read_only(inside)) as guest:
        base = await guest.opened("dir", open_flags=("directory",))
        assert await guest.content("nested/../file", base=base) == MINE
        assert await guest.content("../dir/file", base=base) == "not-permitted"
        assert await guest.content("up", base=base) == "not-permitted"
        assert await guest.content("dir/up") == MINE


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "no-entry"),
        ("nothing", "no-entry"),
        ("nothing/file", "no-entry"),
        ("dangling", "no-entry"),
        ("dangling/file", "no-entry"),
        ("dir/file/", "not-directory"),
        ("dir/file///", "not-directory"),
        ("dir/file/.", "not-directory"),
        ("dir/file/..", "not-directory"),
        ("dir/file/x", "not-directory"),
        ("to-file/", "not-directory"),
        ("dir/file\0", "invalid"),
        ("\0", "invalid"),
        ("x" * 256, "name-too-long"),
        ("./" * (MAX_PATH // 2) + "xy", "name-too-long"),
        ("self", "loop"),
        ("self/x", "loop"),
        ("dir\\file", "no-entry"),
        ("..\\outside\\secret", "no-entry"),
        ("dir／file", "no-entry"),
    ],
)
async def test_what_paths_that_lead_nowhere_are_called(inside: Path, path: str, code: str) -> None:
    async with filesystem_guest(read_only(inside)) as guest:
        assert await guest.content(path) == code


async def test_a_path_may_be_as_long_as_the_limit(inside: Path) -> None:
    path = "./" * ((MAX_PATH - len("dir/file")) // 2) + "dir/file"
    async with filesystem_guest(read_only(inside)) as guest:
        assert await guest.content(path) == MINE


@pytest.mark.parametrize("path", ["dir", "dir/", "dir///", "dir/.", "to-dir/", "to-dir", "to-here"])
async def test_a_slash_at_the_end_asks_for_a_directory(inside: Path, path: str) -> None:
    async with filesystem_guest(read_only(inside)) as guest:
        assert isinstance(await guest.open_at(path, follow=True), Ok)


async def test_a_slash_after_a_link_follows_it(inside: Path) -> None:
    async with filesystem_guest(read_only(inside)) as guest:
        assert (await guest.succeed("stat-at", guest.root, (), "to-dir/"))["type"] == "directory"
        assert await guest.call("stat-at", guest.root, (), "to-file/") == Err("not-directory")
        assert await guest.content("to-dir", follow=False) == "loop"


async def test_a_chain_of_links_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "link0").write_bytes(MINE)
    for number in range(1, MAX_LINKS + 2):
        (tmp_path / f"link{number}").symlink_to(f"link{number - 1}")
    async with filesystem_guest(read_only(tmp_path)) as guest:
        assert await guest.content(f"link{MAX_LINKS}") == MINE
        assert await guest.content(f"link{MAX_LINKS + 1}") == "loop"


async def test_one_walk_enters_a_limited_number_of_directories(tmp_path: Path) -> None:
    deep = "/".join("d" * MAX_DEPTH)
    (tmp_path / deep / "d").mkdir(parents=True)
    (tmp_path / deep / "file").write_bytes(MINE)
    (tmp_path / deep / "d" / "file").write_bytes(MINE)
    async with filesystem_guest(read_only(tmp_path)) as guest:
        assert await guest.content(f"{deep}/file") == MINE
        assert await guest.content(f"{deep}/d/file") == "name-too-long"
        # Those that it has left again do not count.
        assert isinstance(await guest.open_at("d/../" * (MAX_DEPTH + 1) + "d"), Ok)
        base = await guest.opened(deep)
        assert await guest.content("d/file", base=base) == MINE


async def test_a_backslash_and_control_characters_are_part_of_a_name(tmp_path: Path) -> None:
    async with filesystem_guest(writable(tmp_path)) as guest:
        for name in ("a\\b", "..\\x", "new\nline", "\x7f", " ", "...", "ü", "🦀", "-", "C:"):
            await guest.succeed("create-directory-at", guest.root, name)
        created = set(await guest.entries(guest.root))
    assert set(os.listdir(tmp_path)) == created
    assert len(created) == 10


async def test_the_folder_is_the_one_that_was_there_when_it_was_mounted(
    inside: Path, outside: Path
) -> None:
    mount = read_only(inside)
    os.rename(inside, inside.with_name("moved"))
    os.symlink(outside, inside)
    async with filesystem_guest(mount) as guest:
        assert await guest.content("dir/file") == MINE
        assert await guest.content("secret") == "no-entry"


# --- what is neither file nor directory --------------------------------------------------------------------


@pytest.fixture
def special(tmp_path: Path) -> Iterator[Path]:
    """A folder with a FIFO that nobody else has open, and a socket."""
    # The path of a socket has to be short.
    with (
        tempfile.TemporaryDirectory(dir="/tmp", prefix="fs") as name,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        folder = Path(name)
        os.mkfifo(folder / "fifo")
        listener.bind(str(folder / "socket"))
        (folder / "link").symlink_to("fifo")
        yield folder


@pytest.mark.parametrize("flags", [("read",), ("write",), ("read", "write"), ()])
@pytest.mark.parametrize("open_flags", [(), ("create",), ("truncate",)])
@pytest.mark.parametrize("name", ["fifo", "socket", "link"])
async def test_fifos_and_sockets_are_not_opened(
    special: Path, name: str, flags: tuple[str, ...], open_flags: tuple[str, ...]
) -> None:
    async with filesystem_guest(writable(special)) as guest:
        opened = await guest.open_at(name, flags, open_flags, follow=True)
        assert opened == Err("unsupported")


async def test_fifos_and_sockets_can_be_seen_and_removed(special: Path) -> None:
    async with filesystem_guest(writable(special)) as guest:
        assert await guest.entries(guest.root) == {
            "fifo": "fifo",
            "socket": "socket",
            "link": "symbolic-link",
        }
        stat = await guest.succeed("stat-at", guest.root, FOLLOW, "link")
        assert stat["type"] == "fifo"
        await guest.succeed("unlink-file-at", guest.root, "fifo")
        await guest.succeed("unlink-file-at", guest.root, "socket")
    assert os.listdir(special) == ["link"]


async def test_devices_are_not_opened() -> None:
    async with filesystem_guest(read_only(Path("/dev"))) as guest:
        assert await guest.content("null") == "unsupported"
        assert await guest.content("zero") == "unsupported"
        stat = await guest.succeed("stat-at", guest.root, (), "null")
        assert stat["type"] == "character-device"


@pytest.mark.skipif(not os.path.islink("/proc/self/cwd"), reason="no /proc as Linux has it")
@pytest.mark.parametrize(
    "path", ["root/etc/passwd", "cwd/pyproject.toml", "cwd", "exe", "root", "fd/0", "task/../root"]
)
async def test_the_links_of_proc_that_are_none_are_not_followed(path: str) -> None:
    async with filesystem_guest(read_only(Path("/proc/self"))) as guest:
        assert await guest.content(path) in {"not-permitted", "no-entry"}


# --- races -------------------------------------------------------------------------------------------------


Hook = Callable[[str, Callable[[], None], Callable[[], None]], None]


@pytest.fixture
def around_open(monkeypatch: pytest.MonkeyPatch) -> Hook:
    """`around_open("name", before, after)`: acts as someone else at the moment when the system opens a name."""
    system_open = os.open

    def hook(name: str, before: Callable[[], None], after: Callable[[], None]) -> None:
        def hooked(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if path != name.encode():
                return system_open(path, flags, mode, dir_fd=dir_fd)
            before()
            try:
                return system_open(path, flags, mode, dir_fd=dir_fd)
            finally:
                after()

        monkeypatch.setattr(os, "open", hooked)

    return hook


def nothing() -> None:
    pass


async def test_a_directory_that_becomes_a_link_is_not_entered(
    inside: Path, around_open: Hook
) -> None:
    def swap() -> None:
        (inside / "dir").rename(inside / "was-dir")
        (inside / "dir").symlink_to("../outside")

    async with filesystem_guest(read_only(inside)) as guest:
        around_open("dir", swap, nothing)
        assert await guest.content("dir/secret") == "not-permitted"


async def test_a_directory_that_becomes_a_link_after_it_was_entered_is_not_looked_at_again(
    inside: Path, around_open: Hook
) -> None:
    (inside / "dir" / "secret").write_bytes(MINE)

    def swap() -> None:
        (inside / "dir").rename(inside / "was-dir")
        (inside / "dir").symlink_to("../outside")

    async with filesystem_guest(read_only(inside)) as guest:
        around_open("dir", nothing, swap)
        assert await guest.content("dir/secret") == MINE


async def test_a_file_that_becomes_a_link_is_not_opened(inside: Path, around_open: Hook) -> None:
    def swap() -> None:
        (inside / "dir" / "file").unlink()
        (inside / "dir" / "file").symlink_to("../../outside/secret")

    async with filesystem_guest(read_only(inside)) as guest:
        around_open("file", swap, nothing)
        assert await guest.content("dir/file") == "loop"


async def test_the_way_back_from_a_directory_that_was_moved_outside_is_the_way_in(
    inside: Path, outside: Path, around_open: Hook
) -> None:
    (inside / "dir" / "secret").write_bytes(MINE)

    def move() -> None:
        (inside / "dir" / "nested").rename(outside / "nested")

    async with filesystem_guest(read_only(inside)) as guest:
        around_open("nested", nothing, move)
        assert await guest.content("dir/nested/../secret") == MINE


async def test_a_file_that_becomes_a_fifo_neither_blocks_nor_is_opened(
    inside: Path, around_open: Hook
) -> None:
    def swap() -> None:
        (inside / "dir" / "file").unlink()
        os.mkfifo(inside / "dir" / "file")

    async with filesystem_guest(read_only(inside)) as guest:
        around_open("file", swap, nothing)
        assert await guest.content("dir/file") == "unsupported"


async def test_truncating_what_becomes_a_link_leaves_its_target_alone(
    inside: Path, outside: Path, around_open: Hook
) -> None:
    def swap() -> None:
        (inside / "dir" / "file").unlink()
        (inside / "dir" / "file").symlink_to("../../outside/secret")

    async with filesystem_guest(writable(inside)) as guest:
        around_open("file", swap, nothing)
        opened = await guest.open_at("dir/file", ("write",), ("create", "truncate"), follow=True)
        assert opened == Err("loop")
    assert (outside / "secret").read_bytes() == SECRET


@contextmanager
def swapping(inside: Path) -> Iterator[None]:
    """Meanwhile `dir` is a directory and a link that leads outside, by turns."""
    (inside / "bait").symlink_to("../outside")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            (inside / "dir").rename(inside / "spare")
            (inside / "bait").rename(inside / "dir")
            (inside / "spare").rename(inside / "bait")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        ended.set()
        swapper.join(PATIENCE)


OFTEN: Final = 300
"""How often each of the two must have been met before a race has been run long enough."""


@pytest.mark.parametrize("path", ["dir/secret", "dir/nested/../secret", "to-dir/secret"])
def test_whenever_a_directory_becomes_a_link_nothing_outside_is_read(
    inside: Path, path: str
) -> None:
    (inside / "dir" / "secret").write_bytes(MINE)
    mount = Mount(inside, "/")
    read = refused = 0
    with swapping(inside):
        while min(read, refused) < OFTEN:
            try:
                handle = directory.open_at(mount.handle, path, True, (), ("read",))
            except FilesystemError as error:
                if error.code is not ErrorCode.NOT_PERMITTED:
                    raise
                refused += 1
            except (FileNotFoundError, NotADirectoryError):
                continue  # between two renames, or two looks at what they swap
            else:
                assert os.pread(handle.fd, 100, 0) == MINE
                handle.release()
                read += 1
    mount.close()


def test_whenever_a_directory_becomes_a_link_nothing_is_made_or_removed_outside(
    inside: Path, outside: Path
) -> None:
    (outside / "victim").mkdir()
    mount = Mount(inside, "/", writable=True)
    done = refused = 0
    with swapping(inside):
        while min(done, refused) < OFTEN:
            for change, name in (
                (directory.create_directory_at, "new"),
                (directory.remove_directory_at, "new"),
                (directory.remove_directory_at, "victim"),
            ):
                try:
                    change(mount.handle, f"dir/{name}")
                except FilesystemError as error:
                    if error.code is not ErrorCode.NOT_PERMITTED:
                        raise
                    refused += 1
                except (FileExistsError, FileNotFoundError, NotADirectoryError):
                    continue
                else:
                    done += 1
    mount.close()
    assert sorted(os.listdir(outside)) == ["secret", "victim"]
