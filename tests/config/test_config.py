"""Configuration: what a file and flags become, and what is said about those that are wrong."""

from __future__ import annotations

import pickle
import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config import (
    ComponentConfig,
    ConfigError,
    GatewayConfig,
    Limits,
    MountConfig,
    Problem,
    Route,
    ServerConfig,
    canonical_host,
    canonical_path,
    load,
    single,
)

MIB = 1024**2


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with two files that can be named as sources."""
    for name in ("a.wasm", "b.wasm"):
        (tmp_path / name).touch()
    return tmp_path


def read(directory: Path, text: str, **flags: Any) -> GatewayConfig:
    path = directory / "gateway.toml"
    path.write_text(text)
    return load(path, **flags)


def problems(directory: Path, text: str, **flags: Any) -> dict[str, str]:
    """What is said about each key of a file that is refused."""
    with pytest.raises(ConfigError) as caught:
        read(directory, text, **flags)
    assert {problem.file for problem in caught.value.problems} <= {
        str(directory / "gateway.toml"),
        "command line",
    }
    told = {problem.key: problem.reason for problem in caught.value.problems}
    assert len(told) == len(caught.value.problems)
    return told


ONE = """
[[components]]
name = "a"
source = "a.wasm"
"""


# --- files --------------------------------------------------------------------------------------


def test_a_small_file_gets_the_defaults(directory: Path) -> None:
    config = read(directory, ONE)
    assert config.server == ServerConfig()
    assert (config.server.host, config.server.port, config.server.workers) == ("127.0.0.1", 8080, 1)
    assert config.server.max_header_bytes == 65_536
    (component,) = config.components
    assert component.source == directory / "a.wasm"
    assert component.routes == (Route(host=None, path="/", match="prefix"),)
    assert component.max_execution_time == 30.0
    assert component.max_memory == 256 * MIB
    assert component.max_body is None
    assert component.max_concurrency == 1024
    assert component.environment == {}
    assert component.arguments == ()
    assert component.mounts == ()
    assert component.allowed_outbound_hosts == ()
    assert config.server.ca_files == ()


def test_every_key_is_read(directory: Path) -> None:
    config = read(
        directory,
        """
        [server]
        host = "[::1]"
        port = 0
        workers = 4
        trusted_proxies = ["10.0.0.0/8", "::1", "unix"]
        forwarded_header = "x-forwarded"
        max_header_bytes = "16KiB"
        http = "h11"
        loop = "asyncio"
        keep_alive_timeout = "500ms"
        shutdown_timeout = "1m"
        backlog = 16
        log_format = "json"
        log_level = "warning"
        access_log = false
        cache_dir = "cache"

        [[components]]
        name = "image-resizer"
        source = "a.wasm"
        routes = [
            { host = "Example.COM.", path = "/img/" },
            { host = "*.example.com", path = "/caf\u00e9", match = "exact" },
        ]
        environment = { TOKEN = "hunter2", EMPTY = "" }
        arguments = ["resize", "--fast"]
        max_execution_time = "1m30s"
        max_memory = "64KiB"
        max_body = 0
        max_concurrency = 1
        """,
    )
    assert config.server == ServerConfig(
        host="::1",
        port=0,
        workers=4,
        trusted_proxies=(IPv4Network("10.0.0.0/8"), IPv6Network("::1/128"), "unix"),
        forwarded_header="x-forwarded",
        max_header_bytes=16_384,
        http="h11",
        loop="asyncio",
        keep_alive_timeout=0.5,
        shutdown_timeout=60.0,
        backlog=16,
        log_format="json",
        log_level="warning",
        access_log=False,
        cache_dir=directory / "cache",
    )
    assert config.components == (
        ComponentConfig(
            name="image-resizer",
            source=directory / "a.wasm",
            routes=(
                Route(host="example.com", path="/img"),
                Route(host="*.example.com", path="/caf%C3%A9", match="exact"),
            ),
            environment={"TOKEN": "hunter2", "EMPTY": ""},
            arguments=("resize", "--fast"),
            max_execution_time=90.0,
            max_memory=65_536,
            max_body=0,
            max_concurrency=1,
        ),
    )


def test_defaults_hold_for_components_that_do_not_set_their_own(directory: Path) -> None:
    config = read(
        directory,
        """
        [defaults]
        max_memory = "1MiB"
        max_body = "1KiB"
        max_execution_time = "2s"

        [[components]]
        name = "a"
        source = "a.wasm"
        routes = [{ path = "/a" }]

        [[components]]
        name = "b"
        source = "b.wasm"
        max_body = "unlimited"
        max_execution_time = 3
        """,
    )
    first, second = config.components
    assert (first.max_memory, first.max_body, first.max_execution_time) == (MIB, 1024, 2.0)
    assert (second.max_memory, second.max_body, second.max_execution_time) == (MIB, None, 3.0)
    assert first.max_concurrency == second.max_concurrency == Limits().max_concurrency


def test_an_absolute_source_stays(
    directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "c.wasm"
    elsewhere.touch()
    config = read(directory, f'[[components]]\nname = "c"\nsource = "{elsewhere}"\n')
    assert config.components[0].source == elsewhere


def test_a_relative_configuration_file_gives_absolute_sources(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(directory, ONE)
    monkeypatch.chdir(directory)
    assert load(Path("gateway.toml")).components[0].source == directory / "a.wasm"


def test_flags_go_before_the_file(directory: Path) -> None:
    config = read(directory, "[server]\nport = 1\nworkers = 2\n" + ONE, port=3, host=None)
    assert (config.server.port, config.server.workers) == (3, 2)
    assert config.server.host == "127.0.0.1"


def test_a_port_that_is_given_goes_before_all_addresses_of_the_file(directory: Path) -> None:
    text = '[server]\nbind = ["localhost:1"]\nuds = "a.sock"\n' + ONE
    assert read(directory, text).server.addresses == (("localhost", 1),)
    for said in ({"port": 3}, {"host": "127.0.0.1", "port": 3}):
        server = read(directory, text, **said).server
        assert (server.addresses, server.uds) == ((("127.0.0.1", 3),), None)
    server = read(directory, text, port=3, bind=["127.0.0.1:4"], uds="b.sock").server
    assert (server.addresses, server.uds) == ((("127.0.0.1", 4),), directory / "b.sock")


def test_redirects_pages_and_sites_are_checked(directory: Path) -> None:
    (directory / "large.html").write_bytes(b" " * (256 * 1024 + 1))
    (directory / "page.pdf").touch()
    text = """
        [server]
        redirects = [{ path = "/a", to = "/b" }, { path = "/a", to = "/c" }]
        rpc_cors_origins = ["*"]
        rpc_cors_credentials = true
        not_found_page = "large.html"
        unavailable_page = "page.pdf"
    """
    assert problems(directory, text + ONE) == {
        "server.redirects": "must not have the route */a, which is of another one",
        "server.rpc_cors_credentials": 'must be false where rpc_cors_origins has "*": name the sites that may '
        "send them",
        "server.not_found_page": f"has more than 256KiB: {directory / 'large.html'}",
        "server.unavailable_page": "must have a name that ends in .html, .txt or .json: "
        f"{directory / 'page.pdf'}",
    }
    taken = '[server]\nredirects = [{ path = "/rpc", to = "/b" }]\n' + ONE
    assert problems(directory, taken) == {
        "server.redirects": "must not have the route */rpc, which is of rpc_prefix"
    }
    (directory / "lost.html").write_text("lost")
    text = '[server]\nnot_found_page = "lost.html"\n' + ONE
    server = read(directory, text, redirects=[{"path": "/a", "to": "/b"}]).server
    assert (server.pages[404].content, list(server.pages)) == (b"lost", [404])
    assert [(str(each), each.to, each.status) for each in server.redirects] == [("*/a", "/b", 308)]


def test_flags_of_a_component_are_refused_beside_a_file(directory: Path) -> None:
    path = directory / "gateway.toml"
    told = problems(
        directory, ONE + "max_memory = 0\n", max_memory="1MiB", environment={"A": "b"}, port=99999
    )
    assert told == {
        "--max-memory": "is for a component served by itself: set max_memory under [defaults] or in a "
        f"component of {path}",
        "--env": f"is for a component served by itself: set environment in a component of {path}",
        "--port": "must be between 0 and 65535, not 99999",
        "components[0].max_memory": "must be between 64KiB and 4GiB, not 0B",
    }


def test_a_flag_that_is_no_key_is_the_callers_mistake(directory: Path) -> None:
    with pytest.raises(TypeError, match="memory: is unknown"):
        read(directory, ONE, memory="1MiB")
    with pytest.raises(TypeError, match='prot: is unknown; did you mean "port"'):
        single(directory / "a.wasm", prot=1)


# --- the cache directory ------------------------------------------------------------------------


def test_the_cache_is_under_the_users_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ServerConfig().cache_dir == tmp_path / "component-gateway"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    home = tmp_path / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    assert ServerConfig().cache_dir == home / "component-gateway"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert ServerConfig().cache_dir == home / "component-gateway"


def test_the_cache_can_be_turned_off(directory: Path) -> None:
    assert read(directory, "[server]\ncache = false\n" + ONE).server.cache_dir is None
    assert read(directory, "[server]\ncache = true\n" + ONE).server.cache_dir is not None


def test_flags_of_the_cache_go_before_either_key_of_the_file(directory: Path) -> None:
    on = '[server]\ncache_dir = "x"\n' + ONE
    off = "[server]\ncache = false\n" + ONE
    assert read(directory, on, cache=False).server.cache_dir is None
    assert read(directory, off, cache_dir=Path("/y")).server.cache_dir == Path("/y")


def test_a_home_directory_is_expanded(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(directory))
    config = read(directory, '[server]\ncache_dir = "~/c"\n' + ONE)
    assert config.server.cache_dir == directory / "c"


# --- what a component may reach -----------------------------------------------------------------


@pytest.fixture
def granted(directory: Path) -> Path:
    """A directory that also has what a component may be given."""
    (directory / "data").mkdir()
    trustme.CA().cert_pem.write_to_path(directory / "ca.pem")
    (directory / "notes.pem").write_text("no certificate")
    (directory / "empty.pem").touch()
    return directory


def test_mounts_are_read_in_their_order(granted: Path) -> None:
    config = read(
        granted,
        ONE
        + """
        mounts = [
            { host = "data", guest = "/data/" },
            { host = ".", guest = "/", writable = true },
            { host = "data", guest = "/café:1/...", writable = false },
        ]
        """,
    )
    assert config.components[0].mounts == (
        MountConfig(host=granted / "data", guest="/data"),
        MountConfig(host=granted, guest="/", writable=True),
        MountConfig(host=granted / "data", guest="/café:1/..."),
    )


def test_relative_folders_and_certificates_count_from_the_file(
    granted: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = f'[server]\nca_files = ["ca.pem"]\n{ONE}mounts = [{{ host = "data", guest = "/d" }}]\n'
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    config = read(granted, text)
    assert config.components[0].mounts[0].host == granted / "data"
    assert config.server.ca_files == (granted / "ca.pem",)


def test_outbound_hosts_are_kept_as_they_were_written(granted: Path) -> None:
    entries = (
        "https://API.example.com",
        "https://*.example.com:8443/",
        "http://localhost:8000-8100",
        "tcp://10.0.0.0/8:5432",
        "udp://[fd00::1]:53",
        "*://*:*",
    )
    written = ", ".join(f'"{entry}"' for entry in entries)
    config = read(granted, f"{ONE}allowed_outbound_hosts = [{written}]\n")
    assert config.components[0].allowed_outbound_hosts == entries


def test_all_problems_of_what_is_granted_are_told_at_once(granted: Path) -> None:
    assert problems(
        granted,
        """
        [server]
        ca_files = ["ca.pem", "none.pem", "notes.pem", "empty.pem", "data", 1]

        [[components]]
        name = "a"
        source = "a.wasm"
        mounts = [
            { host = "none", guest = "/a" },
            { host = "a.wasm", guest = "/b" },
            { host = "data", guest = "data" },
            { host = "data", guest = "/a/../b" },
            { host = "data", guest = "/x\\u0000" },
            { host = "data", guest = "/c", writable = "yes" },
            { host = "data" },
            { hst = "data", guest = "/d" },
            "data:/data",
            { host = 1, guest = 2 },
        ]
        allowed_outbound_hosts = [
            "api.example.com",
            "https://user:hunter2@example.com",
            "https://example.com/path",
            "https://example.com:70000",
            "tcp://example.com",
            "https://10.0.0.1/8",
            "https://a.*.com",
            1,
        ]

        [[components]]
        name = "b"
        source = "b.wasm"
        routes = [{ path = "/b" }]
        mounts = "data"
        allowed_outbound_hosts = "https://example.com"
        """,
    ) == {
        "server.ca_files[1]": f"No such file or directory: {granted / 'none.pem'}",
        "server.ca_files[2]": f"Has no certificates in PEM form: {granted / 'notes.pem'}",
        "server.ca_files[3]": f"Has no certificates in PEM form: {granted / 'empty.pem'}",
        "server.ca_files[4]": f"Is a directory: {granted / 'data'}",
        "server.ca_files[5]": "must be a path in quotes",
        "components[0].mounts[0].host": f"No such file or directory: {granted / 'none'}",
        "components[0].mounts[1].host": f"Not a folder: {granted / 'a.wasm'}",
        "components[0].mounts[2].guest": "'data' is not absolute; write it as a guest sees it, such as "
        "/data",
        "components[0].mounts[3].guest": "'/a/../b' has an empty, `.` or `..` component; write the path "
        "without",
        "components[0].mounts[4].guest": "must not contain a NUL character",
        "components[0].mounts[5].writable": "must be true or false",
        "components[0].mounts[6].guest": "is required",
        "components[0].mounts[7].host": "is required",
        "components[0].mounts[7].hst": 'is unknown; did you mean "host"?',
        "components[0].mounts[8]": "must be a table",
        "components[0].mounts[9].host": "must be a path in quotes",
        "components[0].mounts[9].guest": "must be text in quotes",
        "components[0].allowed_outbound_hosts[0]": "must be scheme, host and port, such as "
        '"https://api.example.com" or "http://localhost:8000-8100", not "api.example.com"',
        "components[0].allowed_outbound_hosts[1]": "must not have a user name or password",
        "components[0].allowed_outbound_hosts[2]": 'must end after the port: remove "/path"',
        "components[0].allowed_outbound_hosts[3]": "must have ports from 1 to 65535, the lower one "
        'first, not "70000"',
        "components[0].allowed_outbound_hosts[4]": 'must name a port, such as ":443", or ":*" for all '
        "of them",
        "components[0].allowed_outbound_hosts[5]": 'must be a network, "10.0.0.0/8", or one address, '
        'not "10.0.0.1/8"',
        "components[0].allowed_outbound_hosts[6]": 'must have "*" only alone or as the first label, not '
        '"a.*.com"',
        "components[0].allowed_outbound_hosts[7]": "must be text in quotes",
        "components[1].mounts": "must be a list in brackets",
        "components[1].allowed_outbound_hosts": "must be a list in brackets",
    }


def test_two_folders_cannot_have_one_guest_path(granted: Path) -> None:
    mounts = '[{ host = "data", guest = "/d" }, { host = ".", guest = "/d/" }]'
    assert problems(granted, f"{ONE}mounts = {mounts}\n") == {
        "components[0].mounts": 'must not have two folders at the guest path "/d"'
    }


def test_a_folder_must_be_searchable(granted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may search every folder, so the answer of the system is given here instead of a folder's mode.
    monkeypatch.setattr("os.access", lambda path, mode: path != granted / "data")
    assert problems(granted, ONE + 'mounts = [{ host = "data", guest = "/d" }]\n') == {
        "components[0].mounts[0].host": f"May not be searched by this user: {granted / 'data'}"
    }


# --- problems -----------------------------------------------------------------------------------


def test_all_problems_are_told_at_once(directory: Path) -> None:
    assert problems(
        directory,
        """
        extra = 1

        [server]
        prot = 8080
        port = 99999
        workers = 0
        http = "zttp"
        trusted_proxies = ["10.0.0.1/8", "nonsense"]
        access_log = "yes"
        keep_alive_timeout = "soon"

        [defaults]
        max_memory = "1KiB"

        [[components]]
        name = "resizer"
        source = "missing.wasm"
        max_body = "lots"
        environment = { KEY = 12 }
        routes = [{ pth = "/" }, { path = "/a/" }]

        [[components]]
        source = "."
        routes = [{ path = "/a" }]
        max_concurrency = 0

        [[components]]
        name = "resizer"
        source = 3
        routes = "/"

        [[components]]
        name = "Image_Resizer"
        source = "a.wasm"
        """,
    ) == {
        "extra": "is unknown; known here: admin, components, defaults, server",
        "server.prot": 'is unknown; did you mean "port"?',
        "server.port": "must be between 0 and 65535, not 99999",
        "server.workers": "must be between 1 and 1024, not 0",
        "server.http": "must be 'auto', 'httptools' or 'h11'",
        "server.trusted_proxies[0]": 'must be a network: "10.0.0.0/8" instead of "10.0.0.1/8"',
        "server.trusted_proxies[1]": 'must be an IP address, a network such as "10.0.0.0/8", or "unix", '
        'not "nonsense"',
        "server.access_log": "must be true or false",
        "server.keep_alive_timeout": '"soon" is not a duration: write it like "500ms", "2s" or '
        '"1m30s", or as a number of seconds',
        "defaults.max_memory": "must be between 64KiB and 4GiB, not 1KiB",
        "components[0].source": f"No such file or directory: {directory / 'missing.wasm'}",
        "components[0].max_body": '"lots" is not a size: write it like "64KiB", "256MiB" or "10MB", or '
        'as a number of bytes; "unlimited" sets no limit',
        "components[0].environment.KEY": "must be text in quotes",
        "components[0].routes[0].pth": 'is unknown; did you mean "path"?',
        "components[1].name": "is required",
        "components[1].source": f"Not a regular file: {directory}",
        "components[1].routes[0]": 'components[1] repeats the route */a of component "resizer", '
        "declared by components[0].routes[1]",
        "components[1].max_concurrency": "must be between 1 and 100000, not 0",
        "components[2].name": '"resizer" is the name of components[0] already',
        "components[2].source": "must be a path in quotes",
        "components[2].routes": "must be a list in brackets",
        "components[3].name": "must be lower-case letters, digits and inner hyphens, at most 63, such "
        'as "image-resizer"',
    }


def test_a_problem_of_a_flag_is_laid_at_the_command_line(directory: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(directory, "[server]\nport = 80\nbacklog = 0\n" + ONE, port=-1, trusted_proxies=["x"])
    assert [str(problem).split(": must")[0] for problem in caught.value.problems] == [
        "command line: --port",
        "command line: --trusted-proxy",
        f"{directory / 'gateway.toml'}: server.backlog",
    ]


def test_a_key_that_is_unknown_in_a_component_is_not_taken_for_the_flag_of_its_name(
    directory: Path,
) -> None:
    assert problems(directory, ONE + "port = 1\n", port=80).keys() == {"components[0].port"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[server\n", "is not TOML: Expected ']'"),
        ("a = 1\na = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 6)"),
        (f"[server]\nport = {'9' * 5000}\n", "is not TOML: Exceeds the limit"),
        (f"a = {'[' * 10_000}", "is nested too deeply"),
    ],
)
def test_broken_toml_is_told_with_its_place(directory: Path, text: str, reason: str) -> None:
    assert problems(directory, text)[""].startswith(reason)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_bytes(b'[server]\nhost = "\xff"\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.problems == (Problem(str(path), "", "is not UTF-8: byte 17 is 0xff"),)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml: cannot be read: No such file or directory"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_file_that_is_too_large_is_refused(directory: Path) -> None:
    assert problems(directory, "#" * ((16 << 20) + 1))[""] == "has more than 16MiB"
    with pytest.raises(ConfigError, match="/dev/zero: has more than 16MiB"):
        load(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("", "components", "there is none: add a [[components]] table"),
        ("components = []", "components", "there is none"),
        ('[components]\nname = "a"', "components", r"must be written as [[components]]"),
        ("components = [1]", "components[0]", "must be a table"),
        ("server = 1\n" + ONE, "server", "must be a table"),
        ("defaults = 1\n" + ONE, "defaults", "must be a table"),
        ("[component]", "component", 'is unknown; did you mean "components"?'),
        (
            '[defaults]\nname = "a"\n' + ONE,
            "defaults.name",
            "is unknown; known here: claims, log_max_bytes, ",
        ),
        ("[server]\nport = true\n" + ONE, "server.port", "must be a whole number"),
        ("[server]\nport = 80.0\n" + ONE, "server.port", "must be a whole number"),
        ('[server]\nhost = ""\n' + ONE, "server.host", "must be a host alone"),
        ("[server]\ntrusted_proxies = [1]\n" + ONE, "server.trusted_proxies[0]", "must be text"),
        (
            '[server]\ntrusted_proxies = ["unix:/a"]\n' + ONE,
            "server.trusted_proxies[0]",
            'or "unix"',
        ),
        (
            '[server]\nforwarded_header = "X-Forwarded-For"\n' + ONE,
            "server.forwarded_header",
            "must be 'forwarded' or 'x-forwarded'",
        ),
        ('[server]\nhost = "a:80"\n' + ONE, "server.host", "must be a host alone"),
        ('[server]\nhost = "http://a"\n' + ONE, "server.host", "must be a host alone"),
        (
            '[server]\ncache = false\ncache_dir = "x"\n' + ONE,
            "server.cache_dir",
            "contradicts cache = false",
        ),
        ("[server]\nmax_header_bytes = 1\n" + ONE, "server.max_header_bytes", "between 1KiB and"),
        (ONE + 'source2 = ""\n', "components[0].source2", 'did you mean "source"'),
        (ONE + "max_execution_time = 0\n", "components[0].max_execution_time", "not longer than"),
        (ONE + 'max_memory = "5GiB"\n', "components[0].max_memory", "between 64KiB and 4GiB"),
        (ONE + "environment = 1\n", "components[0].environment", "must be a table"),
        (ONE + 'arguments = "a"\n', "components[0].arguments", "must be a list in brackets"),
        (ONE + 'arguments = ["a\\u0000"]\n', "components[0].arguments[0]", "a NUL character"),
        (ONE + 'environment.A = "\\u0000"\n', "components[0].environment.A", "a NUL character"),
        (ONE + "routes = [1]\n", "components[0].routes[0]", "must be a table"),
        (ONE + "routes = [{host = 1}]\n", "components[0].routes[0].host", "must be text"),
    ],
)
def test_a_problem_names_its_key(directory: Path, text: str, key: str, reason: str) -> None:
    assert reason in problems(directory, text)[key]


def test_a_source_must_be_readable(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read every file, so the answer of the system is given here instead of a file's mode.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "May not be read by this user" in problems(directory, ONE)["components[0].source"]


@pytest.mark.parametrize("module", ["httptools", "uvloop"])
def test_a_parser_or_loop_that_is_not_installed_is_refused(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    key = "http" if module == "httptools" else "loop"
    with pytest.raises(
        ValidationError, match=f'needs the package "{module}", which is not installed'
    ):
        ServerConfig.model_validate({key: module})
    assert getattr(ServerConfig.model_validate({key: "auto"}), key) == "auto"


def test_secrets_are_never_printed(directory: Path) -> None:
    secret = "hunter2"  # noqa: S105
    for environment in (
        f'{{ A = ["{secret}"] }}',
        f'{{ A = "{secret}\\u0000" }}',
        f'{{ "A={secret}" = "x" }}',
        f'["{secret}"]',
        f'"{secret}"',
    ):
        text = ONE + f"environment = {environment}\n"
        with pytest.raises(ConfigError) as caught:
            read(directory, text)
        assert secret not in str(caught.value)
        assert "environment" in str(caught.value)
    with pytest.raises(ValidationError) as direct:
        ComponentConfig.model_validate({"environment": {"A": [secret]}})
    assert secret not in str(direct.value)
    config = single(directory / "a.wasm", environment={"A": secret})
    assert config.components[0].environment == {"A": secret}
    assert secret not in repr(config)
    assert secret not in str(config)


def test_the_url_of_a_backend_may_be_in_the_environment(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "redis://shop:hunter2@db/0"  # noqa: S105
    monkeypatch.setenv("REDIS_URL", secret)
    text = ONE + '[components.keyvalue]\ndefault = { url_env = "REDIS_URL", timeout = "1s" }\n'
    config = read(directory, text)
    assert str(config.components[0].keyvalue["default"].url) == secret
    assert "hunter2" not in repr(config)
    monkeypatch.setenv("REDIS_URL", "hunter2")
    assert problems(directory, text) == {
        "components[0].keyvalue.default": 'has url_env = "REDIS_URL", whose value must be a URL, such as '
        '"memory:", "file:PATH" or "env:VARIABLE"'
    }
    monkeypatch.delenv("REDIS_URL")
    assert problems(directory, text) == {
        "components[0].keyvalue.default": 'has url_env = "REDIS_URL", which is not set in the environment'
    }


def test_a_flag_of_a_backend_is_told_with_its_identifier(directory: Path) -> None:
    given = {"a": "memory:", "b": "nothing"}
    with pytest.raises(ConfigError) as caught:
        single(directory / "a.wasm", keyvalue=given, blobstore=given, secrets=given)
    told = [line.partition(" must be a URL")[0] for line in str(caught.value).splitlines()]
    assert told == [
        f"command line: {flag} b:" for flag in ("--keyvalue", "--blobstore", "--secret")
    ]


@pytest.mark.parametrize("table", ["{}", '{ url = "memory:", url_env = "PATH" }'])
def test_a_backend_has_one_url(directory: Path, table: str) -> None:
    assert problems(directory, ONE + f"[components.keyvalue]\ndefault = {table}\n") == {
        "components[0].keyvalue.default": "must have either url or url_env"
    }


def test_an_unknown_key_of_a_capability_is_told_with_the_one_that_was_meant(
    directory: Path,
) -> None:
    text = """
        [components.keyvalue]
        default = { url = "memory:", prefx = "a" }
        url = { url = "memory:", read_onyl = true }

        [components.blobstore]
        "*" = { url = "memory:", max_objets = 1 }

        [components.secrets]
        key = { url = "env:KEY", nam = "x" }

        [components.messaging]
        url = "memory:"
        subscriptions = [{ subject = "a", queu = "b" }]
        """
    assert problems(directory, ONE + text) == {
        "components[0].keyvalue.default.prefx": 'is unknown; did you mean "prefix"?',
        "components[0].keyvalue.url.read_onyl": 'is unknown; did you mean "read_only"?',
        "components[0].blobstore.*.max_objets": 'is unknown; did you mean "max_objects"?',
        "components[0].secrets.key.nam": 'is unknown; did you mean "name"?',
        "components[0].messaging.subscriptions[0].queu": 'is unknown; did you mean "queue"?',
    }


# --- one component ------------------------------------------------------------------------------


def test_a_single_component_is_described_by_flags(directory: Path) -> None:
    config = single(
        directory / "a.wasm",
        port=0,
        workers=None,
        max_memory="1MiB",
        max_execution_time="2s",
        environment={"K": "V"},
        arguments=("x",),
        cache=False,
    )
    assert config.server == ServerConfig(port=0, cache=False)
    assert config.components == (
        ComponentConfig(
            name="a",
            source=directory / "a.wasm",
            max_memory=MIB,
            max_execution_time=2.0,
            environment={"K": "V"},
            arguments=("x",),
        ),
    )


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("hello.wasm", "hello"),
        ("My_App.v2.wasm", "my-app-v2"),
        ("--.wasm", "component"),
        ("\u00e9t\u00e9.wasm", "t"),
        (f"{'x' * 62}-{'y' * 10}.wasm", "x" * 62),
        ("hello", "hello"),
    ],
)
def test_a_single_component_is_named_after_its_file(tmp_path: Path, file: str, name: str) -> None:
    source = tmp_path / file
    source.touch()
    assert single(source).components[0].name == name


def test_problems_of_a_single_component_name_the_flags(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        single(
            tmp_path / "a.wasm",
            workers=0,
            max_memory="x",
            environment={"A=": "b", "B": "\0"},
            arguments=("\udcff",),
            mounts=[{"host": tmp_path, "guest": "/\udcff"}],
            allowed_outbound_hosts=["x"],
            ca_files=[tmp_path],
        )
    assert str(caught.value).splitlines() == [
        "command line: --workers: must be between 1 and 1024, not 0",
        f"command line: --ca-file: Is a directory: {tmp_path}",
        'command line: --max-memory: "x" is not a size: write it like "64KiB", "256MiB" or "10MB", or '
        "as a number of bytes",
        f"command line: the component: No such file or directory: {tmp_path / 'a.wasm'}",
        'command line: --env: must have names that are not empty and have no "="',
        "command line: --env B: must not contain a NUL character",
        "command line: --arg: must be valid Unicode text",
        "command line: --mount: must be valid Unicode text",
        "command line: --allow-outbound-host: must be scheme, host and port, such as "
        '"https://api.example.com" or "http://localhost:8000-8100", not "x"',
    ]


# --- models built in code -----------------------------------------------------------------------


def test_models_built_in_code_need_no_files_yet() -> None:
    component = ComponentConfig(name="later", source=Path("later.wasm"))
    assert component.source == Path.cwd() / "later.wasm"
    assert MountConfig(host=Path("later"), guest="/data").host == Path.cwd() / "later"
    assert ServerConfig(ca_files=(Path("later.pem"),)).ca_files == (Path.cwd() / "later.pem",)


def test_conflicts_are_refused_in_code_too() -> None:
    first = ComponentConfig(name="a", source=Path("a.wasm"), routes=(Route(),))
    second = ComponentConfig(name="a", source=Path("b.wasm"), routes=(Route(),))
    with pytest.raises(ValidationError) as caught:
        GatewayConfig(components=(first, second))
    assert 'components[1].name: "a" is the name of components[0] already' in str(caught.value)
    assert 'component "a" repeats the route */ of component "a"' in str(caught.value)


def test_a_component_may_not_repeat_its_own_route(directory: Path) -> None:
    told = problems(directory, ONE + 'routes = [{ path = "/a" }, { path = "/a/" }]\n')
    assert told["components[0].routes[1]"].startswith('component "a" repeats the route */a of')


def test_routes_without_a_declaration_do_not_conflict_yet(directory: Path) -> None:
    # Components that export no handler of requests have none.
    config = read(directory, ONE + '[[components]]\nname = "b"\nsource = "b.wasm"\n')
    assert [component.routes for component in config.components] == [(Route(),), (Route(),)]


def test_routes_that_only_overlap_are_fine(directory: Path) -> None:
    config = read(
        directory,
        ONE
        + 'routes = [{ path = "/a" }, { path = "/a", match = "exact" }, { path = "/a/b" }]\n'
        + '[[components]]\nname = "b"\nsource = "b.wasm"\n'
        + 'routes = [{ host = "x.org", path = "/a" }, { host = "*.x.org", path = "/a" }]\n',
    )
    assert sum(len(component.routes) for component in config.components) == 5


def test_a_configuration_is_frozen_and_crosses_processes(directory: Path) -> None:
    config = read(directory, ONE + 'routes = [{ host = "x.org" }]\n', trusted_proxies=["::/0"])
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301
    with pytest.raises(ValidationError, match="frozen"):
        config.server = ServerConfig()


# --- routes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_host", "host"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("my_service", "my_service"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[0:0::1]", "[::1]"),
    ],
)
def test_a_host_is_kept_in_one_spelling(given_host: str, host: str) -> None:
    assert Route(host=given_host).host == host


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("*", "left out"),
        ("", "must be a host, such as"),
        (".", "must be a host, such as"),
        ("*.", "must be a host, such as"),
        ("a..b", "must be a host, such as"),
        ("-a.b", "must be a host, such as"),
        ("a-.b", "must be a host, such as"),
        ("a.*.b", "must be a host, such as"),
        ("a b", "must be a host, such as"),
        ("a/b", "must be a host, such as"),
        ("a" * 64, "must be a host, such as"),
        (".".join(["a" * 49] * 6), "must be a host, such as"),
        ("example.com:80", "without scheme or port"),
        ("http://example.com", "without scheme or port"),
        ("[::1]:80", "without scheme or port"),
        ("b\u00fccher.example", "in its ASCII form"),
    ],
)
def test_a_host_that_is_none_is_refused(host: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Route(host=host)


@pytest.mark.parametrize(
    ("given_path", "path"),
    [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/A", "/A"),
        ("/%7euser/%41", "/~user/A"),
        ("/a%2fb", "/a%2Fb"),
        ("/caf\u00e9", "/caf%C3%A9"),
        ("/...", "/..."),
        ("/a:b@c;d=e,f!$&'()*+", "/a:b@c;d=e,f!$&'()*+"),
    ],
)
def test_a_path_is_kept_in_one_spelling(given_path: str, path: str) -> None:
    assert Route(path=given_path).path == path


def test_an_exact_path_keeps_its_final_slash() -> None:
    assert Route(path="/a/", match="exact").path == "/a/"
    assert str(Route(path="/a/", match="exact")) == "*/a/ (exact)"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", 'must start with "/"'),
        ("a", 'must start with "/"'),
        ("/a?b", "query or a fragment"),
        ("/a#b", "query or a fragment"),
        ("//", "empty segment"),
        ("/a//b", "empty segment"),
        ("/./a", 'segment "."'),
        ("/a/..", 'segment "."'),
        ("/a/%2E%2e/b", 'segment "."'),
        ("/a b", "percent-encode"),
        ("/{id}", "percent-encode"),
        ("/100%", "percent-encode"),
        ("/%zz", "percent-encode"),
        ("/\n", "percent-encode"),
    ],
)
def test_a_path_that_is_none_is_refused(path: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Route(path=path)


@given(st.text())
def test_one_spelling_is_reached_in_one_step(path: str) -> None:
    once = canonical_path(path)
    assert once.isascii()
    assert canonical_path(once) == once


@given(st.from_regex(r"[A-Za-z0-9.-]{1,40}", fullmatch=True))
def test_hosts_have_one_spelling(host: str) -> None:
    try:
        once = canonical_host(host)
    except ValueError:
        return
    assert canonical_host(once) == canonical_host(host.upper()) == once


# --- JSON-RPC -----------------------------------------------------------------------------------


def test_json_rpc_is_served_below_rpc_unless_told_otherwise(directory: Path) -> None:
    config = read(directory, ONE)
    assert (config.server.rpc, config.server.rpc_prefix) == (True, "/rpc")
    assert (config.server.rpc_max_body, config.server.rpc_max_batch) == (512 << 10, 100)
    assert config.server.rpc_max_result == 4 << 20
    assert config.components[0].rpc


def test_json_rpc_is_configured(directory: Path) -> None:
    server = (
        '[server]\nrpc = false\nrpc_prefix = "/api/"\nrpc_max_body = "2MiB"\nrpc_max_batch = 7\n'
    )
    config = read(directory, f"{server}{ONE}rpc = false\nroutes = []\n")
    assert (config.server.rpc, config.server.rpc_prefix) == (False, "/api")
    assert (config.server.rpc_max_body, config.server.rpc_max_batch) == (2 << 20, 7)
    assert not config.components[0].rpc
    assert config.components[0].routes == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('rpc_prefix = "/"', 'must be a path of its own, such as "/rpc"'),
        ('rpc_prefix = "rpc"', 'must start with "/"'),
        ('rpc_prefix = "/a?b"', "must not have a query or a fragment"),
        ("rpc_prefix = 1", "must be text in quotes"),
        ('rpc_max_body = "1GiB"', "must be between 1B and 64MiB, not 1GiB"),
        ('rpc_max_result = "1GiB"', "must be between 1KiB and 256MiB, not 1GiB"),
        ("rpc_max_batch = 0", "must be between 1 and 10000, not 0"),
        ("rpc = 1", "must be true or false"),
    ],
)
def test_what_json_rpc_cannot_be_is_refused(directory: Path, text: str, reason: str) -> None:
    (told,) = problems(directory, f"[server]\n{text}\n{ONE}").values()
    assert told.startswith(reason)
