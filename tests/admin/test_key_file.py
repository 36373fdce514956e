"""The file of the keys is looked at again."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.config.admin import AdminConfig
from gateway.config.key_file import INTERVAL, KeyFile
from gateway.config.token_keys import InvalidKeys
from tests.admin.issuer import AUDIENCE, ISSUER, jwk, write_jwks


class Clock:
    """Tells the time that it is set to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_jwks(tmp_path / "jwks", jwk("rsa", kid="old"))


@pytest.fixture
def file(path: Path, clock: Clock) -> KeyFile:
    return KeyFile(AdminConfig(jwks_file=path, issuer=ISSUER, audience=AUDIENCE), clock)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as records:
        yield records


def kids(file: KeyFile) -> list[str | None]:
    return [key.id for key in file.keys.keys]


def replace(path: Path, *keys: dict[str, Any]) -> None:
    """Puts another file in the place of one, as whoever rotates keys does."""
    write_jwks(path.with_suffix(".new"), *keys).replace(path)


def test_a_new_file_is_read_after_a_while(file: KeyFile, path: Path, clock: Clock) -> None:
    replace(path, jwk("rsa", kid="new"))
    clock.now += INTERVAL - 0.1
    assert kids(file) == ["old"]
    clock.now += 0.1
    assert kids(file) == ["new"]


def test_a_link_that_moves_is_a_new_file(tmp_path: Path, clock: Clock) -> None:
    # Kubernetes changes the files of a mounted secret so.
    for kid in ("old", "new"):
        write_jwks(tmp_path / kid, jwk("rsa", kid=kid))
    link = tmp_path / "jwks"
    link.symlink_to("old")
    file = KeyFile(AdminConfig(jwks_file=link, issuer=ISSUER, audience=AUDIENCE), clock)
    other = tmp_path / "link"
    other.symlink_to("new")
    other.replace(link)
    clock.now += INTERVAL
    assert kids(file) == ["new"]


def test_it_is_read_only_when_it_has_changed(
    file: KeyFile, path: Path, clock: Clock, logs: list[Any]
) -> None:
    before = file.keys
    clock.now += INTERVAL
    assert file.keys is before
    os.utime(path)
    clock.now += INTERVAL
    assert file.keys is not before
    assert [record["event"] for record in logs] == ["admin keys read again"]


@pytest.mark.parametrize("damage", ["{", '{"keys": []}', None])
def test_a_file_without_keys_leaves_the_old_ones(
    file: KeyFile, path: Path, clock: Clock, logs: list[Any], damage: str | None
) -> None:
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage)
    for _ in range(3):
        clock.now += INTERVAL
        assert kids(file) == ["old"]
    (told,) = logs  # once, not every time
    assert told["log_level"] == "error"
    assert str(path) in told["reason"]
    replace(path, jwk("rsa", kid="new"))
    clock.now += INTERVAL
    assert kids(file) == ["new"]


def test_ignored_keys_are_told(path: Path, clock: Clock, logs: list[Any]) -> None:
    replace(path, jwk("rsa", kid="1"), {"kty": "oct", "k": "c2VjcmV0"})
    KeyFile(AdminConfig(jwks_file=path, issuer=ISSUER, audience=AUDIENCE), clock)
    assert [record["log_level"] for record in logs] == ["warning"]
    assert "c2VjcmV0" not in str(logs)


def test_there_must_be_keys_to_begin_with(tmp_path: Path) -> None:
    config = AdminConfig(jwks_file=tmp_path / "jwks", issuer=ISSUER, audience=AUDIENCE)
    with pytest.raises(InvalidKeys, match="No such file"):
        KeyFile(config)
