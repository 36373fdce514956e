"""One build: what it runs, what is kept of what it says, and that nothing of it is left."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from gateway.config.build import BuildConfig
from gateway.lifecycle.build import MAX_OUTPUT, MAX_SHOWN, BuildFailed, BuildInterrupted, build
from gateway.lifecycle.sources import MAX_FILES, sources
from tests.patience import PATIENCE
from tests.production.gateways import until

FOREVER = "sleep 1000 & echo $! > child.new; echo $$ > own; mv child.new child; wait"
"""A build that has started something, says so when it has, and goes on."""


def config(folder: Path, command: str, timeout: float = PATIENCE) -> BuildConfig:
    return BuildConfig(command=command, folder=folder, timeout=timeout)


def is_running(pid: int) -> bool:
    """Whether a process is there that is not waiting to be buried."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def assert_gone(folder: Path) -> None:
    """Both processes of `FOREVER` have ended, as far as it came."""
    for path in (folder / "own", folder / "child", folder / "child.new"):
        if not path.exists() or not (told := path.read_text()):
            continue
        pid = int(told)
        until(lambda pid=pid: not is_running(pid))  # type: ignore[misc]


def test_it_runs_in_its_folder_and_makes_the_source(tmp_path: Path) -> None:
    said: list[str] = []
    build(
        config(tmp_path, "echo made > app.wasm; echo done"), tmp_path / "app.wasm", show=said.append
    )
    assert (tmp_path / "app.wasm").read_text() == "made\n"
    assert "".join(said) == "done\n"


@pytest.mark.parametrize(
    ("command", "reason", "output"),
    [
        ("echo what went wrong >&2; exit 3", "it ended with status 3", "what went wrong\n"),
        ("kill -9 $$", "it was ended by SIGKILL", ""),
        ("true", "it ended well, and there is no ", ""),
        ("printf '\\303'; false", "it ended with status 1", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_one_that_makes_nothing_says_why(
    tmp_path: Path, command: str, reason: str, output: str
) -> None:
    with pytest.raises(BuildFailed, match=reason) as failed:
        build(config(tmp_path, command), tmp_path / "app.wasm")
    assert failed.value.output == output


def test_one_without_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        BuildFailed, match=r"cannot be started: No such file or directory: .*absent"
    ):
        build(config(tmp_path / "absent", "true"), tmp_path / "app.wasm")


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="it took longer than its timeout, 1 s"):
        build(config(tmp_path, FOREVER, timeout=1), tmp_path / "app.wasm")
    assert_gone(tmp_path)


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["", "that heeds no SIGTERM"])
def test_one_that_is_not_wanted_is_ended_with_all_that_it_started(
    tmp_path: Path, trap: str
) -> None:
    with pytest.raises(BuildInterrupted):
        build(
            config(tmp_path, trap + FOREVER),
            tmp_path / "app.wasm",
            wanted=lambda: not (tmp_path / "child").exists(),
        )
    assert_gone(tmp_path)


def test_what_one_leaves_behind_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    command = "sleep 1000 & echo $! > child; echo $$ > own; echo made > app.wasm"
    build(config(tmp_path, command), tmp_path / "app.wasm")
    assert_gone(tmp_path)


def test_what_it_says_is_bounded(tmp_path: Path) -> None:
    said: list[str] = []
    command = f"yes | head -c {3 * MAX_SHOWN}; echo the end; false"
    with pytest.raises(BuildFailed) as failed:
        build(config(tmp_path, command), tmp_path / "app.wasm", show=said.append)
    assert len(failed.value.output) == MAX_OUTPUT
    assert failed.value.output.endswith("the end\n")
    shown = "".join(said)
    assert shown[:MAX_SHOWN] == "y\n" * (MAX_SHOWN // 2)
    assert shown[MAX_SHOWN:] == "\n... and more, which is not shown\n"


def test_programs_of_the_environment_are_found_after_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    build(
        config(tmp_path, "{ command -v pytest; command -v sh; } > app.wasm"), tmp_path / "app.wasm"
    )
    pytest_at, sh_at = (tmp_path / "app.wasm").read_text().split()
    assert Path(pytest_at).name == "pytest"
    assert sh_at in {"/usr/bin/sh", "/bin/sh"}


def test_it_is_read_where_many_files_are_open(tmp_path: Path) -> None:
    """select() takes no descriptor beyond 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    said: list[str] = []
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        command = "echo said; touch app.wasm"
        build(config(tmp_path, command), tmp_path / "app.wasm", show=said.append)
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert said == ["said\n"]


def test_it_heeds_no_signal_for_the_gateway(tmp_path: Path) -> None:
    """A terminal sends Ctrl+C to the group of processes that it runs."""
    command = "ps -o pgid= -p $$ > app.wasm"
    build(config(tmp_path, command), tmp_path / "app.wasm")
    assert int((tmp_path / "app.wasm").read_text()) != os.getpgrp()


# --- sources -------------------------------------------------------------------------------------


def test_sources_are_what_people_write(tmp_path: Path) -> None:
    written = ["app.py", "wit/world.wit", "wit/deps/http.wit"]
    others = [".git/HEAD", "node_modules/a/a.js", "target/a.rs", "__pycache__/a.py", "app.wasm"]
    for name in (*written, *others, ".hidden", "app.py~"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert sources([tmp_path]) == [tmp_path / name for name in written]
    named = [tmp_path / "wit", tmp_path / ".hidden", tmp_path / "absent"]
    assert sources(named) == [*(tmp_path / name for name in written[1:]), *named[1:]]


def test_sources_are_bounded(tmp_path: Path) -> None:
    assert len(sources([tmp_path / str(number) for number in range(MAX_FILES + 1)])) == MAX_FILES
