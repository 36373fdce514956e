"""The tutorial: what it says to type, in its order, does what it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import ask
from tests.forked import run
from tests.guests.new import TOOLS
from tests.harness import GatewayProcess, GuestPath
from tests.production.gateways import Gateway, until

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
PARTS = re.split(r"^## \d\. .*\n", PAGE, flags=re.MULTILINE)[1:]
BEGIN, CHANGE, TEST, BUILD, CONFIGURE, SERVE = PARTS


def commands(part: str) -> list[str]:
    return re.findall(
        r"^    (\S.*)$", re.sub(r"```.*?```", "", part, flags=re.DOTALL), re.MULTILINE
    )


def snippets(part: str) -> list[str]:
    return re.findall(r"^```\w+\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


def called(gateway: GatewayProcess, command: str) -> Any:
    """The result of a call by curl, wherever the gateway listens."""
    curl, url, header, field, data, document = shlex.split(command)
    assert (curl, header, field, data) == ("curl", "-H", "content-type: application/json", "-d")
    url = url.replace("http://127.0.0.1:8080", gateway.url)
    return ask.post(url, json=json.loads(document)).json()["result"]


def seen(gateway: Gateway, command: str) -> str:
    """What an operator is answered by curl."""
    curl, url = shlex.split(command)
    assert curl == "curl"
    return ask.get(url.replace("http://127.0.0.1:9090", gateway.admin_url)).text


def ran(command: str) -> str:
    """What a command of the gateway prints."""
    program, *arguments = shlex.split(command)
    assert program == "gateway"
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_it_leads_from_nothing_to_production(
    guest: GuestPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in TOOLS.items():
        monkeypatch.setenv(name, value)
    venv, activate, install, new, change, dev, submit, counted = commands(BEGIN)
    assert (venv, activate) == ("python3 -m venv .venv", ". .venv/bin/activate")
    assert (install, change, dev) == ("pip install component-gateway", "cd words", "gateway dev")
    ran(new)
    monkeypatch.chdir(tmp_path / "words")
    # Its first build, which is that of the template, and so was made before.
    shutil.copy(guest("new/python-worker"), "words.wasm")
    with GatewayProcess(".", command="dev") as gateway:
        assert called(gateway, submit) is None
        until(lambda: called(gateway, counted) == 6)
        page = ask.get(f"{gateway.url}/rpc/words", headers={"accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html")

    function, method = snippets(CHANGE)
    world, app = Path("wit/app.wit"), Path("src/app.py")
    world.write_text(re.sub(r"\}\s*$", f"\n{function}}}\n", world.read_text()))
    head, beginning, rest = app.read_text().partition("class WitWorld(wit_world.WitWorld):\n")
    assert beginning
    app.write_text(f"{head}{beginning}{method}\n{rest}")

    (test,) = commands(TEST)
    subprocess.run(shlex.split(test), check=True, capture_output=True)

    build, generate, sign, verify, call = commands(BUILD)
    ran(build)
    public_key = ran(generate).split()[0]
    assert public_key.startswith("A")
    ran(sign)
    ran(verify)
    assert json.loads(ran(call)) == "words"

    (configuration,) = snippets(CONFIGURE)
    (placeholder,) = re.findall(r'trusted_issuers = \["(\w+)"\]', configuration)
    Path("production.toml").write_text(configuration.replace(placeholder, public_key))
    (check,) = commands(CONFIGURE)
    assert "production.toml is well" in ran(check)

    serve, readyz, metrics = commands(SERVE)
    assert serve == "gateway serve production.toml"
    with Gateway("production.toml", "--admin-addr", "127.0.0.1:0") as gateway:
        (longest,) = commands(CHANGE)
        assert called(gateway, longest) == "words"
        assert called(gateway, submit) is None
        until(lambda: called(gateway, counted) == 6)
        assert json.loads(seen(gateway, readyz))["status"] == "ready"
        assert 'gateway_invocations_total{component="words"' in seen(gateway, metrics)
        assert gateway.stop() == 0
    assert Path("results.db").exists()
