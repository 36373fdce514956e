"""The admin API of `gateway serve`: what it says it does is done."""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests import ask
from tests.admin.fuzz import fuzz
from tests.admin.issuer import AUDIENCE, ISSUER, SECRET, token
from tests.harness import PATIENCE, GatewayProcess, GuestPath, StartGateway
from tests.links.relays import OUTCOMES


class Steered(NamedTuple):
    """A gateway of the component "hello" at `/hello`, and a client of its admin API."""

    process: GatewayProcess
    api: httpx.Client
    source: Path
    file: Path

    def get(self, path: str) -> int:
        """The status of a request to the gateway itself."""
        return ask.get(self.process.url + path).status_code

    def put(self, name: str, **keys: Any) -> httpx.Response:
        return self.api.put(f"/components/{name}", json={"source": str(self.source), **keys})


Start = Callable[..., Steered]

HELLO = '[[components]]\nname = "hello"\nsource = "hello.wasm"\nroutes = [{ path = "/hello" }]\n'


@pytest.fixture
def start(gateway: StartGateway, guest: GuestPath, tmp_path: Path) -> Iterator[Start]:
    """Starts one, with more options of `gateway serve`, another secret or other components."""
    clients = []

    def run(*options: str, secret: str = SECRET, components: str = HELLO) -> Steered:
        source = tmp_path / "hello.wasm"
        source.write_bytes(guest("wat/hello").read_bytes())
        (tmp_path / "secret").write_text(secret)
        (tmp_path / "sent").mkdir()
        file = tmp_path / "gateway.toml"
        file.write_text(
            '[server]\nadmin_addr = "127.0.0.1:0"\ncache = false\n'
            f'[admin]\nsecret_file = "secret"\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\n'
            f'components_dir = "sent"\n{components}'
        )
        process = gateway(file, *options)
        listening = process.wait_for_log(event="listening")
        api = ask.Client(
            base_url=f"{listening['admin_url']}/admin/v1",
            headers={"authorization": f"Bearer {token()}"},
        )
        clients.append(api)
        return Steered(process, api, source, file)

    yield run
    for client in clients:
        client.close()


@pytest.fixture
def steered(start: Start) -> Steered:
    return start()


