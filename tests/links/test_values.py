"""Values that go by links, between guests of three toolchains: each comes back as it went."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from gateway.host import wit
from gateway.host.values import Err
from tests.harness import GatewayProcess, GuestPath
from tests.links.relays import TYPES, callee, relay
from tests.rpc.test_languages import FEW, MANY, SETTLED, SPOILT, VALUES, text
from tests.transports.talking import Talking, talking

pytestmark = pytest.mark.anyio

LANGUAGES: Final = ("c", "js", "python")
RELAYS: Final = ("c/relay", "js/relay", "python/relay")

SPOILT_BY_JS: Final[Mapping[str, Sequence[Any]]] = {
    "echo-shape": ({"circle": -0.0}, {"circle": "-Infinity"}),
    "echo-option": (2**32 - 1,),
    "echo-option-option": ({"some": 2**32 - 1},),
    "settle-ok": ({"ok": 2**32 - 1},),
}
"""What a guest of componentize-js spoils, or traps for, where it passes it to an import: numbers of more than 31
bits and negative ones that are flattened together with others. Where it receives it, all is well."""

EVERY: Final = {
    function: (*values, *SPOILT.get(function, ())) for function, values in VALUES.items()
}


@pytest.fixture(scope="module")
def elsewhere(
    guest: GuestPath, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """Another gateway."""
    config = tmp_path_factory.mktemp("elsewhere") / "gateway.toml"
    source = json.dumps(str(guest("c/rpc")))
    config.write_text(f'[[components]]\nname = "rpc"\nsource = {source}\nwrpc = true\n')
    with GatewayProcess(config) as gateway:
        yield gateway


@pytest.fixture(scope="module")
async def links(
    guest: GuestPath, elsewhere: GatewayProcess, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Talking]:
    """Each relay with a link to each language, and those that leave the gateway."""
    limits = {"max_execution_time": "120s"}
    sockets = tmp_path_factory.mktemp("sockets")
    components = [
        callee(
            guest(f"{each}/rpc"), name=each, wrpc_listen=(f"unix:{sockets}/{each}.sock",), **limits
        )
        for each in LANGUAGES
    ]
    for each, name in zip(LANGUAGES, RELAYS, strict=True):
        source = guest(name)
        for other in LANGUAGES:
            link = {"component": other}
            components.append(relay(source, name=f"{each}-to-{other}", link=link, **limits))
        link = {"url": f"{elsewhere.url}/rpc/rpc"}
        components.append(relay(source, name=f"{each}-to-url", link=link, **limits))
        link = {"url": f"wrpc+unix:{sockets}/{each}.sock"}
        components.append(relay(source, name=f"{each}-to-wrpc", link=link, **limits))
    link = {"url": f"wrpc+{elsewhere.url}/wrpc/rpc"}
    components.append(relay(guest("c/relay"), name="c-to-wrpc-http", link=link, **limits))
    async with talking(*components) as gateway:
        yield gateway


@pytest.fixture(
    params=[
        *(f"{each}-to-{other}" for each in LANGUAGES for other in (*LANGUAGES, "url", "wrpc")),
        "c-to-wrpc-http",
    ]
)
def pair(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def test_every_value_comes_back_as_it_went(links: Talking, pair: str) -> None:
    for function, every in (VALUES if "js" in pair else EVERY).items():
        spoilt = SPOILT_BY_JS.get(function, ()) if pair.startswith("js") else ()
        values = [value for value in every if value not in spoilt]
        calls = [await links.call(f"types.{function}", value, name=pair) for value in values]
        assert text(calls) == text(values), function


async def test_as_many_parameters_as_there_are_kinds(links: Talking, pair: str) -> None:
    for record in (MANY, FEW):
        assert text(await links.call("types.gather", *record.values(), name=pair)) == text(record)
    assert await links.call("types.concat", "a", "b", "c", "d", name=pair) == "abcd"


async def test_a_result_of_the_callee_is_that_of_the_caller(links: Talking, pair: str) -> None:
    for function, outcome in SETTLED:
        side = "err" if isinstance(outcome, Err) else "ok"
        given = {side: outcome.value}
        if pair.startswith("js") and given in SPOILT_BY_JS.get(function, ()):
            continue
        response = await links.response(f"outcomes.{function}", given, name=pair)
        if side == "ok":
            assert text(response["result"]) == text(outcome.value)
        else:
            assert response["error"]["code"] == 1
            assert text(response["error"]["data"]) == text(outcome.value)


async def test_bytes_leave_the_caller_in_blocks(links: Talking) -> None:
    (service,) = (each for each in links.app.services if each.name == "c-to-url")
    types = service.linked.component.imports[TYPES]
    assert isinstance(types, wit.Interface)
    echo = types.functions["echo-bytes"]
    ((_, passed),) = echo.params
    assert isinstance(passed, wit.Bytes)
    assert isinstance(echo.result, wit.Bytes)
    content = bytes(range(256)) * 256
    encoded = base64.b64encode(content).decode()
    for pair in ("c-to-c", "c-to-url", "c-to-wrpc"):
        assert await links.call("types.echo-bytes", encoded, name=pair) == encoded
