"""The examples do what their READMEs say."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from nats.aio.client import Client

from gateway.config import load
from tests import ask
from tests.bindings.outbound.peer import Wire
from tests.capabilities.servers import Nats, until_settled
from tests.forked import run
from tests.gateway_outbound.peers import peers, target_of, text
from tests.guests.new import TOOLS
from tests.harness import GatewayProcess, GuestPath, StartGateway
from tests.patience import PATIENCE
from tests.production.gateways import until

EXAMPLES = Path(__file__).parents[2] / "examples"
COMPONENTIZED = sorted(path.parent.name for path in EXAMPLES.glob("*/app.py"))
"""Those in Python."""


@pytest.fixture
def serve(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """An example, built, as `gateway dev` serves it, with further options."""
    monkeypatch.chdir(tmp_path)

    def serve(name: str, *options: str) -> GatewayProcess:
        shutil.copy(guest(f"examples/{name}"), f"{name}.wasm")
        assert "\n    gateway dev\n" in (EXAMPLES / name / "README.md").read_text()
        shutil.copy(EXAMPLES / name / "gateway.toml", "gateway.toml")
        return GatewayProcess("gateway.toml", *options)

    return serve


@pytest.fixture
def develop(guest: GuestPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An example in C by the one command of its README, with the tools of the tests."""
    guest("new/c-http")  # the tools are there, and the C library is compiled

    def develop(name: str) -> GatewayProcess:
        for folder in (name, "common"):
            hidden = shutil.ignore_patterns(".*", "*.wasm", "__pycache__")
            shutil.copytree(EXAMPLES / folder, tmp_path / folder, ignore=hidden)
        monkeypatch.chdir(tmp_path / name)
        text = (EXAMPLES / name / "README.md").read_text()
        (variables,) = re.findall(r"^    ((?:\w+=\w+ )*)gateway dev$", text, re.MULTILINE)
        set_there = dict(each.split("=") for each in variables.split())
        return GatewayProcess(".", env={**TOOLS, **set_there}, command="dev")

    return develop


def call(gateway: GatewayProcess, path: str, document: str) -> Any:
    """The result of a JSON-RPC call."""
    answer = ask.post(f"{gateway.url}{path}", json=json.loads(document)).json()
    assert "error" not in answer, answer
    return answer["result"]


def documents(name: str) -> list[tuple[str, str]]:
    """The calls of a README: paths, and what is sent there."""
    text = (EXAMPLES / name / "README.md").read_text()
    return re.findall(r"curl http://127\.0\.0\.1:8080(\S+) .*?-d '(.*?)'", text, re.DOTALL)


def test_the_counter_counts_in_all_workers_and_after_a_restart(serve: Any) -> None:
    visit, visits = documents("counter")
    with serve("counter", "--workers", "2") as gateway, ThreadPoolExecutor(8) as clients:
        answers = clients.map(lambda _: call(gateway, *visit), range(40))
        assert sorted(answers) == list(range(1, 41))
    with serve("counter") as gateway:
        assert call(gateway, *visit) == 41
        assert call(gateway, *visits) == [["home", 41]]
        metrics = ask.get(f"{gateway.url}/metrics").text
    labels = (
        'backend="sqlite",component="counter",function="increment",'
        'interface="wasi:keyvalue/atomics",outcome="ok"'
    )
    assert f"gateway_capability_operations_total{{{labels}}} 1.0" in metrics


def test_without_a_store_the_counter_says_what_to_do(
    guest: GuestPath, gateway: StartGateway
) -> None:
    visit, _ = documents("counter")
    started = gateway(guest("examples/counter"))
    name = started.wait_for_log(event="component loaded")["component"]
    path = f"/rpc/{name}"
    answer = ask.post(f"{started.url}{path}", json=json.loads(visit[1])).json()
    assert "--keyvalue default=memory:" in json.dumps(answer["error"])


