"""What every place for secrets does: this is what `SecretSource` says, for each that there is."""

from __future__ import annotations

import pytest

from gateway.capabilities.backend import BackendError, BackendUnusable
from gateway.capabilities.secrets import MAX_SECRET
from tests.capabilities.secrets.conftest import NAME, Place, opened

pytestmark = pytest.mark.anyio


async def test_a_secret_is_read_whenever_it_is_revealed(place: Place) -> None:
    place.put("schlüssel\n")
    async with opened(place.url) as source:
        source.check(NAME)
        assert await source.read(NAME) == "schlüssel\n".encode()
        place.put("")
        assert await source.read(NAME) == b""
        place.put("x" * MAX_SECRET)
        assert await source.read(NAME) == b"x" * MAX_SECRET


async def test_one_that_is_missing_is_named_when_it_is_looked_for(place: Place) -> None:
    async with opened(place.url) as source:
        with pytest.raises(BackendUnusable):
            source.check(NAME)
        place.put("here")
        source.check(NAME)


async def test_one_that_has_vanished_is_an_error_with_a_reason(place: Place) -> None:
    place.put("here")
    async with opened(place.url) as source:
        source.check(NAME)
        place.remove()
        with pytest.raises(BackendError, match="cannot be read any more") as failed:
            await source.read(NAME)
        assert failed.value.reason is not None
        place.put("back")
        assert await source.read(NAME) == b"back"


async def test_no_more_is_read_than_a_secret_may_have(place: Place) -> None:
    place.put("x" * (MAX_SECRET + 1))
    async with opened(place.url) as source:
        with pytest.raises(BackendUnusable, match=f"more than {MAX_SECRET} bytes"):
            source.check(NAME)
        with pytest.raises(BackendError, match="cannot be read any more"):
            await source.read(NAME)
