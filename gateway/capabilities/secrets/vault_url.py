"""URLs of Vault: a server, a secret of it, and how one is let in."""

from __future__ import annotations

import re
import ssl
from typing import Final, NamedTuple, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httpcore

from gateway.capabilities.backend import BackendUnusable
from gateway.capabilities.secrets.vault_login import Login
from gateway.config.backend_url import BackendURL

__all__ = ["Place"]

_PORT: Final = {"http": 80, "https": 443}
_KNOWN: Final = (
    "namespace, ca_file, and token, or role_id and secret_id, or role and jwt, with auth"
)


class Place(NamedTuple):
    """A secret of the engine KV 2, which has named fields.

    Attributes:
        scheme: `http` or `https`.
        host: the server.
        port: its port.
        tls: what makes the server trusted.
        namespace: the namespace that the secret is in; "" for the root.
        path: the secret, as policies of the server call it: `MOUNT/data/PATH`.
        login: how one is let in.
    """

    scheme: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    namespace: str
    path: str
    login: Login

    @classmethod
    def parse(cls, url: BackendURL) -> Self:
        """Read `vault+https://HOST[:PORT]/MOUNT/PATH[?OPTIONS]`.

        Raises:
            BackendUnusable: it is something else.
        """
        scheme = url.scheme.removeprefix("vault+")
        parts = urlsplit(url.rest)
        if "@" in parts.netloc:
            raise BackendUnusable(
                "must not say who is let in: name where the token is, such as "
                '"?token=file:/run/vault/token"'
            )
        try:
            host = (parts.hostname or "").encode("idna").decode()
            port = parts.port or _PORT[scheme]
        except ValueError:
            host = ""
        names = [unquote(name) for name in parts.path.split("/")[1:]]
        if not host or len(names) < 2 or not all(map(_plain, "/".join(names).split("/"))):
            raise BackendUnusable(
                f'must name a server, a mount and a secret, such as "vault+{scheme}://HOST:8200/secret/shop#password"'
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        ca_file, namespace = options.pop("ca_file", None), options.pop("namespace", "").strip("/")
        login = Login(options)
        if options or not re.fullmatch("[!-~]*", namespace):
            raise BackendUnusable(f"has options that are not known: there are {_KNOWN}")
        return cls(
            scheme,
            host,
            port,
            _tls(ca_file) if scheme == "https" else None,
            namespace,
            f"{names[0]}/data/{'/'.join(names[1:])}",
            login,
        )

    def url(self, path: str) -> httpcore.URL:
        """The URL of a path of the server's API."""
        target = f"/v1/{quote(path)}"
        return httpcore.URL(scheme=self.scheme, host=self.host, port=self.port, target=target)


def _plain(name: str) -> bool:
    return name not in {"", ".", ".."}


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError:
        raise BackendUnusable("has a ca_file that has no certificates in PEM form") from None
