"""Builds guests: `python -m tests.guests.build [NAME...]`, all of them without a name.

A component is kept in `build/` under the name of its guest and a digest of all that it is made of:
sources, versions of the tools, and the code here that runs them. What is there is up to date, and
what was interrupted never gets its name.

Guests with an interpreter in them are compiled too, as gateways keep them, once they are built: no test has to
wait until that is done, which takes many seconds of both processors.
"""

# ruff: noqa: T201 - a program, whose output is what it prints

import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.compiled import compiled
from tests.guests import modules, new, toolchains, wit
from tests.guests.cargo import Crate
from tests.guests.guest import Guest
from tests.guests.python_0_3 import Python03
from tests.guests.toolchains import GUESTS, BuildFailed, Toolchain, Unavailable

LARGE: Final = 10 << 20
"""Bytes of a guest that has an interpreter in it."""

MODULAR: Final = frozenset({"python/probe", "python-0-3/concurrent"})
"""Those that are served in development too (`tests/development/test_modules.py`)."""

IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}


def _find() -> Mapping[str, Guest]:
    kinds: Sequence[tuple[str, Toolchain]] = [
        ("c/*.c", toolchains.C()),
        ("js/*.js", toolchains.JavaScript()),
        ("python/*", toolchains.Python()),
        ("python-0-3/*", Python03()),
        ("rust/*", Crate()),
        ("wat/*.wat", toolchains.Wat()),
    ]
    guests = [
        Guest(str(source.relative_to(GUESTS).with_suffix("")), source, toolchain)
        for pattern, toolchain in kinds
        for source in sorted(GUESTS.glob(pattern))
    ]
    guests += [
        Guest(f"examples/{program.parent.name}", program.parent, toolchains.Example())
        for program in sorted(wit.ROOT.glob("examples/*/app.py"))
    ]
    guests += [
        Guest(f"new/{language}-{kind}", new.FILES / language, new.NewProject(language, kind))
        for language, kind in new.BUILT
    ]
    # These first: the C library takes longer than all else.
    return modules.ALL | {guest.name: guest for guest in guests}


ALL = _find()


def _report(name: str) -> bool:
    """Builds one guest and prints what came of it; whether that is good enough."""
    start = time.monotonic()
    try:
        was_there = ALL[name].path.exists()
        built = ALL[name].build()
    except Unavailable as missing:
        print(f"{name}: not built. {missing}", flush=True)
        return not IN_CI
    except BuildFailed as failed:
        print(f"{name}: failed. {failed}", flush=True)
        return False
    if not was_there and built.stat().st_size > LARGE:
        compiled(built)
        if name in MODULAR:
            compiled(built, modular=True)
    seconds = time.monotonic() - start
    print(f"{name}: {built.relative_to(wit.ROOT)} ({seconds:.1f} s)", flush=True)
    return True


def main(names: Sequence[str]) -> int:
    """Builds the named guests, or all.

    Returns:
        The exit code: 0 if each was built, or could not be for want of a tool outside of CI.
    """
    if unknown := set(names) - set(ALL):
        print(f"no such guest: {', '.join(sorted(unknown))}. There are: {', '.join(ALL)}")
        return 2
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return 0 if all(list(pool.map(_report, names or ALL))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
