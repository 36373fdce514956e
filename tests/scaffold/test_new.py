"""`gateway new`: the folders that it makes are built, and what their READMEs say is so."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gateway.config import load
from gateway.scaffold.project import KINDS, LANGUAGES, BadName, Kind, Language, Project
from tests import ask
from tests.forked import run
from tests.guests.new import BUILT, FILES
from tests.harness import GatewayProcess, GuestPath, StartGateway
from tests.production.gateways import until

ROOT = Path(__file__).parents[2]

HTTP = ["new/c-http", "new/go-http", "new/javascript-http", "new/python-http", "new/rust-http"]
RPC = ["new/c-rpc", "new/go-rpc", "new/rust-rpc"]
WORKERS = [
    *("new/c-worker", "new/go-worker", "new/javascript-worker"),
    *("new/python-worker", "new/rust-worker"),
]

PATH_MAX = os.pathconf("/", "PC_PATH_MAX")  # with the zero at its end

ALL = list(itertools.product(LANGUAGES, KINDS))


def served(
    name: str, guest: GuestPath, gateway: StartGateway, folder: Path
) -> tuple[GatewayProcess, str]:
    """A new component, built and served by its own gateway.toml, and its README."""
    _, _, component = name.partition("/")
    made = run("new", folder / component, *options(component))
    assert made.returncode == 0, made.stderr
    shutil.copy(guest(name), folder / component / f"{component}.wasm")
    return gateway(folder / component / "gateway.toml"), (
        folder / component / "README.md"
    ).read_text()


def options(component: str) -> list[str]:
    language, kind = component.split("-")
    return ["--lang", language, "--kind", kind]


def called(gateway: GatewayProcess, readme: str) -> Any:
    """The answer to the call that a README makes."""
    found = re.search(r"    (curl .*?')\n    \S", readme, re.DOTALL)
    assert found, readme
    command = shlex.split(found[1].replace("\\\n", ""))
    path = next(word for word in command if word.startswith("http://127.0.0.1:8080"))
    document = json.loads(command[command.index("-d") + 1])
    return ask.post(path.replace("http://127.0.0.1:8080", gateway.url), json=document).json()


# --- served --------------------------------------------------------------------------------------


def test_all_that_are_built_are_served() -> None:
    assert {*HTTP, *RPC, *WORKERS} == {f"new/{language}-{kind}" for language, kind in BUILT}


@pytest.mark.parametrize("name", HTTP)
def test_requests_are_answered(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path, name: str
) -> None:
    running, readme = served(name, guest, gateway, tmp_path)
    (url,) = re.findall(r"    curl 'http://127\.0\.0\.1:8080(.*?)'", readme)
    answer = ask.get(running.url + url)
    assert (answer.status_code, answer.text) == (200, "Hello, you!\n")
    assert answer.headers["content-type"].partition(";")[0] == "text/plain"
    assert ask.get(running.url).text == "Hello, World!\n"


@pytest.mark.parametrize("name", RPC)
def test_functions_are_called(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path, name: str
) -> None:
    running, readme = served(name, guest, gateway, tmp_path)
    assert called(running, readme) == {"jsonrpc": "2.0", "id": 1, "result": "Hello, you!"}
    nobody = called(running, readme.replace('"you"', '""'))
    assert nobody["error"]["data"] == "a name is needed"


@pytest.mark.parametrize("name", WORKERS)
def test_jobs_are_done(guest: GuestPath, gateway: StartGateway, tmp_path: Path, name: str) -> None:
    running, readme = served(name, guest, gateway, tmp_path)
    submitted, counted = called(running, readme)
    assert submitted.get("error") is None
    assert counted["result"] in {0, 4}

    def words() -> int:
        result: int = called(running, readme.replace("to be or not", ""))[1]["result"]
        return result

    assert until(words) == 4


# --- what is made --------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "kind"), ALL)
def test_every_folder_is_whole(tmp_path: Path, language: Language, kind: Kind) -> None:
    folder = tmp_path / "my-app2"
    made = run("new", folder, "--lang", language, "--kind", kind)
    assert (made.returncode, made.stderr) == (0, "")
    (component,) = load(folder / "gateway.toml", unbuilt=True).components
    assert component.name == "my-app2"
    assert component.build is not None
    for watched in component.build.watch:
        assert watched.exists(), watched
    texts = {path: path.read_text() for path in folder.glob("**/*") if path.is_file()}
    assert not [
        path for path, text in texts.items() if "{{" in text and "name" in text.split("{{")[1][:9]
    ]
    readme = texts[folder / "README.md"]
    assert readme.count("\n    gateway dev ") == 1
    assert ".wasm" in texts[folder / ".gitignore"]
    assert [path for path in texts if "test" in path.name or "cfg(test)" in texts[path]]
    assert next(iter(folder.glob("src/*"))).is_file() or language == "go"


@pytest.mark.parametrize("kind", KINDS)
def test_the_wit_is_the_same_in_all_languages(kind: Kind) -> None:
    wit = {
        language: {
            path: text.replace("@0.2.10", "@0.2.12")
            for path, text in Project("app", language, kind).files().items()
            if path.suffix == ".wit"
        }
        for language in LANGUAGES
    }
    assert wit["python"]
    assert all(files == wit["python"] for files in wit.values())


def test_javascript_has_the_version_of_its_engine() -> None:
    texts = [
        text
        for path, text in Project("app", "javascript", "http").files().items()
        if path.suffix == ".wit"
    ]
    assert any("@0.2.10" in text for text in texts)
    assert not any("@0.2.12" in text for text in texts)


def test_wasi_is_as_the_examples_have_it() -> None:
    example = ROOT / "examples" / "hello" / "wit" / "deps"
    ours = FILES / "wit" / "http" / "deps"
    assert {path.name: path.read_text() for path in example.iterdir()} == {
        path.name.removesuffix(".in"): path.read_text() for path in ours.iterdir()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_python_pass(tmp_path: Path, kind: Kind) -> None:
    folder = tmp_path / "app"
    Project("app", "python", kind).write(folder)
    done = subprocess.run(["make", "test"], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


def test_the_sources_of_python_are_well(tmp_path: Path) -> None:
    for kind in KINDS:
        Project("app", "python", kind).write(tmp_path / kind)
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", tmp_path],
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_package_has_all_of_them(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("gateway/")}
    files = {str(path.relative_to(ROOT)) for path in FILES.glob("**/*") if path.is_file()}
    assert len(files) > 40
    assert files <= packed


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "A", "1st", "a_b", "a-", "-a", "a--b", "a.b", "é", "a-1", "a" * 64, "..", "a\n"]
)
def test_names_that_not_everything_can_have_are_refused(name: str) -> None:
    with pytest.raises(BadName, match="image-resizer"):
        Project(name, "c", "http")


def test_a_mistake_says_what_was_meant_and_makes_nothing(tmp_path: Path) -> None:
    for arguments, told in (
        (["app"], "say what to write it in: --lang python|javascript|c|go|rust"),
        (["app", "--lang", "pyton"], '--lang "pyton" is unknown; did you mean "python"?'),
        (
            ["app", "--lang", "c", "--kind", "web"],
            '--kind "web" is unknown: it is one of http, rpc',
        ),
        (["My_App", "--lang", "c"], "NAME must be lower-case words"),
    ):
        refused = run("new", tmp_path / arguments[0], *arguments[1:])
        assert (refused.returncode, told in refused.stderr) == (2, True), refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    refused = run("new", tmp_path / "app", "--lang", "rust")
    assert refused.returncode == 1
    assert "is there already" in refused.stderr
    assert list((tmp_path / "app").iterdir()) == []
    absent = run("new", tmp_path / "none" / "app", "--lang", "rust")
    assert (absent.returncode, "there is no folder" in absent.stderr) == (1, True)


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """As on a full disk: here some of the files have paths that are too long."""
    parent = tmp_path
    while (left := PATH_MAX - len(str(parent)) - len("/app/") - len("README.md")) > 1:
        parent /= "x" * min(left - 1, 200)
    parent.mkdir(parents=True)
    refused = run("new", parent / "app", "--lang", "c")
    assert refused.returncode == 1
    assert "cannot be written, and nothing of it is left: File name too long" in refused.stderr
    assert list(parent.iterdir()) == []


# --- what is missing -----------------------------------------------------------------------------

TOOLS = ("make", "python3", "node", "npm", "go", "cargo", "rustup")


def machine(folder: Path, *names: str, version: str = "99.0") -> str:
    """The PATH of a machine that has these programs alone, all of a version."""
    folder.mkdir()
    for name in names:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    return str(folder)


def test_a_machine_that_has_all_is_told_to_be_ready(tmp_path: Path) -> None:
    told = run("doctor", PATH=machine(tmp_path / "bin", *TOOLS))
    assert told.returncode == 0
    assert [line.split() for line in told.stdout.splitlines()] == [
        [it, "ready"] for it in LANGUAGES
    ]


def test_what_is_missing_is_told_with_a_remedy(tmp_path: Path) -> None:
    path = machine(tmp_path / "bin", "make", "node", version="v18.2.0")
    told = run("doctor", "--lang", "javascript", PATH=path)
    assert told.returncode == 1
    assert "Node.js 20 or newer (this is 18.2): https://nodejs.org" in told.stdout
    assert "npm: " in told.stdout
    every = run("doctor", PATH=path)
    assert every.returncode == 0  # who has not said what for is not refused anything
    assert every.stdout.count("missing:") == len(LANGUAGES)


def test_new_tells_what_is_missing(tmp_path: Path) -> None:
    made = run("new", tmp_path / "app", "--lang", "rust", PATH=machine(tmp_path / "bin", "cargo"))
    assert (made.returncode, "https://rustup.rs" in made.stdout) == (0, True)
    ready = run("new", tmp_path / "other", "--lang", "rust", PATH=machine(tmp_path / "all", *TOOLS))
    assert "lacks" not in ready.stdout


def test_a_program_that_fails_is_missing(tmp_path: Path) -> None:
    path = machine(tmp_path / "bin", "make")
    (tmp_path / "bin" / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "python3").chmod(0o755)
    assert "fails): apt install python3-venv" in run("doctor", "--lang", "c", PATH=path).stdout