def test_load_replace_unload(steered: Steered) -> None:
    assert steered.get("/more") == 404
    response = steered.put("more", routes=[{"path": "/more"}])
    assert response.status_code == 201
    assert response.json()["routes"] == [
        {"host": None, "match": "prefix", "path": "/more", "strip_prefix": False}
    ]
    assert (steered.get("/more"), steered.get("/hello")) == (200, 200)

    assert steered.put("more", routes=[{"path": "/other"}]).status_code == 200
    assert (steered.get("/more"), steered.get("/other")) == (404, 200)

    assert steered.api.delete("/components/more").status_code == 204
    assert steered.get("/other") == 404
    assert [it["name"] for it in steered.api.get("/components").json()["components"]] == ["hello"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_gateway_may_begin_with_no_component(start: Start, workers: str) -> None:
    steered = start("--workers", workers, components="")
    assert steered.get("/first") == 404
    assert steered.put("first", routes=[{"path": "/first"}]).status_code == 201
    assert steered.get("/first") == 200


def test_what_others_have_links_to_stays(steered: Steered, guest: GuestPath) -> None:
    assert steered.put("called", source=str(guest("c/rpc")), routes=[]).status_code == 201
    links = [{"import": OUTCOMES, "component": "called"}]
    relay = {"source": str(guest("c/relay")), "links": links}
    assert steered.put("more", **relay).status_code == 201
    refused = steered.api.delete("/components/called")
    assert refused.status_code == 409
    assert refused.json()["type"].endswith(":component-in-use")
    assert f'the link of "{OUTCOMES}": there is no component "called"' in refused.json()["detail"]
    assert steered.api.get("/components/called").status_code == 200
    ready = f"{steered.api.base_url.copy_with(path='/readyz')}"
    assert ask.get(ready).json()["warnings"] == []
    assert steered.api.delete("/components/more").status_code == 204
    assert steered.api.delete("/components/called").status_code == 204


def test_relative_paths_count_from_the_configuration(steered: Steered) -> None:
    response = steered.put("more", source="hello.wasm", routes=[{"path": "/more"}])
    assert response.json()["source"] == str(steered.source)


def test_invocations_are_counted(steered: Steered) -> None:
    for _ in range(3):
        assert steered.get("/hello") == 200
    component = steered.api.get("/components/hello").json()
    assert component["invocations"] == {"ok": 3}
    assert (component["in_flight"], component["queued"]) == (0, 0)


def test_what_cannot_be_loaded_changes_nothing(steered: Steered) -> None:
    before = steered.api.get("/components").json()
    refused = steered.put("hello", source="gateway.toml")
    assert refused.status_code == 422
    assert refused.json()["type"].endswith(":component-refused")
    # It is the caller's fault: nothing that the operator has to mend, or is woken for.
    site = httpx.URL(steered.api.base_url)
    metrics = ask.get(site.copy_with(path="/metrics")).text.splitlines()
    assert 'gateway_component_loads_total{result="refused"} 1.0' in metrics
    assert 'gateway_component_loads_total{result="failed"} 0.0' in metrics
    assert "gateway_component_load_failed 0.0" in metrics
    assert ask.get(site.copy_with(path="/readyz")).json()["warnings"] == []
    assert steered.api.get("/components").json() == before
    assert steered.get("/hello") == 200


def test_conflicts(steered: Steered) -> None:
    assert steered.put("first").status_code == 201
    # At every path both, by default: only loading them tells that they export a handler.
    response = steered.put("second")
    assert response.status_code == 409
    assert response.json()["type"].endswith(":route-conflict")
    assert "Give it routes" in response.text
    response = steered.put("second", routes=[{"path": "/hello"}])
    assert response.status_code == 409
    assert response.json()["errors"] == [
        {"detail": 'component "hello" answers */hello', "pointer": "/routes/0"}
    ]


def test_reload(steered: Steered) -> None:
    steered.put("more", routes=[{"path": "/more"}])
    text = steered.file.read_text()
    steered.file.write_text(text.replace("/hello", "/renamed"))
    response = steered.api.post("/reload")
    assert response.status_code == 200, response.text
    assert (steered.get("/hello"), steered.get("/renamed")) == (404, 200)
    assert steered.get("/more") == 200  # what was put stays

    steered.file.write_text(text + "\n[[components]]\nname = 1\n")
    response = steered.api.post("/reload")
    assert response.status_code == 409
    assert any("components[1].name" in error["detail"] for error in response.json()["errors"])
    assert steered.get("/renamed") == 200


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("broken", ["no TOML", "no component"])
def test_a_reload_that_was_asked_for_is_told_like_any_other(
    start: Start, workers: str, broken: str
) -> None:
    """Whoever reads the log or asks for readiness need not be who asked for it."""
    steered = start("--workers", workers)
    process, ready = steered.process, f"{steered.api.base_url.copy_with(path='/readyz')}"
    file = steered.file if broken == "no TOML" else steered.source
    well = file.read_bytes()
    seen = len(process.logs)
    file.write_text(broken)
    assert steered.api.post("/reload").status_code == 409
    process.wait_for_log(after=seen, event="reload failed", level="error")
    assert comes_to_every_worker(lambda: bool(ask.get(ready).json()["warnings"]))

    seen = len(process.logs)
    file.write_bytes(well)
    assert steered.api.post("/reload").status_code == 200
    process.wait_for_log(
        after=seen, event="reload changed nothing", mends="the reload that failed before"
    )
    assert comes_to_every_worker(lambda: not ask.get(ready).json()["warnings"])


def test_drain(steered: Steered) -> None:
    ready = f"{steered.api.base_url.copy_with(path='/readyz')}"
    assert ask.get(ready).status_code == 200
    response = steered.api.post("/drain")
    assert response.status_code == 202
    assert response.json()["reasons"] == ["draining"]
    assert ask.get(ready).status_code == 503
    assert steered.get("/hello") == 200


def in_every_worker(check: Callable[[], bool]) -> bool:
    """Whether a check holds in all workers: each request is on a new connection, which any may take."""
    return all(check() for _ in range(30))


def comes_to_every_worker(check: Callable[[], bool]) -> bool:
    """Whether a check comes to hold in all workers."""
    deadline = time.monotonic() + PATIENCE
    while not in_every_worker(check) and time.monotonic() < deadline:
        pass
    return in_every_worker(check)


def replace_workers(steered: Steered) -> None:
    """Have a successor take the place of each worker."""
    for pid in steered.process.processes():
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            seen = len(steered.process.logs)
            os.kill(pid, signal.SIGKILL)
            steered.process.wait_for_log(after=seen, event="worker replaced", replaces=pid)


def test_a_change_is_made_by_every_worker_when_it_is_answered(start: Start) -> None:
    steered = start("--workers", "2")
    for _ in range(3):
        assert steered.put("more", routes=[{"path": "/more"}]).status_code == 201
        assert in_every_worker(lambda: steered.get("/more") == 200)
        assert steered.put("more", routes=[{"path": "/other"}]).status_code == 200
        assert in_every_worker(lambda: (steered.get("/more"), steered.get("/other")) == (404, 200))
        assert steered.api.delete("/components/more").status_code == 204
        assert in_every_worker(lambda: steered.get("/other") == 404)

    # Who is started later starts with it.
    assert steered.put("more", routes=[{"path": "/more"}]).status_code == 201
    assert steered.api.delete("/components/hello").status_code == 204
    replace_workers(steered)
    assert in_every_worker(lambda: (steered.get("/more"), steered.get("/hello")) == (200, 404))

    # A configuration file that is broken meanwhile keeps nobody from it, nor does the file of another component.
    steered.file.write_text("[[components]")
    (other := steered.source.with_name("other.wasm")).write_bytes(steered.source.read_bytes())
    steered.source.write_bytes(b"no component")
    assert steered.put("last", source=str(other), routes=[{"path": "/last"}]).status_code == 201
    assert in_every_worker(lambda: steered.get("/last") == 200)
    refused = steered.api.post("/reload")
    assert refused.status_code == 409
    assert refused.json()["type"].endswith(":reload-refused")
    assert in_every_worker(lambda: steered.get("/last") == 200)


def test_a_reload_is_done_by_every_worker_when_it_is_answered(start: Start) -> None:
    steered = start("--workers", "2")
    steered.file.write_text(steered.file.read_text().replace("/hello", "/moved"))
    assert steered.api.post("/reload").status_code == 200
    assert in_every_worker(lambda: (steered.get("/hello"), steered.get("/moved")) == (404, 200))


def test_changes_that_workers_are_asked_for_at_once(start: Start) -> None:
    steered = start("--workers", "2")
    headers = {"authorization": f"Bearer {token()}"}
    routes = {"a": "/same", "b": "/same", "c": "/c", "d": "/d"}

    def put(name: str) -> int:
        keys = {"source": str(steered.source), "routes": [{"path": routes[name]}]}
        url = f"{steered.api.base_url}components/{name}"
        return ask.put(url, json=keys, headers=headers).status_code

    with ThreadPoolExecutor(len(routes)) as pool:
        statuses = dict(zip(routes, pool.map(put, routes), strict=True))
    assert (statuses["c"], statuses["d"]) == (201, 201)
    # Two wanted the same route, perhaps of different workers: one of them has it.
    assert min(statuses["a"], statuses["b"]) == 201
    assert {statuses["a"], statuses["b"]} & {409, 422}
    for path in ("/same", "/c", "/d", "/hello"):
        assert in_every_worker(lambda path=path: steered.get(path) == 200)  # type: ignore[misc]
    listed = {it["name"] for it in steered.api.get("/components").json()["components"]}
    assert listed == {"hello"} | {name for name, status in statuses.items() if status == 201}
    # All goes on as if nothing had been refused.
    assert steered.put("more", routes=[{"path": "/more"}]).status_code == 201
    assert in_every_worker(lambda: steered.get("/more") == 200)
    assert "workers differ" not in [record["event"] for record in steered.process.logs]


def test_drain_reaches_every_worker(start: Start) -> None:
    steered = start("--workers", "2")
    ready = f"{steered.api.base_url.copy_with(path='/readyz')}"
    assert in_every_worker(lambda: ask.get(ready).status_code == 200)
    assert steered.api.post("/drain").status_code == 202
    assert comes_to_every_worker(lambda: ask.get(ready).status_code == 503)
    replace_workers(steered)
    assert in_every_worker(lambda: ask.get(ready).status_code == 503)


def test_a_name_that_was_made_to_lead_here_is_refused(steered: Steered) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/admin/v1/status"):
        url = str(steered.api.base_url.copy_with(path=path))
        for host in (
            "evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "localhost:x",
            "",
        ):
            response = steered.api.get(url, headers={"host": host})
            assert response.status_code in {400, 421}, (path, host)
            assert "gateway_" not in response.text
        for host in (
            "127.0.0.1:1",
            "localhost",
            "gateway.LocalHost.:9090",
            "[::1]:9090",
            "10.1.2.3",
        ):
            status = steered.api.get(url, headers={"host": host}).status_code
            assert status == 200, (path, host)


def test_it_is_nowhere_else(steered: Steered) -> None:
    headers = {"authorization": f"Bearer {token()}"}
    assert ask.get(f"{steered.process.url}/admin/v1/status", headers=headers).status_code == 404


@pytest.mark.parametrize("secret", ["hunter2", ""])
def test_short_secret_is_refused_at_start(start: Start, secret: str) -> None:
    with pytest.raises(AssertionError, match="at least 32"):
        start(secret=secret)


def test_schemathesis_finds_nothing(steered: Steered) -> None:
    # A token that does not drain: the others are to be answered by a gateway in service.
    limited = token(scope="components:read components:write")
    fuzz(str(steered.api.base_url).rstrip("/"), limited, steered.source, examples=15)


# --- components that are sent --------------------------------------------------------------------

OTHER = """
(component
  (core module $m (func (export "f") (result i32) i32.const {answer}))
  (core instance $i (instantiate $m))
  (func (export "answer") (result u32) (canon lift (core func $i "f"))))
"""


def send(steered: Steered, name: str, content: bytes) -> httpx.Response:
    headers = {"content-type": "application/wasm"}
    return steered.api.put(f"/components/{name}", content=content, headers=headers)


def answer(steered: Steered) -> Any:
    call = {"jsonrpc": "2.0", "method": "answer", "params": [], "id": 1}
    return ask.post(f"{steered.process.url}/rpc/more", json=call).json().get("result")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_component_is_sent_replaced_and_unloaded(start: Start, workers: int) -> None:
    steered = start("--workers", f"{workers}")
    sent = steered.file.parent / "sent"
    first, second = (OTHER.format(answer=number).encode() for number in (42, 43))
    response = send(steered, "more", first)
    assert response.status_code == 201
    digest = hashlib.sha256(first).hexdigest()
    told = response.json()
    assert (told["digest"], told["size"]) == (digest, len(first))
    assert told["source"] == str(sent / f"more-{digest}.wasm")
    assert [answer(steered) for _ in range(8)] == [42] * 8
    again = send(steered, "more", first).json()
    assert again["digest"] == digest
    if workers == 1:  # it was there: nothing was compiled, linked or put in service
        assert again["loaded_at"] == told["loaded_at"]

    assert send(steered, "more", second).status_code == 200
    assert [answer(steered) for _ in range(8)] == [43] * 8
    assert [path.read_bytes() for path in sent.iterdir()] == [second]

    refused = send(steered, "more", b"(component")
    assert refused.status_code == 422
    assert refused.json()["type"].endswith(":component-refused")
    assert [answer(steered) for _ in range(8)] == [43] * 8
    assert [path.read_bytes() for path in sent.iterdir()] == [second]

    assert steered.api.delete("/components/more").status_code == 204
    assert list(sent.iterdir()) == []


def test_one_that_is_sent_has_the_keys_of_the_one_before(
    steered: Steered, guest: GuestPath
) -> None:
    content = guest("wat/hello").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    keys = {"routes": [{"path": "/more"}], "sha256": digest}
    assert steered.put("more", **keys).status_code == 201
    response = send(steered, "more", content)
    assert response.status_code == 200
    assert response.json()["routes"][0]["path"] == "/more"
    assert steered.get("/more") == 200
    # It is pinned to its content.
    refused = send(steered, "more", OTHER.format(answer=42).encode())
    assert refused.status_code == 422
    assert digest in refused.json()["detail"]
    assert steered.get("/more") == 200
    # What was not sent is not the gateway's to remove.
    assert steered.source.exists()