def test_stores_that_workers_do_not_share_are_warned_of(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    store = ("--keyvalue", "default=memory:", "--keyvalue", f"other=sqlite:{tmp_path}/none.db")
    several = gateway(guest("examples/counter"), *store, "--workers", "2")
    warning = several.wait_for_log(event="stores not shared")
    assert warning["keyvalue"] == ["default"]
    alone = gateway(guest("examples/counter"), *store)
    assert all(line["event"] != "stores not shared" for line in alone.logs)


def test_what_was_uploaded_is_there_for_the_next_who_asks(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    content = bytes(range(256)) * 20_000
    with serve("uploads", "--workers", "2") as gateway:
        assert ask.get(f"{gateway.url}/").text == ""
        for name in ("picture.jpg", "a%20b"):
            assert ask.put(f"{gateway.url}/{name}", content=content).status_code == 201
    with serve("uploads") as gateway:
        answer = ask.get(f"{gateway.url}/picture.jpg")
        assert (answer.status_code, answer.headers["content-length"]) == (200, f"{len(content)}")
        assert answer.content == content
        assert sorted(ask.get(f"{gateway.url}/").text.splitlines()) == ["a b", "picture.jpg"]
        assert ask.delete(f"{gateway.url}/picture.jpg").status_code == 200
        assert ask.get(f"{gateway.url}/picture.jpg").status_code == 404
        assert ask.post(f"{gateway.url}/").status_code == 405
    assert (tmp_path / "blobs" / "uploads" / "a%20b").read_bytes() == content


def test_an_upload_that_the_store_refuses_is_told(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f"""
        [[components]]
        name = "uploads"
        source = "{guest("examples/uploads")}"
        blobstore.uploads = {{ url = "memory:", max_object = "1MiB" }}
        """
    )
    started = gateway(config)
    answer = ask.put(f"{started.url}/o", content=bytes(3 << 20))
    assert answer.status_code == 502
    assert answer.text == "the object has more than the 1048576 bytes that it may have\n"
    assert ask.get(f"{started.url}/o").status_code == 404
    assert ask.put(f"{started.url}/o", content=bytes(1 << 20)).status_code == 201


def test_the_readme_names_them_all() -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(examples/(\w+)\) \| (?:C|Python) \|", readme, re.MULTILINE)
    named = [name for name, folder in rows if name == folder]
    assert sorted(named) == sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))
    assert len(named) == 10


@pytest.mark.parametrize("name", COMPONENTIZED)
def test_an_example_is_built_as_its_readme_has_it(name: str) -> None:
    """By `tests.guests.toolchains.Example`: in a line of its own, or by `gateway dev`."""
    command = f"componentize-py -d wit -w {name} componentize app -o {name}.wasm"
    lines = (EXAMPLES / name / "README.md").read_text().splitlines()
    (component,) = load(EXAMPLES / name / "gateway.toml", unbuilt=True).components
    if "    gateway dev" in lines:
        assert component.build is not None
        assert component.build.command == command
    else:
        assert f"    {command}" in lines


def test_what_several_servers_have_is_hashed_at_once(
    guest: GuestPath, gateway: StartGateway
) -> None:
    bodies = {"/none": b"", "/one": b"one", "/large": bytes(3 << 20)}
    together = Barrier(len(bodies))

    async def script(wire: Wire) -> None:
        content = bodies[target_of(await wire.head())]
        await asyncio.to_thread(together.wait, PATIENCE)
        await wire.send(text(content))

    grant = ("--allow-outbound-host", "http://127.0.0.1:*")
    started = gateway(guest("examples/digests"), *grant)
    with peers() as start:
        authority = start(script).authority
        urls = [f"http://{authority}{path}" for path in bodies]
        denied = "https://denied.test:444/"
        target = "&".join(f"url={url}" for url in (*urls, denied))
        lines = ask.get(f"{started.url}/?{target}").text.splitlines()
        assert ask.get(f"{started.url}/").status_code == 400
    digests = [sha256(content).hexdigest() for content in bodies.values()]
    expected = [f"{url}: {digest}" for url, digest in zip(urls, digests, strict=True)]
    assert lines == [*expected, f"{denied}: HttpRequestDenied"]


def words(gateway: GatewayProcess, text: str) -> int:
    """What the worker counts, in a job that is submitted and looked for as its README has it."""
    (path, submit), (_, look) = documents("worker")
    assert "to be or not to be" in submit
    job = call(gateway, path, submit.replace("to be or not to be", text))
    counted = until(lambda: call(gateway, path, look.replace("THE NAME", job)))
    assert isinstance(counted, int)
    return counted


def test_the_worker_does_what_is_submitted(serve: Any) -> None:
    with serve("worker") as gateway:
        assert [words(gateway, "so " * count) for count in range(1, 6)] == [1, 2, 3, 4, 5]


