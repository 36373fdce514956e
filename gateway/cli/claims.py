"""The command line's part for claims: `gateway keys generate`, `gateway sign` and `gateway verify`.

The functions are commands of a `typer.Typer`. What is wrong with keys, tokens and files is raised, as a
`ClaimsError` or an `OSError`, and told in words by whoever runs the commands.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.status import REFUSED
from gateway.host.component import MAX_SIZE, read_file
from gateway.units import parse_duration
from gateway.wasm.binary import Kind, classify
from gateway.wasm.claims import (
    Claims,
    KeyKind,
    KeyPair,
    Policy,
    PublicKey,
    examine,
    new_token_id,
    signing,
    summary,
)
from gateway.wasm.claims.errors import ClaimsError, UnreadableBinary
from gateway.wasm.claims.seed_file import is_private, read_seed, write_file, write_seed

__all__ = ["keys_generate", "sign", "verify"]

_OUTPUT_MODE: Final = 0o666

Binary = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A component or core module (app.wasm).", show_default=False
    ),
]


def keys_generate(
    *,
    kind: Annotated[
        KeyKind,
        typer.Option(
            "--kind", help="What the key stands for: accounts sign, modules are what is signed."
        ),
    ] = KeyKind.ACCOUNT,
    output: Annotated[
        Path | None,
        typer.Option(
            *("--output", "-o"),
            metavar="FILE",
            help="Where the seed is written, for its owner only. Default: the public key and .nk.",
            show_default=False,
        ),
    ] = None,
    print_seed: Annotated[
        bool,
        typer.Option("--print-seed", help="Print the seed. No file is written then without -o."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if there is one.")
    ] = False,
) -> None:
    """Make a key pair: print the public key, and write the seed, which is secret, to a file."""
    key = KeyPair.generate(kind)
    if output is None and not print_seed:
        output = Path(f"{key.public}.nk")
    if output is not None:
        write_seed(output, key, force=force)
    typer.echo(str(key.public))
    if print_seed:
        typer.echo(key.seed)
    if output is not None:
        typer.echo(f"the seed is in {output}: keep it secret", err=True)


def sign(
    source: Binary,
    *,
    issuer_seed: Annotated[
        Path,
        typer.Option(
            "--issuer-seed",
            metavar="FILE",
            help="The seed of who signs: an account, of gateway keys generate.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            *("--output", "-o"),
            metavar="FILE",
            help="Where the signed file is written; may be the same.",
            show_default=False,
        ),
    ],
    subject_seed: Annotated[
        Path | None,
        typer.Option(
            "--subject-seed",
            metavar="FILE",
            help="The seed of what is signed, of gateway keys generate --kind module: each release of it "
            "has the same subject then. Default: a new subject.",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="TIME",
            help="Until when the claims are valid: 30d from now, or 2030-01-31T12:00:00Z. Default: for ever.",
            show_default=False,
        ),
    ] = None,
    not_before: Annotated[
        str | None,
        typer.Option(
            "--not-before",
            metavar="TIME",
            help="From when on, likewise. Default: always.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What it is called.", show_default=False)
    ] = None,
    ver: Annotated[
        str | None,
        typer.Option("--ver", help="Its version, such as 0.3.1.", show_default=False),
    ] = None,
    rev: Annotated[
        int | None,
        typer.Option("--rev", help="A number that grows with each release.", show_default=False),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TEXT", help="A word. Repeatable.", show_default=False),
    ] = None,
    call_alias: Annotated[
        str | None,
        typer.Option("--call-alias", help="A name for other components.", show_default=False),
    ] = None,
) -> None:
    """Sign a component or core module: put a token into it, in the place of any that it has."""
    now = int(time.time())
    exp = _moment("--expires", expires, now)
    nbf = _moment("--not-before", not_before, now)
    if exp is not None and exp <= max(now, nbf or 0):
        earlier = "now" if nbf is None or nbf <= now else "--not-before"
        raise typer.BadParameter(f"must be later than {earlier}", param_hint="--expires")
    issuer = _read_key(issuer_seed)
    binary = _read(source)
    # Nothing is ever signed with the subject's seed, so one that is made here need not be kept.
    subject = _read_key(subject_seed) if subject_seed else KeyPair.generate(KeyKind.MODULE)
    claims = Claims.read(
        {
            "exp": exp,
            "jti": new_token_id(),
            "iat": now,
            "iss": str(issuer.public),
            "sub": str(subject.public),
            "nbf": nbf,
            "wascap": {
                "name": name,
                "hash": "",
                "tags": tags or None,
                "rev": rev,
                "ver": ver,
                "call_alias": call_alias,
            },
        }
    )
    try:
        signed = signing.sign(binary, claims, issuer)
    except ClaimsError as error:
        raise error.at(source) from error
    write_file(output, signed, mode=_OUTPUT_MODE, replace=True)
    typer.echo(f"{output}: signed by {issuer.public} for {subject.public}")


def verify(
    source: Binary,
    *,
    trusted_issuers: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-issuer",
            metavar="KEY",
            help="The public key of who may have signed it. Repeatable. Default: anyone.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the claims of a component or core module, and tell whether they hold.

    The exit status is 0 if it is signed, by an issuer that is trusted, and all is well, and else 2.
    """
    issuers = tuple(_issuer(text) for text in trusted_issuers or ())
    policy = Policy(require_signature=True, trusted_issuers=issuers)
    judgement = examine(_read(source), policy, time.time())
    typer.echo(str(source))
    for label, text in summary(judgement):
        typer.echo(f"  {label:<12}  {text}")
    if not judgement.accepted:
        raise typer.Exit(REFUSED)


def _issuer(text: str) -> PublicKey:
    try:
        return PublicKey.parse(text)
    except ClaimsError as error:
        raise typer.BadParameter(str(error), param_hint="--trusted-issuer") from error


def _moment(flag: str, text: str | None, now: int) -> int | None:
    """A time in seconds since 1970: a duration from `now`, or a date and time with its offset (RFC 3339)."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now + int(parse_duration(text))
        except ValueError as error:
            raise typer.BadParameter(
                f"{error}; or give a time like 2030-01-31T12:00:00Z", param_hint=flag
            ) from error
    if moment.tzinfo is None:
        raise typer.BadParameter(
            f'{text} has no time zone: write it like "2030-01-31T12:00:00Z"', param_hint=flag
        )
    return int(moment.timestamp())


def _read_key(path: Path) -> KeyPair:
    key = read_seed(path)
    if not is_private(path):
        typer.echo(f"warning: others can read the seed in {path}: chmod 600 it", err=True)
    return key


def _read(path: Path) -> bytes:
    binary = read_file(path)
    if binary is None:
        raise UnreadableBinary(f"{path}: larger than {MAX_SIZE >> 20} MiB, the most that is loaded")
    kind = classify(binary)
    if kind not in {Kind.COMPONENT, Kind.CORE_MODULE}:
        raise UnreadableBinary(
            f"{path}: this is {kind.description}. Give a component or core module in binary form (.wasm)."
        )
    return binary
