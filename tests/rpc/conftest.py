"""What the tests of JSON-RPC share."""

from pathlib import Path

import pytest

from tests.rpc.mirror import write


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A component with a function for each of `tests.rpc.mirror.TAKES`."""
    return write(tmp_path_factory.mktemp("mirror") / "mirror.wat")
