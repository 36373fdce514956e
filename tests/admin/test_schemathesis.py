"""The API does what its document says: schemathesis, with all of its checks, finds nothing."""

from pathlib import Path

from tests.admin.fuzz import fuzz
from tests.admin.issuer import token


def test_nothing_is_found(url: str, folder: Path) -> None:
    fuzz(url, token(), folder / "app.wasm", examples=15)
