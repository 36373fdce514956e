"""The table `[admin]`: what is taken, and how a mistake is said."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.admin import AdminConfig
from gateway.config.problem import reason_of
from tests.admin.issuer import SECRET, jwk, pem, write_jwks

WITH_SECRET = {"secret_file": "secret"}
WITH_SHORT = {"secret_file": "short"}
GIVEN: dict[str, Any] = {"issuer": "https://issuer.example", "audience": "gateway"}


def read(base: Path, **table: Any) -> AdminConfig:
    return AdminConfig.model_validate(table, context={"base": base})


def problems(base: Path, **table: Any) -> dict[tuple[int | str, ...], str]:
    with pytest.raises(ValidationError) as refused:
        read(base, **table)
    return {
        error["loc"]: reason_of(error, AdminConfig)
        for error in refused.value.errors(include_url=False)
    }


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "short").write_text("hunter2")
    (tmp_path / "key.pem").write_bytes(pem("p256"))
    write_jwks(tmp_path / "jwks.json", jwk("rsa", kid="1"))
    return tmp_path


@pytest.mark.parametrize(
    ("key", "name"),
    [("secret_file", "secret"), ("public_key_file", "key.pem"), ("jwks_file", "jwks.json")],
)
def test_files_count_from_the_configuration(files: Path, key: str, name: str) -> None:
    config = read(files, **GIVEN, **{key: name})
    assert config.key_file == files / name
    assert len(config.read_keys().keys) == 1


def test_defaults(files: Path) -> None:
    config = read(files, **GIVEN, **WITH_SECRET)
    assert (config.leeway, config.algorithms) == (30.0, None)


@pytest.mark.parametrize(("leeway", "seconds"), [("0s", 0.0), (0, 0.0), ("5m", 300.0), (1.5, 1.5)])
def test_leeway(files: Path, leeway: object, seconds: float) -> None:
    assert read(files, **GIVEN, **WITH_SECRET, leeway=leeway).leeway == seconds


@pytest.mark.parametrize("leeway", ["5m1s", 301, "-1s", -1, False, "soon"])
def test_leeway_is_bounded(files: Path, leeway: object) -> None:
    assert set(problems(files, **GIVEN, **WITH_SECRET, leeway=leeway)) == {("leeway",)}


@pytest.mark.parametrize("given", [{}, {"secret_file": "secret", "jwks_file": "jwks.json"}])
def test_exactly_one_file(files: Path, given: dict[str, str]) -> None:
    ((where, reason),) = problems(files, **GIVEN, **given).items()
    assert where == ()
    assert "exactly one of secret_file, public_key_file and jwks_file" in reason


def test_issuer_and_audience_are_required(files: Path) -> None:
    assert problems(files, **WITH_SECRET) == {
        ("issuer",): "is required",
        ("audience",): "is required",
    }
    assert problems(files, **WITH_SECRET, issuer="", audience="") == {
        ("issuer",): "must not be empty",
        ("audience",): "must not be empty",
    }


def test_short_secret(files: Path) -> None:
    ((where, reason),) = problems(files, **GIVEN, **WITH_SHORT).items()
    assert where == ("secret_file",)
    assert "7 bytes, and HS256 needs at least 32 (RFC 7518, section 3.2)" in reason
    assert "hunter2" not in reason


@pytest.mark.parametrize(
    "given",
    [
        {"secret_file": "key.pem"},
        {"public_key_file": "secret"},
        {"jwks_file": "key.pem"},
        {"jwks_file": "missing"},
        {"jwks_file": "."},
    ],
)
def test_wrong_file(files: Path, given: dict[str, str]) -> None:
    ((where, reason),) = problems(files, **GIVEN, **given).items()
    assert where == tuple(given)
    assert reason.endswith(str(files / next(iter(given.values()))))


@pytest.mark.parametrize("algorithms", [["none"], ["HS1"], "HS256", ["ES256K"]])
def test_unknown_algorithms(files: Path, algorithms: object) -> None:
    found = problems(files, **GIVEN, **WITH_SECRET, algorithms=algorithms)
    assert {where[0] for where in found} == {"algorithms"}


@pytest.mark.parametrize("algorithms", [["RS256"], []])
def test_algorithms_that_are_for_no_key(files: Path, algorithms: list[str]) -> None:
    ((where, reason),) = problems(files, **GIVEN, **WITH_SECRET, algorithms=algorithms).items()
    assert where == ()
    assert "algorithms" in reason or "HS256, HS384, HS512 would be" in reason


def test_unknown_key(files: Path) -> None:
    found = problems(files, **GIVEN, **WITH_SECRET, audiance="x")
    assert found == {("audiance",): 'is unknown; did you mean "audience"?'}


def test_built_in_code_it_may_come_before_its_files(tmp_path: Path) -> None:
    assert AdminConfig(**GIVEN, secret_file=tmp_path / "later").key_file == tmp_path / "later"
