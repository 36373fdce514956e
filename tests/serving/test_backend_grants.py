"""What a component is granted of backends, and why not."""

from __future__ import annotations

import pytest

from gateway.app import verify
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError
from tests.harness import GuestPath


def test_all_that_cannot_be_used_is_told_at_once(guest: GuestPath) -> None:
    source = guest("c/hello")
    component = ComponentConfig.model_validate(
        {
            "name": "shop",
            "source": source,
            "keyvalue": {"a": "memory:", "b": "nowhere:", "c": "sqlite:"},
            "blobstore": {"*": "nowhere:"},
            "secrets": {"token": "env:NOT_SET_ANYWHERE"},
            "messaging": "nowhere:",
        }
    )
    with pytest.raises(ComponentError) as refused:
        verify(GatewayConfig(components=(component,)))
    lines = str(refused.value).splitlines()
    told = ('keyvalue "b"', 'keyvalue "c"', 'blobstore "*"', 'secrets "token"', "messaging")
    assert len(lines) == len(told)
    for line, what in zip(lines, told, strict=True):
        assert line.startswith(f"{source}: {what} of component shop: ")