def test_the_worker_does_what_a_stream_has_kept(
    guest: GuestPath, gateway: StartGateway, nats_server: Nats, tmp_path: Path
) -> None:
    folder = EXAMPLES / "worker"
    text = (folder / "README.md").read_text()
    streams = re.findall(r"nats stream add (\S+) --subjects '(.*?)' --defaults", text)
    assert [name for name, _ in streams] == ["JOBS", "JOBS_DEAD"]

    async def kept() -> None:
        """Make the streams, with a job in line before there is anybody to do it."""
        client = Client()
        await client.connect(nats_server.broker)
        jetstream = client.jetstream(timeout=PATIENCE)
        for name, subject in streams:
            await jetstream.add_stream(name=name, subjects=[subject])
        await jetstream.publish("jobs.early", b"first come")
        await client.close()

    async def done() -> int:
        client = Client()
        await client.connect(nats_server.broker)
        info = await until_settled(client.jetstream(timeout=PATIENCE), "JOBS", "worker")
        await client.close()
        assert info.ack_floor is not None
        return info.ack_floor.stream_seq

    asyncio.run(kept())
    shutil.copy(guest("examples/worker"), tmp_path / "worker.wasm")
    config = (folder / "nats.toml").read_text()
    assert "nats://127.0.0.1:4222" in config
    (tmp_path / "gateway.toml").write_text(
        config.replace("nats://127.0.0.1:4222", nats_server.broker)
    )
    started = gateway(tmp_path / "gateway.toml")
    assert words(started, "to be") == 2
    _, (path, look) = documents("worker")
    assert until(lambda: call(started, path, look.replace("THE NAME", "early"))) == 2
    assert asyncio.run(done()) == 2


def test_the_catalog_is_asked_by_the_client_that_was_made_of_it(develop: Any) -> None:
    ((path, document),) = documents("catalog")
    with develop("catalog") as gateway:
        assert call(gateway, path, document)["name"] == "Tea"
        text = (EXAMPLES / "catalog" / "README.md").read_text()
        (made,) = re.findall(r"^    gateway (client .*)$", text, re.MULTILINE)
        assert run(*shlex.split(made)).returncode == 0
        (program,) = re.findall(r"^    python (.*)$", text, re.MULTILINE)
        url = f"{gateway.url}{path}"
        arguments = shlex.split(program.replace(f"http://127.0.0.1:8080{path}", url))
        asked = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=True
        )
    assert asked.stdout.splitlines() == ["Tea (t-1): 2.50", "Cola (c-1): 3.00", "none"]


def test_the_checkout_has_its_prices_from_python(develop: Any) -> None:
    sold, unknown = documents("checkout")
    with develop("checkout") as gateway:
        assert call(gateway, *sold) == 920
        refused = ask.post(f"{gateway.url}{unknown[0]}", json=json.loads(unknown[1])).json()
    assert "nobody sells gold" in json.dumps(refused["error"])


def test_the_settings_are_those_of_the_operator(develop: Any) -> None:
    known, guessed = documents("settings")
    with develop("settings") as gateway:
        assert call(gateway, *known) == "Good morning, you!"
        refused = ask.post(f"{gateway.url}{guessed[0]}", json=json.loads(guessed[1])).json()
        assert "that is not the password" in json.dumps(refused["error"])
        assert "sesame" not in json.dumps(gateway.logs)


def test_the_gatekeeper_lets_through_who_has_the_key(develop: Any) -> None:
    text = (EXAMPLES / "gatekeeper" / "README.md").read_text()
    (field,) = re.findall(r"-H '(.*?)'", text)
    name, _, key = field.partition(": ")
    with develop("gatekeeper") as gateway:
        assert ask.get(gateway.url).status_code == 401
        assert ask.get(gateway.url, headers={name: "a guess"}).status_code == 401
        assert ask.get(gateway.url, headers={name: key}).text == "Welcome.\n"


def test_the_ticker_ticks_until_its_client_leaves(develop: Any) -> None:
    with develop("ticker") as gateway:
        url = f"{gateway.url}/?every=1"
        with ask.Client() as client, client.stream("GET", url) as response:
            assert response.headers["content-type"] == "text/event-stream"
            lines = response.iter_lines()
            told = [next(lines) for _ in range(9)]
        assert told == [
            line for number in (1, 2, 3) for line in (f"id: {number}", f"data: tick {number}", "")
        ]
        gateway.wait_for_log(component="ticker", outcome="cancelled")
