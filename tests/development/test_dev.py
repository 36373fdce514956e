"""`gateway dev`, and `gateway serve --watch` with builds: what is edited is served, and failures are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from starlette.types import Message

from gateway.development.gateway import _Answer, _Why
from gateway.development.told import Told
from gateway.http.problem import MEDIA_TYPE
from gateway.lifecycle.builds import BuildLog, Builds
from tests import ask
from tests.development.test_build import FOREVER, assert_gone
from tests.forked import run
from tests.harness import GatewayProcess, GuestPath
from tests.production.gateways import until

HELLO = "Hello, World!\n"


class Project:
    """A folder with a component that is "written" by saying which guest it is.

    Args:
        folder: where.
        guest: gives the guests.
    """

    def __init__(self, folder: Path, guest: GuestPath) -> None:
        self.folder = folder
        self.configuration = folder / "gateway.toml"
        self.guest = guest
        self.configure('cp "$(cat source)" app.wasm')

    def configure(self, command: str, more: str = "") -> None:
        self.configuration.write_text(
            f'{more}\n[[components]]\nname = "app"\nsource = "app.wasm"\n'
            f"[components.build]\ncommand = {json.dumps(command)}\nwatch = ['source']\n"
        )

    def write(self, name: str) -> None:
        """Edit the source, at once: nothing is built of half of it."""
        text = str(self.guest(name)) if "/" in name else name
        edited = self.folder / "edited"
        edited.write_text(text)
        edited.replace(self.folder / "source")


@pytest.fixture
def project(tmp_path: Path, guest: GuestPath) -> Project:
    return Project(tmp_path, guest)


@pytest.fixture
def start(project: Project) -> Iterator[Any]:
    """Starts `gateway dev` of the project, or another command."""
    with ExitStack() as running:

        def start(*options: str, command: str = "dev") -> GatewayProcess:
            process = GatewayProcess(project.configuration, *options, command=command)
            return running.enter_context(process)

        yield start


def wait(gateway: GatewayProcess, after: int, *events: str) -> None:
    for event in events:
        gateway.wait_for_log(event=event, after=after)


def test_what_is_edited_is_built_and_served(project: Project, start: Any) -> None:
    project.write("c/hello")
    gateway = start()
    assert ask.get(gateway.url).text == HELLO
    assert "gateway-build-failed" not in ask.get(gateway.url).headers

    before = len(gateway.logs)
    project.write("c/echo")
    wait(gateway, before, "building", "built", "reloaded")
    assert ask.post(gateway.url, content=b"echo").text == "echo"


def test_a_build_that_fails_leaves_what_was_built_before(project: Project, start: Any) -> None:
    project.write("c/hello")
    gateway = start()
    before = len(gateway.logs)
    project.write("nothing")
    failed = gateway.wait_for_log(event="build failed", after=before)
    assert failed["effect"] == "what was built before is served on"
    answer = ask.get(gateway.url)
    assert (answer.text, answer.headers["gateway-build-failed"]) == (HELLO, "app")
    assert any("nothing" in line for line in gateway.output)  # what the build said

    before = len(gateway.logs)
    project.write("c/fail")
    wait(gateway, before, "built", "reloaded")
    answer = ask.get(f"{gateway.url}/stdout")
    assert answer.text == "printed\n"
    assert "gateway-build-failed" not in answer.headers


def test_a_component_that_was_never_built_is_told_of(project: Project, start: Any) -> None:
    project.write("nothing")
    gateway = start()
    answer = ask.get(gateway.url)
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:component-gateway:problem:not-built"
    told = answer.json()["development"]["builds"]["app"]
    assert told["reason"] == "it ended with status 1"
    assert "nothing" in told["output"][0]
    failed = gateway.wait_for_log(event="build failed")
    assert failed["effect"] == "nothing of it is served until a build succeeds"

    before = len(gateway.logs)
    project.write("c/hello")
    wait(gateway, before, "reloaded")
    assert ask.get(gateway.url).text == HELLO


def test_a_trap_is_told_with_what_the_guest_wrote(project: Project, start: Any) -> None:
    project.write("c/fail")
    gateway = start()
    document = ask.get(f"{gateway.url}/trap").json()
    assert document["type"] == "urn:component-gateway:problem:component-failed"
    told = document["development"]
    assert told["trap"] == "unreachable"
    assert any("handle_request" in frame for frame in told["backtrace"])
    assert ask.get(f"{gateway.url}/noset").json()["development"]["log"]
    # Nothing of it where the component has answered, and nothing of other requests.
    assert "development" not in ask.get(f"{gateway.url}/status?code=500").text


def test_browsers_are_shown_a_page(project: Project, start: Any) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    project.write("c/fail")
    gateway = start()
    answer = ask.get(f"{gateway.url}/trap", headers=browser)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "accept"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "unreachable" in answer.text
    assert "handle_request" in answer.text
    assert answer.headers["x-request-id"] in answer.text
    # What a component answers is its own, and programs get documents.
    assert ask.get(f"{gateway.url}/stdout", headers=browser).text == "printed\n"
    assert ask.get(f"{gateway.url}/trap").headers["content-type"] == MEDIA_TYPE.decode()

    before = len(gateway.logs)
    project.write("<i>")
    wait(gateway, before, "build failed")
    text = ask.get(f"{gateway.url}/trap", headers=browser).text
    assert "<i>" not in text
    assert "&lt;i&gt;" in text


def test_who_asks_elsewhere_is_told_where(project: Project, start: Any) -> None:
    project.write("c/rpc")
    gateway = start()
    answer = ask.get(f"{gateway.url}/elsewhere")
    assert answer.status_code == 404
    assert answer.json()["development"]["served"] == {"app": ["/rpc/app (JSON-RPC)"]}
    text = ask.get(f"{gateway.url}/elsewhere", headers={"accept": "text/html"}).text
    assert "/rpc/app" in text


def test_serve_tells_nothing_of_it(project: Project, start: Any) -> None:
    project.write("c/fail")
    gateway = start("--watch", command="serve")
    document = ask.get(f"{gateway.url}/trap").json()
    assert document.keys() == {"type", "title", "status", "detail", "request_id"}
    before = len(gateway.logs)
    project.write("nothing")
    failed = gateway.wait_for_log(event="build failed", after=before)
    assert "nothing" in failed["output"]
    answer = ask.get(f"{gateway.url}/trap")
    assert answer.json().keys() == document.keys()
    assert "gateway-build-failed" not in answer.headers


def test_errors_of_json_rpc_are_told_too(project: Project, start: Any) -> None:
    project.write("c/rpc")
    gateway = start()
    url = f"{gateway.url}/rpc/app"
    call = {"jsonrpc": "2.0", "id": 1, "method": "fail", "params": {}}
    error = ask.post(url, json={**call, "method": "outcomes.trap"}).json()["error"]
    assert error["data"]["development"]["trap"] == "unreachable"
    batch = ask.post(
        url, json=[{**call, "method": "outcomes.trap"}, {**call, "method": "add"}]
    ).json()
    assert "development" in batch[0]["error"]["data"]
    fine = ask.post(url, json={**call, "method": "add", "params": [1, 2]})
    assert fine.json() == {"jsonrpc": "2.0", "id": 1, "result": 3}


def test_what_a_component_says_itself_passes_however_deep_it_is() -> None:
    deep, passed = b"[" * 100_000, []

    async def send(message: Message) -> None:
        passed.append(message)

    async def say() -> None:
        answer = _Answer(send, (MEDIA_TYPE,), _Why(Told(), Builds(BuildLog()), dict))
        fields = [(b"content-type", MEDIA_TYPE)]
        await answer.send({"type": "http.response.start", "status": 500, "headers": fields})
        await answer.send({"type": "http.response.body", "body": deep})

    asyncio.run(say())
    assert passed[-1] == {"type": "http.response.body", "body": deep}


def test_it_listens_where_only_this_machine_asks(project: Project, start: Any) -> None:
    project.configure('cp "$(cat source)" app.wasm', '[server]\nhost = "0.0.0.0"\nworkers = 2')
    project.write("c/hello")
    process = GatewayProcess(project.configuration, command="dev")
    process._command.remove("--host")
    process._command.remove("127.0.0.1")
    with process as gateway:
        listening = gateway.wait_for_log(event="listening")
        assert listening["url"].startswith("http://127.0.0.1:")
        assert listening["workers"] == 1


def test_an_edit_ends_the_build_under_way(project: Project, start: Any) -> None:
    project.write("c/hello")
    gateway = start()
    project.configure(f'if grep -q forever source; then {FOREVER}; fi; cp "$(cat source)" app.wasm')
    before = len(gateway.logs)
    wait(gateway, before, "built")
    project.write("forever")
    until((project.folder / "child").exists)
    before = len(gateway.logs)
    project.write("c/fail")
    wait(gateway, before, "built", "reloaded")
    assert_gone(project.folder)
    assert ask.get(f"{gateway.url}/stdout").text == "printed\n"


def test_a_stop_ends_the_build_under_way(project: Project, start: Any) -> None:
    project.write("c/hello")
    gateway = start()
    project.configure(FOREVER)
    until((project.folder / "child").exists)
    assert gateway.stop() == 0
    assert_gone(project.folder)


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_a_stop_ends_the_first_build(project: Project, command: str) -> None:
    project.configure(FOREVER)
    options = ["--watch"] if command == "serve" else []
    process = GatewayProcess(project.configuration, *options, command=command)

    def stop() -> None:
        until((project.folder / "child").exists)
        process.stop()

    stopping = Thread(target=stop)
    stopping.start()
    with pytest.raises(AssertionError, match="listening"), process:
        pass
    stopping.join()
    assert_gone(project.folder)


def test_workers_serve_what_was_built(project: Project, start: Any) -> None:
    project.write("c/hello")
    gateway = start("--watch", "--workers", "2", command="serve")
    assert {ask.get(gateway.url).text for _ in range(4)} == {HELLO}
    before = len(gateway.logs)
    project.write("c/fail")
    wait(gateway, before, "built")
    until(lambda: sum(it["event"] == "reloaded" for it in gateway.logs) == 2)
    assert {ask.get(f"{gateway.url}/stdout").text for _ in range(4)} == {"printed\n"}


def test_watching_without_what_was_to_be_built_is_refused(project: Project) -> None:
    project.write("nothing")
    refused = run("serve", project.configuration, "--watch", "--port", "0")
    assert refused.returncode == 2
    assert "components[0].source" in refused.stderr
    assert "its build failed" in refused.stderr


def test_build_builds_once(project: Project) -> None:
    project.write("c/hello")
    built = run("build", project.folder)
    assert built.returncode == 0
    assert (project.folder / "app.wasm").read_bytes() == project.guest("c/hello").read_bytes()
    project.write("nothing")
    failed = run("build", project.configuration)
    assert failed.returncode == 1
    assert "gateway: the build of app failed: it ended with status 1" in failed.stderr


@pytest.mark.parametrize("command", ["build", "dev"])
def test_a_folder_with_nothing_to_build_is_refused(tmp_path: Path, command: str) -> None:
    absent = run(command, tmp_path)
    assert (absent.returncode, "`gateway new`" in absent.stderr) == (2, True)
    (tmp_path / "app.wasm").touch()
    (tmp_path / "gateway.toml").write_text('[[components]]\nname = "a"\nsource = "app.wasm"')
    nothing = run(command, tmp_path)
    assert (nothing.returncode, "nothing to build" in nothing.stderr) == (2, True)
