"""The command line as its users have it: processes, their output and exit statuses."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

import gateway
from gateway.config import ComponentConfig, ServerConfig
from gateway.config.key import flag_name, flag_of
from tests import ask
from tests.forked import run
from tests.harness import GuestPath, StartGateway, probe
from tests.links.relays import OUTCOMES, TYPES


@pytest.mark.parametrize(
    "program", [[sys.executable, "-m", "gateway"], [str(Path(sys.executable).with_name("gateway"))]]
)
def test_the_version_is_printed(program: list[str]) -> None:
    process = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    assert process.stdout == f"component-gateway {gateway.__version__}\n"


def test_help_names_every_flag() -> None:
    process = run("serve", "--help")
    assert process.returncode == 0
    models = (ServerConfig, ComponentConfig)
    fields = [item for model in models for item in model.model_fields.items()]
    flags = [flag_name(key, field) for key, field in fields if flag_of(field) is not None]
    assert len(flags) > 40
    for flag in (*flags, "--no-access-log", "--no-rpc", "--watch"):
        assert f"{flag} " in process.stdout


def test_help_tells_defaults_and_what_a_value_is_like() -> None:
    told = " ".join(run("serve", "--help").stdout.split())
    for line in (
        "TCP port, 0 for any free one. Default 8080.",
        "--access-log / --no-access-log Log each request. Default on.",
        "--no-cache Compile at each start; keep nothing. --cache-dir",
        "--loop auto|uvloop|asyncio Event loop. Default auto.",
        "--log-format auto|json|console Default auto.",
        "--compile-timeout DURATION Of one component. Default 5m.",
        "--max-body SIZE Of one request. Default unlimited.",
        "--mount HOST:GUEST[:rw] A folder of the host",
        "--require-signature / --no-require-signature Refuse it if it is not signed. --trusted-issuer",
    ):
        assert line in told


def test_help_cuts_no_flag_in_a_narrow_terminal() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--help"],
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"--forwarded-header", "--compile-max-memory", "--max-connections"} <= set(
        process.stdout.split()
    )
    assert "…" not in process.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["serve"], "Missing argument 'TARGET'"),
        (["serve", "a.wasm", "--prot", "1"], "No such option"),
        (["serve", "a.wasm", "--port", "x"], "Invalid value for '--port'"),
        (["srve", "a.wasm"], "No such command"),
        (["inspect"], "Missing argument 'COMPONENT'"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], reason: str) -> None:
    process = run(*arguments)
    assert process.returncode == 2
    assert reason in process.stderr


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["serve", "check"])
def test_all_problems_of_a_file_are_told(tmp_path: Path, command: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[server]\nport = -1\nprot = 1\n[[components]]\nname = "a"\nsource = "a.wasm"\n'
    )
    process = run(command, path)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.splitlines() == [
        "gateway: this configuration is refused:",
        f"  {path}: server.port: must be between 0 and 65535, not -1",
        f'  {path}: server.prot: is unknown; did you mean "port"?',
        f"  {path}: components[0].source: No such file or directory: {tmp_path / 'a.wasm'}",
    ]


def test_all_problems_of_flags_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wasm"
    process = run(
        *("serve", path, "--port", "99999", "--workers", "0", "--trusted-proxy", "x"),
        *("--forwarded-header", "x"),
        *("--log-format", "xml", "--log-level", "loud", "--http", "x", "--loop", "x"),
        *("--max-execution-time", "soon", "--max-memory", "1KiB", "--max-body", "much"),
        *("--max-concurrency", "0", "--no-cache", "--cache-dir", "x", "--env", "=b", "--arg", ""),
        *("--mount", f"{tmp_path / 'none'}:/data", "--allow-outbound-host", "example.com"),
        *("--ca-file", tmp_path / "none.pem"),
    )
    assert process.returncode == 2
    told = [line.split(": ")[1] for line in process.stderr.splitlines()[1:]]
    assert sorted(told) == sorted(
        [
            *("--port", "--workers", "--trusted-proxy", "--forwarded-header"),
            *("--log-format", "--log-level", "--http"),
            *("--loop", "--max-execution-time", "--max-memory", "--max-body", "--max-concurrency"),
            *(
                "--cache-dir",
                "--env",
                "the component",
                "--mount",
                "--allow-outbound-host",
                "--ca-file",
            ),
        ]
    )


def test_flags_of_a_component_are_refused_beside_a_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    (tmp_path / "a.wasm").touch()
    path.write_text('[[components]]\nname = "a"\nsource = "a.wasm"\n')
    process = run(
        *("serve", path, "--max-memory", "1MiB", "--arg", "x", "--mount", "data:/data"),
        *("--allow-outbound-host", "https://example.com"),
    )
    assert process.returncode == 2
    assert process.stderr.splitlines()[1:] == [
        "  command line: --max-memory: is for a component served by itself: set max_memory under "
        f"[defaults] or in a component of {path}",
        *(
            f"  command line: {flag}: is for a component served by itself: set {key} in a component of {path}"
            for flag, key in (
                ("--arg", "arguments"),
                ("--mount", "mounts"),
                ("--allow-outbound-host", "allowed_outbound_hosts"),
            )
        ),
    ]


def test_an_environment_that_cannot_be_read_is_told_without_it(tmp_path: Path) -> None:
    process = run(
        "serve", tmp_path / "a.wasm", "--env", "hunter2", "--env", "A=1", "--env", "A=s3cret"
    )
    assert process.returncode == 2
    assert "command line: --env: must be NAME=VALUE, or a NAME that is set" in process.stderr
    assert 'command line: --env: "A" is given twice' in process.stderr
    assert "hunter2" not in process.stderr
    assert "s3cret" not in process.stderr


@pytest.mark.parametrize(
    "mount", ["data", "data:data", ":/data", "data::/data", "data:/data:rx", "data:/data:rw:", ""]
)
def test_a_mount_that_cannot_be_read_is_told_with_other_problems(
    tmp_path: Path, mount: str
) -> None:
    process = run("serve", tmp_path / "a.wasm", "--env", "hunter2", "--mount", mount)
    assert process.returncode == 2
    assert process.stderr.splitlines()[1:] == [
        "  command line: --env: must be NAME=VALUE, or a NAME that is set",
        '  command line: --mount: must be HOST:GUEST or HOST:GUEST:rw, such as "data:/data", not '
        f'"{mount}"',
    ]


def test_values_of_the_configuration_are_given_by_flags(tmp_path: Path) -> None:
    prefix = ("--config-env-prefix", "")
    process = run("serve", tmp_path / "a.wasm", "--config", "unset-here", *prefix)
    assert process.stderr.splitlines()[1:] == [
        "  command line: --config: must be KEY=VALUE, or a KEY that is set"
    ]
    process = run("serve", tmp_path / "a.wasm", "--config", "=b", *prefix)
    assert sorted(line.split(": ")[1] for line in process.stderr.splitlines()[1:]) == [
        "--config",
        "--config-env-prefix",
        "the component",
    ]


def test_two_mounts_at_one_path_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.wasm").touch()
    mounts = ("--mount", f"{tmp_path}:/data", "--mount", f"{tmp_path}:/data/:rw")
    process = run("serve", tmp_path / "a.wasm", *mounts)
    assert process.returncode == 2
    assert process.stderr.splitlines()[1:] == [
        '  command line: --mount: must not have two folders at the guest path "/data"'
    ]


@pytest.mark.parametrize("command", ["serve", "check"])
def test_certificates_that_cannot_be_read_are_told_before_anything_listens(
    guest: GuestPath, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "gateway.toml"
    (tmp_path / "notes.pem").write_text("no certificate")
    path.write_text(
        f"""
        [server]
        ca_files = ["none.pem", "notes.pem"]
        cache = false

        [[components]]
        name = "hello"
        source = "{guest("wat/hello")}"
        """
    )
    process = run(command, path)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.splitlines() == [
        "gateway: this configuration is refused:",
        f"  {path}: server.ca_files[0]: No such file or directory: {tmp_path / 'none.pem'}",
        f"  {path}: server.ca_files[1]: Has no certificates in PEM form: {tmp_path / 'notes.pem'}",
    ]


Refused = tuple[bytes, str, str]
"""The content of a file, what is said to have been found in it, and what to do about it."""


def refused(guest: GuestPath) -> dict[str, Refused]:
    component = guest("wat/hello").read_bytes()
    give = "Give a WebAssembly component"
    return {
        "empty.wasm": (b"", "an empty file", give),
        "short.wasm": (
            component[:7],
            "the beginning of a WebAssembly file that is cut off",
            "again",
        ),
        "short.wat": (b"(component", "the text is not valid", "expected `)`"),
        "cut.wasm": (component[:-40], "the component is damaged", "Copy or build it again"),
        "core.wasm": (
            guest("wat/core-module").read_bytes(),
            "this core module cannot be made a component",
            "wasm-tools component embed",
        ),
        "core.wat": (
            b"(module)",
            "this core module cannot be made a component",
            "wasm-tools component embed",
        ),
        "packed.wasm": (gzip.compress(component), "a gzip archive", "Unpack it first"),
        "page.wasm": (b"<!DOCTYPE html>\n<title>404</title>", "an HTML page", give),
        "notes.wasm": (b"neither wasm nor text", "not a WebAssembly file", give),
        "later.wat": (
            b"""(component (import "wasi:clocks/monotonic-clock@0.3.0" (instance
                (export "now" (func (result u64))))))""",
            "a component of WASI 0.3 (wasi:clocks/monotonic-clock@0.3.0)",
            "for a world that exports wasi:http/handler@0.3.0",
        ),
    }


def complaints(process: subprocess.CompletedProcess[str], folder: Path) -> dict[str, str]:
    """What is said of each file of a folder."""
    assert (process.returncode, process.stdout) == (2, ""), process.stderr
    first, *told = process.stderr.split(f"\n  {folder}/")
    # Where compiling takes long, `serve` says so before.
    assert first.splitlines()[-1] == "gateway: this component is refused:"
    return dict(each.split(": ", 1) for each in told)


def check_complaints(told: Mapping[str, str], cases: Mapping[str, Refused]) -> None:
    assert told.keys() == cases.keys()
    for name, (_, found, remedy) in cases.items():
        assert found in told[name]
        assert remedy in told[name]


@pytest.fixture
def refused_files(guest: GuestPath, tmp_path: Path) -> dict[str, Refused]:
    """Files in `tmp_path`."""
    cases = refused(guest)
    for name, (content, _, _) in cases.items():
        (tmp_path / name).write_bytes(content)
    return cases


def test_what_is_no_component_is_not_inspected(
    tmp_path: Path, refused_files: dict[str, Refused]
) -> None:
    with ThreadPoolExecutor() as pool:
        processes = pool.map(lambda name: run("inspect", tmp_path / name), refused_files)
    told: dict[str, str] = {}
    for process in processes:
        told |= complaints(process, tmp_path)
    check_complaints(told, refused_files)


@pytest.mark.parametrize("command", ["serve", "check"])
def test_what_is_no_component_is_not_served(
    tmp_path: Path, refused_files: dict[str, Refused], command: str
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        "[server]\ncache = false\n"
        + "".join(
            f'[[components]]\nname = "n{number}"\nsource = "{name}"\nroutes = [{{ path = "/{number}" }}]\n'
            for number, name in enumerate(refused_files)
        )
    )
    check_complaints(complaints(run(command, path), tmp_path), refused_files)


BROKEN_CODE = """(component
    (core module $m (func (export "f") (result i32)))
    (core instance $m (instantiate $m))
    (func (export "f") (result u32) (canon lift (core func $m "f"))))"""


@pytest.mark.parametrize(
    "command", [["inspect"], ["check"], ["serve", "--port", "0"]], ids=lambda command: command[0]
)
def test_what_only_compiling_shows_is_told(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "code.wat"
    path.write_text(BROKEN_CODE)
    process = run(*command, path)
    told = complaints(process, tmp_path)
    assert told[path.name].startswith("the engine refuses this component: ")
    assert "build it again" in told[path.name]


@pytest.mark.parametrize("name", ["none.wasm", "."])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    process = run("inspect", tmp_path / name)
    assert process.returncode == 2
    assert f"{tmp_path / name}: cannot be read: " in process.stderr


def test_an_address_in_use_is_told(guest: GuestPath, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = run(
            "serve", guest("wat/hello"), "--port", str(port), XDG_CACHE_HOME=str(tmp_path)
        )
    assert process.returncode == 1
    assert process.stderr == (
        f"gateway: cannot listen on http://127.0.0.1:{port}: the port is in use: stop what listens "
        "there, or choose another port\n"
    )


# --- what is shown ------------------------------------------------------------------------------


def test_a_component_is_inspected(guest: GuestPath) -> None:
    path = guest("c/hello")
    process = run("inspect", path)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.splitlines()[:5] == [
        f"component {path}",
        f"  sha256     {hashlib.sha256(path.read_bytes()).hexdigest()}",
        f"  size       {path.stat().st_size} bytes",
        "  signature  none",
        "",
    ]
    assert process.stdout.splitlines()[5:] == [
        "import wasi:io/error@0.2.0;",
        "import wasi:io/poll@0.2.0;",
        "import wasi:io/streams@0.2.0;",
        "import wasi:http/types@0.2.0;",
        "export wasi:http/incoming-handler@0.2.0;",
        "",
        "What is in those: gateway inspect --full",
    ]
    full = run("inspect", "--full", path).stdout
    assert "\nimport wasi:http/types@0.2.0 {\n" in full
    assert (
        "\nexport wasi:http/incoming-handler@0.2.0 {\n"
        "  use wasi:http/types@0.2.0.{incoming-request, response-outparam};\n"
        "  handle: func(request: incoming-request, response-out: response-outparam);\n"
        "}\n"
    ) in full


def test_what_nothing_provides_is_pointed_out(guest: GuestPath) -> None:
    lines = run("inspect", guest("wat/unknown-import")).stdout.splitlines()
    marked = "import acme:things/stuff@1.0.0 {  // nothing provides this without a link: calling it traps"
    assert [line for line in lines if "//" in line] == [marked]
    assert lines[lines.index(marked) + 1] == "  do-it: func() -> u32;"
    assert "export run: func() -> u32;" in lines


EVERYTHING = """
(component
  (import "acme:shop/types@1.0.0" (instance $types
    (export "handle" (type $handle (sub resource)))
    (export "item" (type $item (eq $handle)))
    (type $kind' (enum "small" "large"))
    (export "kind" (type $kind (eq $kind')))
    (type $rights' (flags "read" "write"))
    (export "rights" (type $rights (eq $rights')))
    (type $size' (record (field "width" u32) (field "kind" $kind)))
    (export "size" (type $size (eq $size')))
    (export "area" (type $area (eq $size)))
    (type $names' (list string))
    (export "names" (type (eq $names')))
    (export "[constructor]item" (func (param "size" $size) (result (own $item))))
    (export "[method]item.rights" (func (param "self" (borrow $item)) (result $rights)))
    (export "[method]item.find" (func (param "self" (borrow $item)) (param "names" (list string))
      (result (result (option (tuple u8 char)) (error $kind)))))
    (export "[static]item.merge" (func
      (param "a" (own $item)) (param "b" (borrow $item)) (result (own $item))))))
  (alias export $types "item" (type $item))
  (alias export $types "size" (type $size))
  (import "wasi:cli/environment@0.2.3" (instance
    (export "get-arguments" (func (result (list string))))
    (export "get-secrets" (func (result (list string))))))
  (import "acme:shop/till" (instance
    (export "thing" (type $thing (eq $item)))
    (export "size" (type $size' (eq $size)))
    (export "pay" (func (param "for" (own $thing)) (param "size" $size')))))
  (import "ticket" (type (sub resource)))
  (import "log" (func (param "line" string)))
  (import "empty" (instance))
  (import "code" (core module)))
"""


def test_types_are_written_as_wit_does(tmp_path: Path) -> None:
    path = tmp_path / "everything.wat"
    path.write_text(EVERYTHING)
    process = run("inspect", "--full", path)
    assert (process.returncode, process.stderr) == (0, "")
    traps = "  // nothing provides this without a link: calling it traps"
    assert process.stdout.splitlines()[5:] == [
        f"import acme:shop/types@1.0.0 {{{traps}",
        "  type handle = item;",
        "  type area = size;",
        "  type names = list<string>;",
        "  enum kind {",
        "    small,",
        "    large,",
        "  }",
        "  flags rights {",
        "    read,",
        "    write,",
        "  }",
        "  record size {",
        "    width: u32,",
        "    kind: kind,",
        "  }",
        "  resource item {",
        "    constructor(size: size);",
        "    rights: func() -> rights;",
        "    find: func(names: list<string>) -> result<option<tuple<u8, char>>, kind>;",
        "    merge: static func(a: item, b: borrow<item>) -> item;",
        "  }",
        "}",
        "",
        "import wasi:cli/environment@0.2.3 {  // granted by environment",
        "  get-arguments: func() -> list<string>;",
        f"  get-secrets: func() -> list<string>;{traps}",
        "}",
        "",
        f"import acme:shop/till {{{traps}",
        "  use acme:shop/types@1.0.0.{item as thing, size};",
        "  pay: func(for: thing, size: size);",
        "}",
        "",
        f"import ticket: resource;{traps}",
        "",
        f"import log: func(line: string);{traps}",
        "",
        f"import empty;{traps}",
        "",
        "import code: core module;  // nothing can provide this: the component is not served",
        "",
        "It exports no wasi:http/incoming-handler, so it cannot answer HTTP requests.",
    ]


# --- what is served -----------------------------------------------------------------------------


def test_a_good_configuration_is_summed_up(guest: GuestPath, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    source = guest("wat/hello")
    path.write_text(
        f"""
        [server]
        port = 80
        cache = false
        redirects = [{{ host = "old.example.com", to = "https://example.com", status = 301 }}]

        [defaults]
        max_execution_time = "90s"

        [[components]]
        name = "one"
        source = "{source}"
        routes = [
            {{ host = "example.com" }},
            {{ path = "/one", match = "exact" }},
            {{ path = "/api", strip_prefix = true }},
        ]
        max_body = "1MiB"
        environment = {{ TOKEN = "hidden" }}
        mounts = [{{ host = "{tmp_path}", guest = "/data" }}]
        allowed_outbound_hosts = ["https://api.example.com"]
        keyvalue = {{ default = "redis://user:hidden@localhost/0" }}
        messaging = "nats://hidden@localhost"

        [[components]]
        name = "two"
        source = "{source}"

        [[components]]
        name = "called"
        source = "{guest("c/relay")}"
        links = [
            {{ import = "{TYPES}", url = ["http://a", "http://b"] }},
            {{ import = "{OUTCOMES}", name = "other", url = "wrpc+tcp://a:1" }},
        ]
        """
    )
    process = run("check", path)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.splitlines() == [
        f"{path} is well",
        "  listens on 127.0.0.1 port 80, workers: 1",
        "  keeps compiled components in no cache",
        "  redirects old.example.com/ to https://example.com (301)",
        "component one",
        f"  source              {source}",
        "  routes              example.com/, */one (exact), */api (stripped)",
        f"  mount               {tmp_path} as /data, read-only",
        "  outbound hosts      https://api.example.com",
        "  environment         TOKEN",
        "  keyvalue            default: redis://localhost/0",
        "  messaging           nats://localhost",
        "  max_execution_time  1m30s",
        "  max_cpu_time        unlimited",
        "  max_memory          256MiB",
        "  max_body            1MiB",
        "  max_concurrency     1024",
        "component two",
        f"  source              {source}",
        "  routes              */",
        "  max_execution_time  1m30s",
        "  max_cpu_time        unlimited",
        "  max_memory          256MiB",
        "  max_body            unlimited",
        "  max_concurrency     1024",
        "component called",
        f"  source              {guest('c/relay')}",
        "  routes              none",
        "  methods             67 at /rpc/called",
        f"  link                {TYPES}: http://a, http://b",
        f'  link                {OUTCOMES} by the name "other": wrpc+tcp://a:1',
        "  max_execution_time  1m30s",
        "  max_cpu_time        unlimited",
        "  max_memory          256MiB",
        "  max_body            unlimited",
        "  max_concurrency     1024",
    ]


@pytest.mark.parametrize("name", ["c/hello", "wat/unknown-import"])
def test_a_good_component_is_summed_up(guest: GuestPath, tmp_path: Path, name: str) -> None:
    path = guest(name)
    process = run("check", path, XDG_CACHE_HOME=str(tmp_path))
    assert process.returncode == 0
    assert process.stdout.splitlines()[0] == f"{path} is well"
    assert ("acme:things/stuff@1.0.0" in process.stderr) is (name == "wat/unknown-import")


def test_flags_grant_a_component_folders_and_servers(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    folder, authority = tmp_path / "a:b", tmp_path / "ca.pem"
    folder.mkdir()
    (folder / "greeting").write_text("hello")
    trustme.CA().cert_pem.write_to_path(authority)
    running = gateway(
        guest("python/probe"),
        *("--mount", f"{folder}:/readable", "--mount", f"{folder}:/also:ro"),
        *("--mount", f"{folder}:/writable:rw", "--ca-file", str(authority)),
        *("--allow-outbound-host", "tcp://127.0.0.1:1-9"),
    )
    found = probe(
        running.url,
        """
        import socket

        def attempt(call, *args):
            try:
                call(*args)
            except OSError as error:
                return type(error).__name__
            return "done"

        tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM

        def connect(kind, *peer):
            with socket.socket(type=kind) as opened:
                opened.connect(peer)

        result = {
            "mounts": [path for _, path in preopens.get_directories()],
            "read": [open(f"/{name}/greeting").read() for name in ("readable", "also")],
            "readable": attempt(open, "/readable/made", "w"),
            "also": attempt(open, "/also/made", "w"),
            "writable": attempt(open, "/writable/made", "w"),
            "granted": attempt(connect, tcp, "127.0.0.1", 9),
            "tcp": attempt(connect, tcp, "192.0.2.1", 9),
            "udp": attempt(connect, udp, "192.0.2.1", 9),
        }
        """,
    )
    assert found == {
        "mounts": ["/readable", "/also", "/writable"],
        "read": ["hello", "hello"],
        "readable": "PermissionError",
        "also": "PermissionError",
        "writable": "done",
        "granted": "ConnectionRefusedError",
        "tcp": "PermissionError",
        "udp": "PermissionError",
    }
    assert (folder / "made").exists()
    running.wait_for_log(event="socket refused", target="tcp://192.0.2.1:9")
    running.wait_for_log(event="socket refused", target="udp://192.0.2.1:9")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_a_component_is_served(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path, workers: str, http: str
) -> None:
    running = gateway(
        guest("wat/hello"), "--workers", workers, "--http", http, "--cache-dir", str(tmp_path / "c")
    )
    response = ask.get(running.url)
    assert response.status_code == 200
    assert running.wait_for_log(event="request")["status"] == 200
    assert running.stop() == 0
    assert running.output == []
    assert any((tmp_path / "c").iterdir())


def test_a_configuration_is_served(guest: GuestPath, gateway: StartGateway, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"""
        [server]
        port = 1
        cache_dir = "cache"
        access_log = false

        [[components]]
        name = "hello"
        source = "{guest("wat/hello")}"
        routes = [{{ path = "/hello" }}]
        """
    )
    running = gateway(path)
    assert running.port > 1, "--port goes before the file's"
    assert ask.get(f"{running.url}/hello/x").status_code == 200
    assert ask.get(f"{running.url}/other").status_code == 404
    assert "request" not in {record["event"] for record in running.logs}
    assert (tmp_path / "cache").is_dir()


def test_each_request_is_logged_unless_told_otherwise(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path
) -> None:
    cache = ("--cache-dir", str(tmp_path / "c"))
    told = gateway(guest("wat/hello"), "--access-log", *cache)
    untold = gateway(guest("wat/hello"), "--no-access-log", *cache)
    for running in (told, untold):
        assert ask.get(running.url).status_code == 200
        assert running.stop() == 0
    assert "request" in {record["event"] for record in told.logs}
    assert "request" not in {record["event"] for record in untold.logs}


@pytest.mark.parametrize(
    ("flags", "client"),
    [
        ((), "192.0.2.1"),
        (("--forwarded-header", "forwarded"), "192.0.2.1"),
        (("--forwarded-header", "x-forwarded"), "192.0.2.2"),
    ],
)
def test_proxies_are_believed_about_the_fields_that_they_maintain(
    guest: GuestPath, gateway: StartGateway, tmp_path: Path, flags: tuple[str, ...], client: str
) -> None:
    cache = ("--cache-dir", str(tmp_path / "c"))
    running = gateway(guest("wat/hello"), "--trusted-proxy", "127.0.0.1", *flags, *cache)
    headers = {"forwarded": "for=192.0.2.1"}
    if flags:
        headers["x-forwarded-for"] = "192.0.2.2"
    assert ask.get(running.url, headers=headers).status_code == 200
    assert running.wait_for_log(event="request")["client"] == client


def test_the_log_is_for_people_where_asked(guest: GuestPath, gateway: StartGateway) -> None:
    """A terminal is not needed for that, nor is it for the end: the process is told to stop."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gateway", "serve", str(guest("wat/hello"))),
            *("--port", "0", "--log-format", "console", "--no-cache"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        line = next(line for line in process.stderr if "listening" in line)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert line.endswith("\n")
    assert line.split()[1:3] == ["info", "listening"]
    assert "url=http://127.0.0.1:" in line
    assert "stopping" in rest
    assert "Traceback" not in rest
    assert process.returncode == 0


@pytest.mark.parametrize("flag", ["--publish", "--subscribe"])
def test_a_flag_that_needs_another_says_so(guest: GuestPath, flag: str) -> None:
    process = run("serve", guest("c/hello"), flag, "orders.new")
    assert process.returncode != 0
    assert f"command line: {flag}: needs --messaging URL beside it" in process.stderr


def test_a_component_of_wasi_0_3_is_inspected_as_it_was_built(guest: GuestPath) -> None:
    inspected = run("inspect", "--full", guest("wat/wasi-0-3"))
    assert "handle: async func(request: request) -> result<response" in inspected.stdout
    assert (
        "consume-body: static func(this: request, res: future<result<_, error-code>>)"
        in inspected.stdout
    )
    assert "import test:nobody/there@0.1.0 {  // nothing provides this" in inspected.stdout
    assert "gateway:" not in inspected.stdout
    assert "It is of WASI 0.3" in inspected.stdout
