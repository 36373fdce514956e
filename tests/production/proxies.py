"""The load balancers of `deploy/`, as they are but for the ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.production.gateways import DEPLOY, until

PUBLIC: Final = "127.0.0.1:8080"
"""Where the load balancers of `deploy/` listen."""

GATEWAYS: Final = (
    ("127.0.0.1:8081", "127.0.0.1:9081"),
    ("127.0.0.1:8082", "127.0.0.1:9082"),
)
"""Where they look for gateways: their addresses, and those of health and metrics."""


def with_addresses(text: str, addresses: Mapping[str, str]) -> str:
    """A configuration with other addresses; each must occur in it."""
    for written, address in addresses.items():
        host, _, port = written.partition(":")
        other = address.partition(":")[2]
        haproxy = f"addr {host} port {port}"
        assert written in text or haproxy in text, written
        text = text.replace(written, address).replace(haproxy, f"addr {host} port {other}")
    return text


@contextlib.contextmanager
def haproxy(folder: Path, addresses: Mapping[str, str]) -> Iterator[None]:
    """HAProxy, until the context ends."""
    path = folder / "haproxy.cfg"
    path.write_text(with_addresses((DEPLOY / "haproxy.cfg").read_text(), addresses))
    with _running([_program("haproxy"), "-db", "-f", str(path)], addresses[PUBLIC]):
        yield


@contextlib.contextmanager
def nginx(folder: Path, addresses: Mapping[str, str]) -> Iterator[None]:
    """NGINX, until the context ends."""
    program = _program("nginx")
    needed = {address: addresses[address] for address in (PUBLIC, *(a for a, _ in GATEWAYS))}
    site = folder / "gateways.conf"
    site.write_text(with_addresses((DEPLOY / "nginx.conf").read_text(), needed))
    # What a distribution's nginx.conf has around the files of conf.d.
    lines = [
        "daemon off;",
        f"pid {folder}/nginx.pid;",
        f"error_log {folder}/error.log;",
        "events {}",
        "http {",
        *(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy")),
        *(f"{kind}_temp_path {folder}/{kind};" for kind in ("fastcgi", "uwsgi", "scgi")),
        "access_log off;",
        f"include {site};",
        "}",
    ]
    if os.getuid() == 0:
        lines.insert(0, "user root;")
    (folder / "nginx.conf").write_text("\n".join(lines))
    with _running([program, "-p", str(folder), "-c", "nginx.conf"], addresses[PUBLIC]):
        yield


PROXIES: Final = {"haproxy": haproxy, "nginx": nginx}


def _program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return path


@contextlib.contextmanager
def _running(command: list[str], address: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or _listens(address))
        assert process.poll() is None, f"{command[0]} ended with {process.poll()}"
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except OSError:
        return False
    return True
