"""`gateway keys generate`, `gateway sign` and `gateway verify`."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Final

import pytest
import typer
from typer.testing import CliRunner, Result

from gateway.cli import claims as claims_cli
from gateway.wasm.claims import KeyKind, KeyPair, verify
from gateway.wasm.claims.errors import ClaimsError, InvalidClaims, InvalidKey, UnreadableBinary
from gateway.wasm.claims.seed_file import write_seed
from tests.wasm.claims.elsewhere import (
    ACCOUNT,
    ACCOUNT_SEED,
    OTHER_ACCOUNT,
    SUBJECT,
    SUBJECT_SEED,
    custom,
    signed,
)
from tests.wasm.claims.files import COMPONENT, FILES, MODULE

app = typer.Typer()
keys = typer.Typer()
keys.command("generate")(claims_cli.keys_generate)
# Without a second command, typer takes the only one for the program itself.
keys.command("none")(lambda: None)
app.add_typer(keys, name="keys")
app.command("sign")(claims_cli.sign)
app.command("verify")(claims_cli.verify)

LATE: Final = 4_000_000_000  # in the year 2096


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result, kind: type[ClaimsError]) -> str:
    assert isinstance(result.exception, kind)
    return str(result.exception)


@pytest.fixture
def issuer(tmp_path: Path) -> Path:
    path = tmp_path / "account.nk"
    write_seed(path, KeyPair.from_seed(ACCOUNT_SEED))
    return path


@pytest.fixture
def module_seed(tmp_path: Path) -> Path:
    path = tmp_path / "module.nk"
    write_seed(path, KeyPair.from_seed(SUBJECT_SEED))
    return path


@pytest.fixture(params=FILES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "app.wasm"
    path.write_bytes(FILES[request.param])
    return path


class TestKeys:
    def test_are_written_for_their_owner(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = run("keys", "generate")
        assert result.exit_code == 0
        public = result.stdout.strip()
        (path,) = tmp_path.iterdir()
        assert path.name == f"{public}.nk"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key = KeyPair.from_seed(path.read_text().strip())
        assert str(key.public) == public
        assert key.public.kind is KeyKind.ACCOUNT
        assert key.seed not in result.output
        assert f"{path.name}: keep it secret" in result.stderr

    @pytest.mark.parametrize("kind", KeyKind)
    def test_are_of_the_kind_that_is_asked_for(self, tmp_path: Path, kind: KeyKind) -> None:
        path = tmp_path / "key.nk"
        result = run("keys", "generate", "--kind", kind, "-o", path)
        assert result.exit_code == 0
        assert KeyPair.from_seed(path.read_text().strip()).public.kind is kind

    def test_are_printed_only_if_that_is_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = run("keys", "generate", "--print-seed")
        public, seed = result.stdout.split()
        assert str(KeyPair.from_seed(seed).public) == public
        assert list(tmp_path.iterdir()) == []

    def test_are_printed_and_written_if_both_are(self, tmp_path: Path) -> None:
        path = tmp_path / "key.nk"
        result = run("keys", "generate", "--print-seed", "-o", path)
        assert result.stdout.split()[1] == path.read_text().strip()

    def test_replace_a_file_only_by_force(self, tmp_path: Path) -> None:
        path = tmp_path / "key.nk"
        path.write_text("mine")
        assert isinstance(run("keys", "generate", "-o", path).exception, FileExistsError)
        assert path.read_text() == "mine"
        assert run("keys", "generate", "-o", path, "--force").exit_code == 0
        assert path.read_text() != "mine"

    def test_of_other_kinds_are_wrong_usage(self) -> None:
        result = run("keys", "generate", "--kind", "curve")
        assert result.exit_code == 2
        assert "'account'" in result.stderr


class TestSign:
    def test_then_verify(self, source: Path, issuer: Path, module_seed: Path) -> None:
        output = source.with_name("signed.wasm")
        before = int(time.time())
        result = run(
            *("sign", source, "--issuer-seed", issuer, "--subject-seed", module_seed),
            *("--expires", "30d", "--not-before", "1s", "--name", "echo", "--ver", "0.1.2"),
            *("--rev", "-7", "--tag", "a", "--tag", "b", "--call-alias", "echo/x", "-o", output),
        )
        assert result.exit_code == 0
        assert result.stdout == f"{output}: signed by {ACCOUNT} for {SUBJECT}\n"
        assert result.stderr == ""
        found = verify(output.read_bytes(), time.time() + 2)
        assert found is not None
        assert found.faults == ()
        claims = found.claims
        assert before <= claims.iat <= time.time()
        assert (claims.exp, claims.nbf) == (claims.iat + 30 * 86_400, claims.iat + 1)
        assert (claims.iss, claims.sub, claims.wascap_revision) == (ACCOUNT, SUBJECT, 3)
        assert claims.wascap.model_dump(exclude={"hash"}) == {
            "name": "echo",
            "tags": ("a", "b"),
            "caps": None,
            "rev": -7,
            "ver": "0.1.2",
            "call_alias": "echo/x",
            "prov": False,
        }

    def test_says_nothing_that_it_was_not_told(self, source: Path, issuer: Path) -> None:
        run("sign", source, "--issuer-seed", issuer, "-o", source)
        found = verify(source.read_bytes(), time.time())
        assert found is not None
        claims = found.claims
        assert (claims.exp, claims.nbf) == (None, None)
        told = claims.wascap.model_dump(exclude={"hash", "prov"}, exclude_none=True)
        assert told == {}

    def test_makes_a_subject_of_its_own_each_time(self, source: Path, issuer: Path) -> None:
        subjects = set()
        for name in ("a", "b"):
            output = source.with_name(name)
            assert run("sign", source, "--issuer-seed", issuer, "-o", output).exit_code == 0
            found = verify(output.read_bytes(), time.time())
            assert found is not None
            subjects.add(found.claims.sub)
        assert len(subjects) == 2
        assert all(subject.startswith("M") for subject in subjects)

    def test_replaces_the_token(self, source: Path, issuer: Path) -> None:
        plain = source.read_bytes()
        source.write_bytes(signed(plain, exp=1, iss=OTHER_ACCOUNT) + custom("jwt", b"x"))
        assert run("sign", source, "--issuer-seed", issuer, "-o", source).exit_code == 0
        assert source.read_bytes().startswith(plain)
        assert run("verify", source).exit_code == 0
        assert source.read_bytes().count(b"jwt") == 1

    def test_takes_times_of_the_calendar(self, source: Path, issuer: Path) -> None:
        result = run(
            *("sign", source, "--issuer-seed", issuer, "-o", source),
            *("--expires", "2096-10-02T09:06:40+02:00", "--not-before", "2026-01-01T00:00:00Z"),
        )
        assert result.exit_code == 0
        found = verify(source.read_bytes(), time.time())
        assert found is not None
        assert (found.claims.exp, found.claims.nbf) == (LATE, 1_767_225_600)

    @pytest.mark.parametrize(
        ("flags", "reason"),
        [
            (["--expires", "soon"], "is not a duration"),
            (["--expires", "-1s"], "is not a duration"),
            (["--expires", "0"], "is not longer than zero"),
            (["--expires", "2096-10-02T09:06:40"], "has no time zone"),
            (["--expires", "2020-01-01T00:00:00Z"], "must be later than now"),
            (["--expires", "1d", "--not-before", "1d"], "must be later than --not-before"),
            (["--expires", "1d", "--not-before", "2d"], "must be later than --not-before"),
            (["--not-before", "9999999999d"], "is longer than"),
            (["--expires", "0001-01-01T00:00:00+23:59"], "must be later than now"),
        ],
    )
    def test_refuses_times_that_make_no_sense(
        self, source: Path, issuer: Path, flags: list[str], reason: str
    ) -> None:
        output = source.with_name("signed.wasm")
        result = run("sign", source, "--issuer-seed", issuer, "-o", output, *flags)
        assert result.exit_code == 2
        assert reason in " ".join(result.stderr.replace("│", " ").split())
        assert not output.exists()

    @pytest.mark.parametrize(
        ("flags", "reason"),
        [
            (["--name", "x" * 2000], "wascap.name: "),
            (["--rev", "2147483648"], "wascap.rev: "),
        ],
    )
    def test_refuses_claims_that_nobody_could_read(
        self, source: Path, issuer: Path, flags: list[str], reason: str
    ) -> None:
        result = run("sign", source, "--issuer-seed", issuer, "-o", source, *flags)
        assert reason in refused(result, InvalidClaims)

    def test_refuses_other_files(self, tmp_path: Path, issuer: Path) -> None:
        path = tmp_path / "app.wat"
        path.write_text("(component)")
        result = run("sign", path, "--issuer-seed", issuer, "-o", tmp_path / "out.wasm")
        assert "in text form. Give a component or core module in binary form" in refused(
            result, UnreadableBinary
        )
        path.write_bytes(COMPONENT + b"\x00")
        result = run("sign", path, "--issuer-seed", issuer, "-o", tmp_path / "out.wasm")
        assert refused(result, UnreadableBinary).startswith(f"{path}: ")
        missing = run("sign", tmp_path / "none", "--issuer-seed", issuer, "-o", path)
        assert isinstance(missing.exception, FileNotFoundError)

    def test_refuses_what_is_no_seed(self, source: Path, issuer: Path) -> None:
        issuer.write_text(ACCOUNT)
        result = run("sign", source, "--issuer-seed", issuer, "-o", source)
        assert refused(result, InvalidKey).startswith(f"{issuer}: ")

    def test_warns_of_a_seed_that_others_can_read(self, source: Path, issuer: Path) -> None:
        issuer.chmod(0o644)
        result = run("sign", source, "--issuer-seed", issuer, "-o", source)
        assert result.exit_code == 0
        assert f"others can read the seed in {issuer}" in result.stderr
        assert ACCOUNT_SEED not in result.output


class TestVerify:
    def test_shows_claims(self, source: Path) -> None:
        source.write_bytes(signed(source.read_bytes()))
        result = run("verify", source, "--trusted-issuer", ACCOUNT)
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0] == str(source)
        assert f"  issuer        {ACCOUNT}" in lines
        assert "  content       as it was signed" in lines
        assert "refused" not in result.stdout

    @pytest.mark.parametrize(
        ("binary", "reason"),
        [
            (MODULE, "it is not signed"),
            (signed(MODULE, exp=1), "expired at 1970-01-01T00:00:01Z"),
            (signed(MODULE, nbf=LATE), "valid from 2096"),
            (signed(MODULE, wascap_hash="x"), "not the one that was signed"),
            (signed(MODULE, iss=OTHER_ACCOUNT), "the signature is not that of the issuer"),
            (MODULE + custom("jwt", b"x"), "three parts"),
            (COMPONENT + b"\x00", "the data ends too early"),
        ],
    )
    def test_tells_what_is_wrong(self, tmp_path: Path, binary: bytes, reason: str) -> None:
        path = tmp_path / "app.wasm"
        path.write_bytes(binary)
        result = run("verify", path)
        assert result.exit_code == 2
        assert reason in result.stdout
        assert "\n  refused       " in result.stdout

    def test_asks_for_one_of_the_issuers(self, source: Path) -> None:
        source.write_bytes(signed(source.read_bytes()))
        other = ("--trusted-issuer", OTHER_ACCOUNT)
        result = run("verify", source, *other)
        assert result.exit_code == 2
        assert "is not trusted" in result.stdout
        assert run("verify", source, *other, "--trusted-issuer", ACCOUNT).exit_code == 0

    @pytest.mark.parametrize("key", ["x", ACCOUNT[:-1] + "A", SUBJECT_SEED])
    def test_refuses_what_is_no_key(self, source: Path, key: str) -> None:
        result = run("verify", source, "--trusted-issuer", key)
        assert result.exit_code == 2
        assert "--trusted-issuer" in result.stderr
        assert SUBJECT_SEED not in result.output
