"""wasi:filesystem, as Python's own library uses it in a real guest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.bindings.filesystem import Mount
from tests.bindings.filesystem.python_guest import run
from tests.harness import GuestError, GuestPath

pytestmark = pytest.mark.anyio


@pytest.fixture
def probe(guest: GuestPath) -> Path:
    """The guest."""
    return guest("python/probe")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`hello.txt`, `sub/inner.txt`, and a link that leads outside."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "hello.txt").write_text("Grüße\nfrom the host\n")
    (folder / "sub" / "inner.txt").write_text("inner")
    (folder / "out").symlink_to("/etc/passwd")
    return folder


async def writable(probe: Path, folder: Path, source: str) -> Any:
    """What a source leaves in `result`, with the folder mounted as `/data`."""
    mount = Mount(folder, "/data", writable=True)
    try:
        return await run(probe, source, mount)
    finally:
        mount.close()


async def read_only(probe: Path, folder: Path, source: str) -> Any:
    """The same, with nothing to be changed."""
    mount = Mount(folder, "/data")
    try:
        return await run(probe, source, mount)
    finally:
        mount.close()


def names(folder: Path) -> set[str]:
    """All paths below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


async def test_files_are_read_as_text_and_bytes(probe: Path, folder: Path) -> None:
    source = """
        from pathlib import Path
        with open("/data/hello.txt") as file:
            result = [file.readline(), file.read(), file.tell(), file.read()]
        with open("/data/hello.txt", "rb") as file:
            file.seek(-5, 2)
            result.append(file.read())
        result.append(Path("/data/sub/inner.txt").read_text())
        result.append(Path("/data/sub/../hello.txt").stat().st_size)
    """
    assert await read_only(probe, folder, source) == [
        "Grüße\n",
        "from the host\n",
        22,
        "",
        "host\n",
        "inner",
        22,
    ]


async def test_directories_are_listed_and_walked(probe: Path, folder: Path) -> None:
    source = """
        import os
        from pathlib import Path
        result = [
            sorted(os.listdir("/data")),
            sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in os.scandir("/data")),
            [[path, sorted(directories), sorted(files)] for path, directories, files in os.walk("/data")
             if path != "/data"],
            sorted(str(path) for path in Path("/data").rglob("*.txt")),
            [Path("/data/sub").is_dir(), Path("/data/hello.txt").is_file(), os.path.islink("/data/out")],
        ]
    """
    assert await read_only(probe, folder, source) == [
        ["hello.txt", "out", "sub"],
        [["hello.txt", False], ["out", False], ["sub", True]],
        [["/data/sub", [], ["inner.txt"]]],
        ["/data/hello.txt", "/data/sub/inner.txt"],
        [True, True, True],
    ]


async def test_files_are_written_appended_and_updated_in_place(probe: Path, folder: Path) -> None:
    source = """
        import os
        with open("/data/new.txt", "x") as file:
            file.writelines(f"{number}\\n" for number in range(10_000))
        with open("/data/new.txt", "a") as one, open("/data/new.txt", "a") as other:
            for turn in range(3):
                print("one", turn, file=one, flush=True)
                print("other", turn, file=other, flush=True)
        with open("/data/hello.txt", "r+b") as file:
            file.seek(6)
            file.write(b"E")
            file.seek(0)
            changed = file.readline().decode()
            file.truncate(8)
        fd = os.open("/data/raw", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.pwrite(fd, b"far", 5)
        os.lseek(fd, 1, os.SEEK_SET)
        os.write(fd, b"ab")
        os.fsync(fd)
        result = [changed, os.pread(fd, 100, 0).hex(), os.fstat(fd).st_size]
        os.close(fd)
    """
    assert await writable(probe, folder, source) == ["GrüßE\n", "0061620000666172", 8]
    lines = (folder / "new.txt").read_text().splitlines()
    assert lines[:10_000] == [str(number) for number in range(10_000)]
    assert lines[10_000:] == ["one 0", "other 0", "one 1", "other 1", "one 2", "other 2"]
    assert (folder / "hello.txt").read_text() == "GrüßE\n"
    assert (folder / "raw").read_bytes() == b"\0ab\0\0far"


async def test_large_files_come_and_go_whole(probe: Path, folder: Path) -> None:
    content = os.urandom(1_000_003)
    (folder / "large").write_bytes(content)
    source = """
        import hashlib
        with open("/data/large", "rb") as file, open("/data/copy", "wb") as copy:
            while block := file.read(12_345):
                copy.write(block)
        result = hashlib.sha256(open("/data/copy", "rb").read()).hexdigest()
    """
    assert await writable(probe, folder, source) == hashlib.sha256(content).hexdigest()
    assert (folder / "copy").read_bytes() == content


