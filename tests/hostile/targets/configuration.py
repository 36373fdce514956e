"""Texts of operators and callers: `gateway.toml`, the content of the admin API's PUT, sizes, durations, hosts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.admin.component_body import InvalidComponent, describe
from gateway.config import ConfigError
from gateway.config.file import load
from gateway.json.text import InvalidJson, parse
from gateway.policy.egress import EgressRule
from gateway.units import parse_duration, parse_size
from tests.hostile.target import Attack, Target

_SEEDS = (
    b"""[server]
port = 8080
trusted_proxies = ["10.0.0.0/8", "unix"]
[defaults]
max_memory = "64MiB"
[[components]]
name = "shop"
source = "guest.wasm"
routes = [{ host = "shop.example.com", path = "/a", match = "exact" }]
environment = { A = "b" }
mounts = [{ host = ".", guest = "/data" }]
allowed_outbound_hosts = ["https://*.example.com"]
max_execution_time = "5s"
""",
    json.dumps({"source": "guest.wasm", "routes": [{"path": "/a"}], "max_concurrency": 4}).encode(),
    *(
        b"1h30m",
        b"64MiB",
        b"https://*.example.com:443",
        b"http://[::1]:*",
        b"tcp://10.0.0.0/8:5432",
    ),
)


@contextmanager
def _attack() -> Iterator[Attack]:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "guest.wasm").write_bytes(b"\0asm\x0d\0\x01\0")
        file = base / "gateway.toml"

        def read(data: bytes) -> None:
            file.write_bytes(data)
            with suppress(ConfigError):
                load(file)
            with suppress(InvalidJson, InvalidComponent):
                describe("shop", parse(data), base, {})
            text = data.decode("utf-8", "replace")
            for parser in (parse_duration, parse_size, EgressRule.parse):
                with suppress(ValueError):
                    parser(text)

        yield read


TARGET = Target(_attack, lambda: _SEEDS)
