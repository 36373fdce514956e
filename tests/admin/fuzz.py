"""Runs schemathesis against an admin API."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.harness import PATIENCE

_CONFIG: Final = """
hooks = "tests.admin.schemathesis_hooks"
# A schema cannot say that a file exists. The check in the hooks says what else 422 may be for.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "403", "404", "409", "422"]
"""


def fuzz(url: str, token: str, source: Path, *, examples: int) -> None:
    """Checks that an API does what its document says, with all checks that there are.

    Args:
        url: where the API is.
        token: what opens it.
        source: a component that can be loaded.
        examples: how many requests are generated for each operation, at most.

    Raises:
        AssertionError: it does not; the message is the report.
    """
    with TemporaryDirectory() as folder:
        config = Path(folder, "schemathesis.toml")
        config.write_text(_CONFIG)
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
        command += ["run", f"{url}/openapi.json", "--checks", "all", "--mode", "all", "--no-color"]
        command += ["--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure"]
        command += ["--max-examples", str(examples), "--seed", "1"]
        command += ["--header", f"Authorization: Bearer {token}"]
        run = subprocess.run(
            command,
            env=os.environ | {"ADMIN_TEST_SOURCE": str(source), "ADMIN_TEST_FOLDER": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
    assert run.returncode == 0, run.stdout
