"""What is said of links: in a file, and by flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load, single
from gateway.config.link import LinkConfig

API = "acme:pricing/api@1.0.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.wasm").write_bytes(b"")
    return tmp_path


def read(folder: Path, *links: str) -> tuple[LinkConfig, ...]:
    """The links of a component, each given by the keys of its table."""
    tables = ", ".join(f"{{ {link} }}" for link in links)
    text = f'[[components]]\nname = "shop"\nsource = "shop.wasm"\nlinks = [{tables}]\n'
    (folder / "gateway.toml").write_text(text)
    return load(folder / "gateway.toml").components[0].links


def refusal(folder: Path, *links: str) -> str:
    with pytest.raises(ConfigError) as refused:
        read(folder, *links)
    return str(refused.value)


def test_a_table_says_where_a_link_leads(folder: Path) -> None:
    there, elsewhere = read(
        folder,
        f'import = "{API}", component = "pricing", errors = "result"',
        'import = "a:b/c", url = "https://example.com:8443/rpc/c"',
    )
    assert (there.import_, there.component, there.url, there.errors) == (
        API,
        ("pricing",),
        None,
        "result",
    )
    assert (elsewhere.url, elsewhere.component) == (("https://example.com:8443/rpc/c",), None)
    assert elsewhere.errors == "trap"


def test_links_of_one_interface_have_names(folder: Path) -> None:
    link = f'import = "{API}", component = "a"'
    assert [each.name for each in read(folder, link, f'{link}, name = "b.2_c-D"')] == [
        "default",
        "b.2_c-D",
    ]
    assert 'twice by the name "b"' in refusal(folder, *[f'{link}, name = "b"'] * 2)


@pytest.mark.parametrize(
    ("keys", "key", "reason"),
    [
        (f'import = "{API}", component = "a", name = "b/c"', "links[0].name", "must be letters, digits"),
        (f'import = "{API}", component = "a", name = ""', "links[0].name", "must be letters, digits"),
        (f'import = "{API}"', "links[0]", "must have one of component, python and url"),
        (f'import = "{API}", component = "a", url = "http://b"', "links[0]", "must have one of"),
        ('import = "pricing", component = "a"', "links[0].import", "must be the full name of an interface"),
        (f'import = "{API}", url = "ftp://a"', "links[0].url", "must be the URL of a JSON-RPC server"),
        (f'import = "{API}", url = "http://a:b"', "links[0].url", "must be the URL of a JSON-RPC server"),
        (f'import = "{API}", url = "http://a/b\\nc"', "links[0].url", "must be the URL of a JSON-RPC server"),
        (f'import = "{API}", url = "http://a/b c"', "links[0].url", "must be the URL of a JSON-RPC server"),
        (f'import = "{API}", url = ["http://a", "http://A:80/"]', "links[0].url", 'twice: "http://a" and'),
        (f'import = "{API}", url = "http://u:secret@a"', "links[0].url", "must have no user"),
        (f'import = "{API}", url = "http://a/?key=secret"', "links[0].url", "must have no user, query"),
        (f'import = "{API}", python = "a.b:"', "links[0].python", "must be package.module:object"),
        (f'import = "{API}", python = "os.path: a"', "links[0].python", "must be package.module:object"),
        (f'import = "{API}", component = "a", errors = "none"', "links[0].errors", "must be 'trap' or 'result'"),
        ('component = "a"', "links[0]", "must have one of import and host"),
        (f'import = "{API}", host = "a", component = "a"', "links[0]", "must have one of import and host"),
        ('host = "a", url = "http://b"', "links[0]", "must have a component"),
        ('host = "a", component = "a", errors = "result"', "links[0]", "must leave errors out"),
        ('host = "a:80", component = "a"', "links[0].host", "must be a host alone"),
        ('host = "127.0.0.1", component = "a"', "links[0].host", "must be a name"),
        (f'import = "{API}", component = 3', "links[0].component", "must be text in quotes, or a list of such"),
        (f'import = "{API}", url = true', "links[0].url", "must be text in quotes, or a list of such"),
        (f'import = "{API}", component = []', "links[0].component", "must be one, or a list of at most 64"),
        (f'import = "{API}", component = ["a", "a"]', "links[0].component", 'must not have "a" twice'),
        (f'import = "{API}", url = ["http://a", "ftp://a"]', "links[0].url", "must be the URL"),
        (f'import = "{API}", url = ["http://a", "wrpc+tcp://a:1"]', "links[0].url", "must be all JSON-RPC"),
        (f'import = "{API}", component = "a", balance = "random"', "links[0].balance", "must be 'round-robin' or"),
    ],
)  # fmt: skip
def test_what_is_no_link_is_refused_by_its_key(
    folder: Path, keys: str, key: str, reason: str
) -> None:
    said = refusal(folder, keys)
    assert f"components[0].{key}: " in said
    assert reason in said
    assert "secret" not in said


def test_a_link_may_have_several_targets_of_one_kind(folder: Path) -> None:
    inside, outside = read(
        folder,
        f'import = "{API}", component = ["a", "b"]',
        'import = "a:b/c", url = ["http://a", "https://b"], balance = "least-in-flight"',
    )
    assert (inside.component, inside.balance) == (("a", "b"), "round-robin")
    assert (outside.url, outside.balance) == (("http://a", "https://b"), "least-in-flight")


def test_the_host_of_a_link_has_one_spelling(folder: Path) -> None:
    (link,) = read(folder, 'host = "Pricing.Internal.", component = "a"')
    assert (link.host, link.import_) == ("pricing.internal", None)
    twice = 'host = "a", component = "a"', 'host = "A.", component = "b"'
    assert 'must not link "a" twice' in refusal(folder, *twice)


def test_an_import_has_one_link(folder: Path) -> None:
    link = f'import = "{API}", component = "a"'
    assert f'must not link "{API}" twice by the name "default"' in refusal(folder, link, link)


def test_a_flag_names_a_component_an_object_or_a_url(folder: Path) -> None:
    said = [LinkConfig.parse(f"{API}=pricing"), LinkConfig.parse("a:b/c=http://localhost/?a=b")]
    assert said[0] == {"import": API, "component": "pricing"}
    assert said[1] == {"import": "a:b/c", "url": "http://localhost/?a=b"}
    assert LinkConfig.parse("Pricing.internal=b") == {"host": "Pricing.internal", "component": "b"}
    assert LinkConfig.parse("a:b/c=d.e:f") == {"import": "a:b/c", "python": "d.e:f"}
    (component,) = single(folder / "shop.wasm", links=[said[0]]).components
    assert component.links[0].component == ("pricing",)


@pytest.mark.parametrize("text", [API, f"{API}=", ""])
def test_a_flag_that_leads_nowhere(text: str) -> None:
    with pytest.raises(
        ValueError,
        match="must be IMPORT=URL, IMPORT=MODULE:OBJECT, IMPORT=COMPONENT or HOST=COMPONENT",
    ):
        LinkConfig.parse(text)
