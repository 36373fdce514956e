"""Programs of Prometheus that the tests run."""

import shutil

import pytest


def program(name: str) -> str:
    """The path of a program of Debian's package `prometheus`; without it, the test is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian, Ubuntu: apt-get install prometheus)")
    return path
