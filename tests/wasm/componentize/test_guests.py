"""What compilers emit, made components by nothing but Python: as wit-component makes them, and served."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
import pytest

from gateway.host import wit
from gateway.wasm.componentize import componentize
from tests import ask
from tests.guests import modules
from tests.guests.toolchains import Unavailable
from tests.harness import GatewayProcess, GuestPath
from tests.wasm.componentize import random_worlds
from tests.wasm.componentize.modules import described, type_of
from tests.wasm.componentize.test_adapter import FILE as ADAPTER

NAMES: Final = [
    "module/hello",
    "module/echo",
    "module/fail",
    "module/proxy",
    "preview1/libc",
    "preview1/golang",
]


def test_every_module_is_tested() -> None:
    assert set(NAMES) == set(modules.ALL)


@pytest.mark.parametrize("name", NAMES)
def test_the_types_are_those_that_wit_component_gives(
    name: str, guest: GuestPath, tmp_path: Path
) -> None:
    core = guest(name)
    adapter = ADAPTER if name.startswith("preview1/") else None
    modules.reference(core, tmp_path / "reference.wasm", adapter)
    ours = type_of(componentize(core.read_bytes()))
    theirs = type_of((tmp_path / "reference.wasm").read_bytes())
    assert described(ours.imports) == described(theirs.imports)
    assert described(ours.exports) == described(theirs.exports)


@pytest.mark.parametrize(
    ("world", "encoding"),
    [
        ("rich", "utf8"),
        ("rich", "utf16"),
        ("rich", "compact-utf16"),
        ("imports", "utf8"),
        ("exports-all", "utf8"),
        ("mixed", "utf8"),
    ],
)
def test_a_world_gives_the_types_that_wit_component_gives(
    world: str, encoding: str, tmp_path: Path
) -> None:
    core, reference = tmp_path / "core.wasm", tmp_path / "reference.wasm"
    try:
        modules.dummy(Path(__file__).with_name("worlds.wit"), world, encoding, core)
    except Unavailable as missing:
        pytest.skip(str(missing))
    modules.reference(core, reference, None)
    ours, theirs = type_of(componentize(core.read_bytes())), type_of(reference.read_bytes())
    assert described(ours.imports) == described(theirs.imports)
    assert described(ours.exports) == described(theirs.exports)
    assert ours.imports or ours.exports


WORLDS: Final = 60
"""How many worlds by chance are tried. Arbitrary: some seconds of work."""


def test_worlds_by_chance_give_what_wit_component_gives(tmp_path: Path) -> None:
    for seed in range(WORLDS):
        (tmp_path / f"{seed}.wit").write_text(random_worlds.document(seed))
    try:
        modules.dummies(random_worlds.WORLD, tmp_path)
    except Unavailable as missing:
        pytest.skip(str(missing))
    references = sorted(tmp_path.glob("*.reference.wasm"))
    assert len(references) > WORLDS / 2
    for reference in references:
        core = reference.with_name(reference.name.replace(".reference", ""))
        ours, theirs = type_of(componentize(core.read_bytes())), type_of(reference.read_bytes())
        assert described(ours.exports) == described(theirs.exports), core
        used = without_unused(theirs.imports, ours.imports)
        assert described(ours.imports) == described(used), core


def without_unused(
    imports: Mapping[str, wit.Item], others: Mapping[str, wit.Item]
) -> Mapping[str, wit.Item]:
    """Imports without types that `others` has not: wit-component keeps all those of the world itself."""
    kept: dict[str, wit.Item] = {}
    for name, item in imports.items():
        other = others.get(name)
        if isinstance(item, wit.Interface):
            known = other if isinstance(other, wit.Interface) else wit.Interface({}, {}, {}, {})
            resources = {n: r for n, r in item.resources.items() if n in known.resources}
            types = {n: t for n, t in item.types.items() if n in known.types}
            item = replace(item, resources=resources, types=types)  # noqa: PLW2901
            if other is None and not item.functions:
                continue
        elif other is None and isinstance(item, wit.Resource):
            continue
        kept[name] = item
    return kept


COMPONENT: Final = """
[[components]]
name = "{name}"
source = "{source}"
routes = [{{ host = "{name}.test" }}]
allowed_outbound_hosts = ["http://127.0.0.1:*"]
environment = {{ WORD = "a word" }}
mounts = [{{ host = "{data}", guest = "/data" }}]
"""


# What answers every other host.
DEFAULT: Final = """
[[components]]
name = "default"
source = "{source}"
"""


class Served:
    """A gateway with the guests: those made here ("ours") and those that jco made ("theirs").

    Attributes:
        gateway: The process.
    """

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway

    def ask(self, name: str, path: str = "/", body: bytes | None = None) -> httpx.Response:
        """The answer of one of them."""
        method = "GET" if body is None else "POST"
        url = f"{self.gateway.url}{path}"
        return ask.request(method, url, content=body, headers={"host": f"{name}.test"})


@pytest.fixture(scope="module")
def served(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("componentize")
    (folder / "data").mkdir()
    (folder / "data" / "word.txt").write_text("from a file")
    sources: dict[str, Path] = {}
    for name in NAMES:
        kind, _, short = name.partition("/")
        sources[f"ours-{short}"] = folder / f"{short}.wasm"
        sources[f"ours-{short}"].write_bytes(componentize(guest(name).read_bytes()))
        if kind == "module":
            sources[f"theirs-{short}"] = guest(f"c/{short}")
    config = folder / "gateway.toml"
    text = "".join(
        COMPONENT.format(name=name, source=source, data=folder / "data")
        for name, source in sources.items()
    )
    config.write_text(text + DEFAULT.format(source=sources["ours-echo"]))
    with GatewayProcess(config) as gateway:
        yield Served(gateway)


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("hello", "/", None),
        ("echo", "/", b""),
        ("echo", "/", b"a body" * 100_000),
        ("fail", "/no-such-route", None),
        ("fail", "/flood?mib=2", None),
        ("fail", "/trap", None),
        ("fail", "/trap-last", None),
    ],
)
def test_they_answer_as_the_originals_do(
    served: Served, name: str, path: str, body: bytes | None
) -> None:
    ours, theirs = (served.ask(f"{side}-{name}", path, body) for side in ("ours", "theirs"))
    assert ours.status_code == theirs.status_code
    if ours.status_code < 500:
        assert ours.content == theirs.content
    else:
        # The details have the ID of the request.
        assert ours.json()["type"] == theirs.json()["type"]


def test_a_request_goes_through_a_proxy(served: Served) -> None:
    # To the same gateway, where the guest `echo` answers all hosts that no other component has.
    body = bytes(range(256)) * 1000
    response = served.ask("ours-proxy", f"/127.0.0.1:{served.gateway.port}/", body)
    assert (response.status_code, response.content) == (200, body)


def report(text: str) -> Mapping[str, str]:
    return dict(re.findall(r"(?m)^(\w+)=(.*)$", text))


@pytest.mark.parametrize(
    ("name", "first"), [("ours-libc", "from printf 42"), ("ours-golang", "from fmt")]
)
def test_preview_1_is_there_for_a_library(served: Served, name: str, first: str) -> None:
    before = int(time.time())
    seen = len(served.gateway.logs)
    response = served.ask(name, "/a/b?c=d")
    assert response.status_code == 200, response.text
    found = report(response.text)
    assert found["word"] == "a word"
    assert before <= int(found["time"]) <= time.time()
    # Sixteen random bytes; that six of them are zero happens once in ten thousand million times.
    assert int(found["zeros"].split()[0]) < 6
    assert found["file"].startswith("from a file")
    served.gateway.wait_for_log(after=seen, stream="stdout", line=first)
    served.gateway.wait_for_log(after=seen, stream="stderr", line="from stderr")


def test_a_c_library_is_initialized(served: Served) -> None:
    found = report(served.ask("ours-libc").text)
    assert found["initialized"] == "42"
    assert found["ticks"] == "1"
    assert found["missing"] == "No such file or directory"


def test_gos_garbage_is_collected_around_the_adapter(served: Served) -> None:
    found = report(served.ask("ours-golang", "/a/b?c=d").text)
    assert found["path"] == "/a/b?c=d"
    assert int(found["sum"]) == sum(range(64))