async def test_names_are_made_moved_and_removed(probe: Path, folder: Path) -> None:
    source = """
        import os
        from pathlib import Path
        os.makedirs("/data/a/b/c")
        Path("/data/a/b/file").touch()
        os.rename("/data/a/b", "/data/b")
        os.replace("/data/hello.txt", "/data/b/file")
        os.symlink("../b/file", "/data/a/link")
        os.link("/data/b/file", "/data/linked")
        os.utime("/data/linked", (1, 2))
        result = [
            Path("/data/a/link").read_text(),
            os.readlink("/data/a/link"),
            os.stat("/data/b/file").st_nlink,
            os.path.samefile("/data/linked", "/data/b/file"),
            os.stat("/data/b/file").st_mtime,
        ]
        os.remove("/data/linked")
        os.rmdir("/data/b/c")
    """
    text = "Grüße\nfrom the host\n"
    assert await writable(probe, folder, source) == [text, "../b/file", 2, True, 2.0]
    assert names(folder) == {"a", "a/link", "b", "b/file", "out", "sub", "sub/inner.txt"}


async def test_the_current_directory_may_be_in_a_mount(probe: Path, folder: Path) -> None:
    source = """
        import os
        os.chdir("/data/sub")
        result = [os.getcwd(), open("inner.txt").read(), open("../hello.txt").readline(), os.listdir()]
    """
    assert await read_only(probe, folder, source) == [
        "/data/sub",
        "inner",
        "Grüße\n",
        ["inner.txt"],
    ]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ('open("/data/out")', "PermissionError"),
        ('open("/data/../etc/passwd")', "PermissionError"),
        ('open("/data/sub/../../../etc/passwd")', "PermissionError"),
        ('open("/etc/passwd")', "FileNotFoundError"),
        ('os.listdir("/")', "FileNotFoundError"),
        ('open("/data/nothing")', "FileNotFoundError"),
        ('open("/data/sub")', "IsADirectoryError"),
        ('open("/data/hello.txt/x")', "NotADirectoryError"),
        ('os.mkdir("/data/sub")', "FileExistsError"),
        ('os.rmdir("/data/sub")', "OSError"),
        ('os.symlink("/etc/passwd", "/data/new")', "PermissionError"),
        ('os.link("/data/out", "/data/sub/out"); open("/data/sub/out")', "PermissionError"),
    ],
)
async def test_what_does_not_work_is_the_usual_exception(
    probe: Path, folder: Path, call: str, error: str
) -> None:
    with pytest.raises(GuestError, match=f"^{error}: "):
        await writable(probe, folder, f"import os\n{call}")


@pytest.mark.parametrize(
    "call",
    [
        'open("/data/hello.txt", "w")',
        'open("/data/hello.txt", "a")',
        'open("/data/hello.txt", "r+")',
        'open("/data/new", "x")',
        'os.mkdir("/data/new")',
        'os.remove("/data/hello.txt")',
        'os.rename("/data/hello.txt", "/data/new")',
        'os.truncate("/data/hello.txt", 0)',
        'os.utime("/data/hello.txt")',
    ],
)
async def test_a_read_only_mount_is_that_for_python_too(
    probe: Path, folder: Path, call: str
) -> None:
    with pytest.raises(GuestError, match=r"^PermissionError: "):
        await read_only(probe, folder, f"import os\n{call}")
    source = 'import os; result = [os.access("/data", mode) for mode in (os.R_OK, os.W_OK)]'
    assert await read_only(probe, folder, source) == [True, False]


async def test_nested_mounts_are_each_found_under_their_own_path(
    probe: Path, folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    mounts = [Mount(folder, "/data"), Mount(cache, "/data/cache", writable=True)]
    source = """
        open("/data/cache/new", "w").write("kept")
        result = [open("/data/hello.txt").readline(), open("/data/cache/new").read()]
    """
    assert await run(probe, source, *mounts) == ["Grüße\n", "kept"]
    assert (cache / "new").read_text() == "kept"
    for mount in mounts:
        mount.close()


async def test_without_mounts_there_is_nothing(probe: Path) -> None:
    with pytest.raises(GuestError, match=r"^FileNotFoundError: "):
        await run(probe, 'open("/etc/passwd")')
