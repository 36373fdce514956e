"""A component that keeps what it is sent, served by a real gateway."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import ask
from tests.capabilities.blobstore.conftest import OBJECT_SERVERS
from tests.harness import GatewayProcess, GuestPath, StartGateway
from tests.patience import PATIENCE
from tests.production.gateways import until

BLOCK = bytes(range(256)) * 4096
BLOCKS = 64
"""1 MiB each."""


def upload(gateway: GatewayProcess, name: str, blocks: int) -> None:
    def content() -> Iterator[bytes]:
        for _ in range(blocks):
            yield BLOCK

    answer = ask.post(f"{gateway.url}/put/{name}", content=content())
    assert (answer.status_code, answer.text) == (201, "stored")


def download(gateway: GatewayProcess, name: str) -> tuple[int, str]:
    """How many bytes an object has, and their digest."""
    size, digest = 0, hashlib.sha256()
    with ask.Client() as client, client.stream("GET", f"{gateway.url}/get/{name}") as answer:
        assert answer.status_code == 200
        for data in answer.iter_bytes():
            size += len(data)
            digest.update(data)
    return size, digest.hexdigest()


def test_a_large_object_passes_through_constant_memory(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    started = gateway(
        guest("c/blobs"), "--blobstore", f"uploads=file:{tmp_path}", "--max-execution-time", "5m"
    )
    upload(started, "small", 8)
    assert download(started, "small")[0] == 8 << 20
    before = started.rss()
    upload(started, "large", BLOCKS)
    digest = hashlib.sha256()
    for _ in range(BLOCKS):
        digest.update(BLOCK)
    assert download(started, "large") == (BLOCKS << 20, digest.hexdigest())
    assert started.rss() - before < BLOCKS << 18  # a quarter of it
    assert (tmp_path / "uploads" / "large").stat().st_size == BLOCKS << 20
    assert os.listdir(tmp_path / ".partial") == []


def test_an_object_is_returned_at_once(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    started = gateway(guest("c/blobs"), "--blobstore", "*=memory:")
    ask.post(f"{started.url}/put/o", content=BLOCK[:100_000])
    assert ask.get(f"{started.url}/sync/o").content == BLOCK[:100_000]
    upload(started, "large", 3)
    answer = ask.get(f"{started.url}/sync/large")
    assert answer.status_code == 502
    assert "use incoming-value-consume-async" in answer.text
    answer = ask.get(f"{started.url}/get/none")
    assert (answer.status_code, answer.text) == (502, "object does not exist")


def test_what_is_not_granted_is_denied(guest: GuestPath, gateway: StartGateway) -> None:
    started = gateway(guest("c/blobs"))
    answer = ask.get(f"{started.url}/get/o")
    assert answer.status_code == 502
    assert answer.text.startswith("access-denied")


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_of_a_client_that_leaves_nothing_is_kept(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path, scheme: str
) -> None:
    store = f"file:{tmp_path}" if scheme == "file" else "memory:"
    started = gateway(guest("c/blobs"), "--blobstore", f"uploads={store}")

    def content() -> Iterator[bytes]:
        for _ in range(8):
            yield BLOCK
        while scheme == "file" and not list(tmp_path.glob(".partial/*")):
            yield BLOCK
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask.post(f"{started.url}/put/o", content=content())
    answer = ask.get(f"{started.url}/get/o")
    assert answer.text == "object does not exist"
    assert started.stop() == 0
    if scheme == "file":
        assert os.listdir(tmp_path / ".partial") == []
        assert os.listdir(tmp_path / "uploads") == [".container"]


@pytest.mark.parametrize("scheme", OBJECT_SERVERS)
def test_with_a_server_behind_it_guests_get_errors_while_it_is_away(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path, scheme: str
) -> None:
    with OBJECT_SERVERS[scheme](tmp_path) as server:
        url = f"uploads={server.url}"
        server.kill()
        started = gateway(guest("c/blobs"), "--blobstore", url, "--workers", "1")
        answer = ask.get(f"{started.url}/get/o")
        assert (answer.status_code, answer.text) == (502, "the store is not available")
        failed = started.wait_for_log(event="backend failed")
        assert failed["backend"] == scheme
        assert server.secret not in str(started.logs)
        server.start()
        ends = time.monotonic() + PATIENCE
        while ask.post(f"{started.url}/put/small", content=b"1").status_code != 201:
            assert time.monotonic() < ends
        upload(started, "large", 24)
        digest = hashlib.sha256(BLOCK * 24).hexdigest()
        assert download(started, "large") == (24 << 20, digest)
        assert ask.get(f"{started.url}/sync/small").content == b"1"


def test_a_gateway_ends_whose_threads_wait_for_a_lock_that_another_process_keeps(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"""
        [server]
        shutdown_timeout = "50ms"
        [[components]]
        name = "blobs"
        source = "{guest("c/blobs")}"
        [components.blobstore]
        uploads = {{ url = "file:{tmp_path}", max_objects = 10 }}
        """
    )
    started = gateway(path)
    upload(started, "first", 1)
    with (tmp_path / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(ask.put, f"{started.url}/put/second", content=b"1")
            until(lambda: len(os.listdir(tmp_path / ".partial")) == 1)
            assert started.stop() == 0
            assert waiting.result().status_code == 503
