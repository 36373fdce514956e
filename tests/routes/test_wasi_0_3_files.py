"""Folders of components of WASI 0.3."""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.harness import GuestPath
from tests.routes.site import ObservedSite
from tests.routes.test_body import MIB

CONFIG = """
[server]
port = 0

[[components]]
name = "files"
source = "{guest}"
mounts = [{{ host = "{folder}", guest = "/", writable = true }}]

[[components]]
name = "reader"
source = "{guest}"
routes = [{{ host = "reader.test" }}]
mounts = [{{ host = "{folder}", guest = "/" }}]
"""

NO_ENTRY, IS_DIRECTORY, NOT_DIRECTORY, EXIST, NOT_PERMITTED = 419, 413, 423, 406, 430


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all tests here."""
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def gateway(
    guest: GuestPath, tmp_path_factory: pytest.TempPathFactory, shared: Path
) -> Iterator[ObservedSite]:
    """Two components that have it, one to write in it."""
    path = tmp_path_factory.mktemp("wasi-0-3-files") / "gateway.toml"
    path.write_text(CONFIG.format(guest=guest("wat/wasi-0-3-files"), folder=shared))
    with ObservedSite(path) as site:
        yield site


@pytest.fixture
def folder(shared: Path) -> Path:
    """The folder, with nothing in it."""
    for each in shared.iterdir():
        if each.is_dir():
            each.rmdir()
        else:
            each.unlink()
    return shared


@pytest.fixture(autouse=True)
def _nothing_is_left(gateway: ObservedSite) -> Iterator[None]:
    with gateway.left_as_it_was():
        yield


@pytest.mark.parametrize("size", [0, 1, 65536, 3 * MIB + 1])
def test_a_file_is_read_whole(gateway: ObservedSite, folder: Path, size: int) -> None:
    content = Random(size).randbytes(size)  # noqa: S311 - not for secrets
    (folder / "file").write_bytes(content)
    assert gateway.get("/rfile").body == content


@pytest.mark.parametrize("size", [0, 1, 65536, 3 * MIB + 1])
def test_a_file_is_written_whole(gateway: ObservedSite, folder: Path, size: int) -> None:
    content = Random(size).randbytes(size)  # noqa: S311 - not for secrets
    assert gateway.post("/wfile", content).status == 200
    assert (folder / "file").read_bytes() == content


def test_a_file_is_added_to(gateway: ObservedSite, folder: Path) -> None:
    for content in (b"first ", b"second"):
        assert gateway.post("/afile", content).status == 200
    assert (folder / "file").read_bytes() == b"first second"


def test_a_file_is_copied_in_the_guest(gateway: ObservedSite, folder: Path) -> None:
    content = bytes(range(256)) * 5000
    (folder / "file").write_bytes(content)
    assert gateway.get("/cfile").status == 200
    assert (folder / "copy").read_bytes() == content


def test_a_reader_may_stop(gateway: ObservedSite, folder: Path) -> None:
    (folder / "file").write_bytes(bytes(MIB))
    assert gateway.get("/pfile").status == 200


@pytest.mark.parametrize("count", [0, 3, 200])
def test_a_folder_is_listed(gateway: ObservedSite, folder: Path, count: int) -> None:
    names = {f"file-{number}-{'x' * 100}" for number in range(count)}
    for name in names:
        (folder / name).touch()
    listed = gateway.get("/l.").body.decode()
    assert sorted(listed.split("/")[:-1]) == sorted(names)


def test_who_lists_a_folder_may_stop(gateway: ObservedSite, folder: Path) -> None:
    for number in range(100):
        (folder / str(number)).touch()
    assert gateway.get("/d.").status == 200


def test_a_name_that_no_string_can_hold_ends_a_list(gateway: ObservedSite, folder: Path) -> None:
    name = os.fsencode(folder) + b"/\xff"
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    try:
        assert gateway.get("/l.").status == 408
    finally:
        os.unlink(name)


def test_a_file_has_a_size_a_kind_and_names(gateway: ObservedSite, folder: Path) -> None:
    (folder / "file").write_bytes(b"12345")
    (folder / "other").mkdir()
    assert gateway.get("/sfile").status == 205
    assert [gateway.get(f"/t{name}").status for name in ("file", "other")] == [205, 202]
    assert gateway.get("/kfile").status == 200
    assert gateway.get("/efile").status == 201
    assert gateway.get("/eother").status == 200
    assert (folder / "link").read_bytes() == b"12345"


def test_a_call_may_be_cancelled(gateway: ObservedSite, folder: Path) -> None:
    (folder / "file").touch()
    assert gateway.get("/xfile").status == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/rnothing", NO_ENTRY),
        ("/snothing", NO_ENTRY),
        ("/r../out", NOT_PERMITTED),
        ("/o.", IS_DIRECTORY),
        ("/lfile", NOT_DIRECTORY),
        ("/knothing", NO_ENTRY),
        ("/kfile", EXIST),
    ],
)
def test_an_error_has_its_code(
    gateway: ObservedSite, folder: Path, target: str, status: int
) -> None:
    (folder / "file").touch()
    (folder / "link").touch()
    assert gateway.get(target).status == status


@pytest.mark.parametrize("target", ["/wfile", "/afile", "/kfile"])
def test_what_is_not_to_be_written_to_is_not(
    gateway: ObservedSite, folder: Path, target: str
) -> None:
    (folder / "file").write_bytes(b"kept")
    assert gateway.post(target, b"lost", host="reader.test").status == NOT_PERMITTED
    assert (folder / "file").read_bytes() == b"kept"
    assert gateway.get("/rfile", host="reader.test").body == b"kept"
