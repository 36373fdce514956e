"""How a core module names what its world imports and exports.

There are two conventions. The one that every toolchain follows today, which wit-component calls
legacy, and the standard one that is to replace it (`cm32p2`: component model, 32 bits, preview 2).
One module may use both: libraries that are linked together need not agree.

| | legacy | standard |
|---|---|---|
| imported interface, as a core module name | `wasi:io/poll@0.2.12` | `cm32p2|wasi:io/poll@0.2` |
| the world's own imports | `$root` | `cm32p2` |
| what an exported resource needs | `[export]test:a/b@1.0.0` | `cm32p2|_ex_test:a/b@1` |
| its intrinsics | `[resource-drop]r` | `r_drop` |
| function of an exported interface | `test:a/b@1.0.0#f` | `cm32p2|test:a/b@1|f` |
| the world's own export | `f` | `cm32p2||f` |
| after a call | `cabi_post_...` | `..._post` |
| destructor | `test:a/b@1.0.0#[dtor]r` | `cm32p2|test:a/b@1|r_dtor` |

Source: Component Model, `BuildTargets.md` (standard); wit-component, `validation.rs` (legacy).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.wasm.binary.core_module import CoreModule
from gateway.wasm.binary.extern import Sort
from gateway.wasm.componentize.merge import canonical_name
from gateway.wasm.componentize.world import Place

__all__ = [
    "INITIALIZE",
    "REALLOC",
    "REALLOC_FOR_EXPORTS",
    "REALLOC_FOR_IMPORTS",
    "CoreExportNames",
    "ResourceOperation",
    "destructor",
    "imported_place",
    "lifted",
    "memory",
    "post_return",
    "resource_builtin",
]

_STANDARD: Final = "cm32p2"

_MEMORY: Final = ("memory", "cm32p2_memory")
REALLOC: Final = ("cabi_realloc", "cm32p2_realloc", "canonical_abi_realloc")
REALLOC_FOR_IMPORTS: Final = ("cabi_import_realloc", *REALLOC)
REALLOC_FOR_EXPORTS: Final = ("cabi_export_realloc", *REALLOC)
INITIALIZE: Final = ("_initialize", "cm32p2_initialize")


class ResourceOperation(IntEnum):
    """What a core module can do with a resource type; the value is the opcode of `canon`."""

    NEW = 0x02
    DROP = 0x03
    REP = 0x04


@dataclass(frozen=True, slots=True)
class CoreExportNames:
    """The names that a core module may export one thing by, the likelier first."""

    names: tuple[str, ...]

    def find(self, module: CoreModule) -> str | None:
        """The one that it does export a function by."""
        return next((name for name in self.names if module.exports_a(Sort.CORE_FUNC, name)), None)


def memory(module: CoreModule) -> str | None:
    """What a module exports its memory as, if it does."""
    return next((name for name in _MEMORY if module.exports_a(Sort.CORE_MEMORY, name)), None)


def imported_place(module: str) -> Place:
    """What the first name of an import stands for. Its version is the one written there."""
    if module.startswith(_STANDARD):
        rest = module.removeprefix(_STANDARD).removeprefix("|")
        return Place(rest.startswith("_ex_"), rest.removeprefix("_ex_"))
    if module == "$root":
        return Place(False, "")
    return Place(module.startswith("[export]"), module.removeprefix("[export]"))


def resource_builtin(module: str, name: str) -> tuple[ResourceOperation, str] | None:
    """The resource and what is done with it, if the import `name` of `module` is such a thing."""
    for operation in ResourceOperation:
        prefix, suffix = f"[resource-{operation.name.lower()}]", f"_{operation.name.lower()}"
        if module.startswith(_STANDARD):
            if name.endswith(suffix):
                return operation, name.removesuffix(suffix)
        elif name.startswith(prefix):
            return operation, name.removeprefix(prefix)
    return None


def lifted(place: Place, function: str) -> CoreExportNames:
    """What an exported function is called in the module."""
    legacy = f"{place.interface}#{function}" if place.interface else function
    return CoreExportNames((legacy, _standard(place, function)))


def post_return(place: Place, function: str) -> CoreExportNames:
    """What is called after an exported function, with its result."""
    legacy, standard = lifted(place, function).names
    return CoreExportNames((f"cabi_post_{legacy}", f"{standard}_post"))


def destructor(place: Place, resource: str) -> CoreExportNames:
    """What is called when the last handle of an exported resource is gone."""
    legacy = f"{place.interface}#[dtor]{resource}"
    return CoreExportNames((legacy, _standard(place, f"{resource}_dtor")))


def _standard(place: Place, name: str) -> str:
    return f"{_STANDARD}|{canonical_name(place.interface)}|{name}"
