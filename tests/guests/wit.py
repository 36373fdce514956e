"""WIT documents as one text, the form that every tool takes.

The signatures of WASI are kept once: those of a proxy with the example that ships them
(`examples/hello/wit/deps`), the rest in `tests/guests/wit`. A package of a file's own may be written
in another file as a nested block, so a world and all it needs fit in one document.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The version that the files are written in.
WRITTEN = "0.2.12"

PACKAGES = sorted(
    [*ROOT.glob("examples/hello/wit/deps/*.wit"), *ROOT.glob("tests/guests/wit/*.wit")]
)

_PACKAGE = re.compile(r"^package (?P<name>[^;]+);$", re.MULTILINE)


def document(world: Path, version: str = WRITTEN) -> str:
    """Joins the file of a world and the packages of WASI, all of WASI in one version.

    Args:
        world: A file with one package, whose worlds use `wasi:*@0.2.12`.
        version: The version of WASI to write instead, such as `0.2.0`. Interfaces have only gained
            functions since then, so a world that uses none of the newer ones is true to it.

    Returns:
        The text of the world's package, then one nested package for each of WASI.
    """
    parts = [world.read_text(), *(_nested(path.read_text()) for path in PACKAGES)]
    return "\n".join(parts).replace(f"@{WRITTEN}", f"@{version}")


def _nested(text: str) -> str:
    return _PACKAGE.sub(r"package \g<name> {", text, count=1) + "}\n"
