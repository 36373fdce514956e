"""The server in processes: start, stop, workers, and what is logged of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.server import echo
from tests.server.client import head
from tests.server.process import ROOT, Process

# --- start and stop -----------------------------------------------------------------------------


def test_one_worker_serves_in_the_process_itself() -> None:
    port = free_port()
    with Process(echo.verify_and_make_echo, port=port) as running:
        with running.connect() as connection:
            connection.send(head())
            assert connection.response().json["pid"] == running.pid
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        verified, listening, draining, stopping, stopped = running.log.records()
        assert (verified["event"], verified["pid"]) == ("verified", running.pid)
        assert listening["event"] == "listening"
        assert listening["url"] == f"http://127.0.0.1:{port}"
        assert listening["components"] == ["echo"]
        assert listening["timestamp"].endswith("Z")
        assert (draining["event"], draining["grace"]) == ("draining", 0)
        assert stopping["event"] == "stopping"
        assert (stopped["event"], stopped["cut_off"]) == ("stopped", 0)
        assert running.log.others() == []


def test_only_what_was_not_meant_to_happen_leaves_a_traceback() -> None:
    with Process(echo.make_echo, port=0) as running:
        for path in ("/abort", "/bug"):
            with running.connect() as connection:
                connection.send(head(path, "Connection: close"))
                connection.read_to_end()
        failed = running.wait_for(level="error")
        assert failed["logger"] == "uvicorn.error"
        assert "ValueError: a bug of the application" in failed["exception"]
        running.signal(signal.SIGINT)
        assert running.ended() == 0
        assert "ResponseAborted" not in running.output


def test_a_running_request_may_end_when_the_server_stops() -> None:
    with Process(echo.make_echo, port=0) as running:
        with running.connect() as connection:
            connection.send(head("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
            connection.read_until(b"100 Continue\r\n\r\n")
            running.signal(signal.SIGTERM)
            running.wait_for(event="stopping")
            connection.send(b"hello")
            response = connection.response()
            assert response.json["body"] == "hello"
            assert response.headers["connection"] == "close"
        assert running.ended() == 0


def test_a_request_that_does_not_end_is_cancelled_when_the_server_stops() -> None:
    with Process(echo.make_echo, port=0, shutdown_timeout=0.05) as running:
        with running.connect() as connection:
            connection.send(head("/begun/forever"))
            connection.read_until(b"begun")
            running.signal(signal.SIGTERM)
            with contextlib.suppress(ConnectionError):
                assert not connection.read_to_end().endswith(b"0\r\n\r\n")
        assert running.ended() == 0
        assert running.wait_for(event="stopped", level="warning")["cut_off"] == 1
        assert "Traceback" not in running.output


def test_a_second_interrupt_does_not_wait() -> None:
    with Process(echo.make_echo, port=0) as running:
        with running.connect() as connection:
            connection.send(head("/begun/forever"))
            connection.read_until(b"begun")
            running.signal(signal.SIGINT)
            running.wait_for(event="stopping")
            running.signal(signal.SIGINT)
            assert running.ended() == 0
        assert "Traceback" not in running.output


def test_a_response_to_http_1_0_does_not_look_whole_when_the_server_is_killed() -> None:
    with Process(echo.make_echo, port=0) as running, running.connect() as connection:
        connection.send(head("/begun/forever", version="1.0"))
        connection.read_until(b"begun")
        running.signal(signal.SIGKILL)
        with pytest.raises(ConnectionResetError):
            connection.read_to_end()


def test_a_response_to_http_1_0_does_not_look_whole_when_its_end_is_cancelled() -> None:
    with (
        Process(echo.make_echo, port=0, shutdown_timeout=0.05) as running,
        running.connect() as connection,
    ):
        connection.send(head("/large", version="1.0"))
        connection.head()
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        with pytest.raises(ConnectionResetError):
            connection.read_to_end()


def test_a_component_that_is_refused_stops_the_start() -> None:
    with Process(echo.refuse, port=0) as running:
        assert running.ended() == 1
        assert running.log.others() == ["refused: a.wasm: is a core module"]
        assert running.log.records() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_application_that_does_not_start_is_told(workers: int) -> None:
    with Process(echo.make_failing, port=0, workers=workers) as running:
        assert running.ended() == 1
        assert "no database" in running.output
        assert "listening" not in running.events


# --- workers ------------------------------------------------------------------------------------


def test_workers_are_processes_and_replaced_when_they_die() -> None:
    with Process(echo.make_echo, port=free_port(), workers=2) as running:
        with running.connect() as connection:
            connection.send(head())
            worker = connection.response().json["pid"]
        assert worker != running.pid
        os.kill(worker, signal.SIGKILL)
        running.wait_for(event="worker replaced")
        with running.connect() as connection:
            connection.send(head())
            assert connection.response().json["pid"] not in {worker, running.pid}
        running.signal(signal.SIGTERM)
        assert running.ended() == 0
        verified, listening, ended, replaced, draining, stopped = running.log.records()
        assert (verified["event"], verified["pid"]) == ("verified", running.pid)
        assert (listening["event"], listening["workers"]) == ("listening", 2)
        assert (ended["event"], ended["pid"]) == ("worker ended", worker)
        assert ended["status"] == -signal.SIGKILL
        assert (replaced["event"], replaced["level"]) == ("worker replaced", "warning")
        assert replaced["replaces"] == worker
        assert draining["event"] == "draining"
        assert (stopped["event"], stopped["cut_off"]) == ("stopped", 0)
        assert running.log.others() == []


def test_a_component_that_a_worker_refuses_stops_them_all() -> None:
    with Process(echo.refuse, port=0, workers=2) as running:
        assert running.ended() == 1
        assert running.wait_for(event="component refused")["reason"] == "a.wasm: is a core module"
        assert "listening" not in running.events


def test_a_worker_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(echo.HUNG, "5")
    with Process(echo.make_echo, port=0, workers=2) as running:
        with running.connect() as connection:
            connection.send(head())
            worker = connection.response().json["pid"]
        os.kill(worker, signal.SIGSTOP)
        running.wait_for(event="worker hangs", pid=worker)
        running.wait_for(event="worker ended", pid=worker, status=-signal.SIGKILL)
        running.wait_for(event="worker replaced", replaces=worker)


def test_a_worker_that_cannot_be_started_again_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = tmp_path / "refused"
    monkeypatch.setenv(echo.REFUSED_IF, str(refused))
    with Process(echo.make_echo_or_refuse, port=0, workers=2) as running:
        with running.connect() as connection:
            connection.send(head())
            worker = connection.response().json["pid"]
        refused.touch()
        os.kill(worker, signal.SIGKILL)
        running.wait_for(event="worker ended", status=3)
        # The other one serves alone.
        for _ in range(3):
            with running.connect() as connection:
                connection.send(head())
                assert connection.response().json["pid"] not in {worker, running.pid}
        refused.unlink()
        running.wait_for(event="worker replaced")
        assert running.process.poll() is None


# --- parsers ------------------------------------------------------------------------------------


def test_h11_serves_where_httptools_is_missing() -> None:
    code = """if True:
        import sys
        sys.modules["httptools"] = None
        from gateway.server.http1 import http_protocol
        assert http_protocol("auto") is http_protocol("h11")
    """
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_who_asks_for_a_change_is_told_what_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    told.write_text("")
    monkeypatch.setenv(echo.SHARING, str(told))
    monkeypatch.setenv(echo.SPREAD, "0.1")

    def asked(name: str) -> str:
        with process.connect() as connection:
            connection.send(head(f"/change/{name}"))
            body: str = connection.response().json["body"]
            return body

    with Process(echo.make_sharing, port=0, workers=2) as process:
        assert asked("a") == "spreading"
        told.write_text("b")
        assert asked("b") == "this name is refused"
        assert "this name is refused" in process.wait_for(event="reload failed")["reason"]
        # Those that had not made the change before go on with it, and this one is made in its turn.
        assert asked("c") in {"done", "spreading"}
        os.kill(process.pid, signal.SIGTERM)
        assert process.ended() == 0


def test_a_worker_whose_supervisor_ends_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    told.write_text("")
    monkeypatch.setenv(echo.SHARING, str(told))
    with Process(echo.make_sharing, port=0, workers=2) as process, process.connect() as connection:
        connection.send(head("/change/a"))
        process.wait_for(event="asked for a change")
        # The other one never makes the change.
        os.kill(process.pid, signal.SIGKILL)
        assert connection.response().json["body"] == "The gateway is stopping."


def test_workers_are_not_replaced_by_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A module of every process that is made.
    (module := tmp_path / "sitecustomize.py").write_text("version = 1\n")
    before = module.stat()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    def pids() -> set[int]:
        found: set[int] = set()
        while len(found) < 2:
            found.add(pid())
        return found

    def pid() -> int:
        with process.connect() as connection:
            connection.send(head("/", "Connection: close"))
            served: int = connection.response().json["pid"]
            return served

    with Process(echo.make_echo, port=0, workers=2) as process:
        first, second = pids()
        module.write_text("version = 10\n")
        os.kill(first, signal.SIGKILL)
        told = process.wait_for(event="worker not replaced", pid=first)
        assert (told["file"], told["remedy"]) == (str(module), "restart the gateway")
        assert {pid() for _ in range(10)} == {second}
        os.kill(second, signal.SIGKILL)
        assert (
            process.wait_for(event="worker not replaced", pid=second)["effect"]
            == "the gateway ends"
        )
        assert process.ended() == 1

    module.write_text("version = 1\n")
    os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))
    with Process(echo.make_echo, port=0, workers=2) as process:
        first, _ = pids()
        module.touch()
        os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.kill(first, signal.SIGKILL)
        process.wait_for(event="worker replaced", replaces=first)
