"""What `gateway inspect` prints: a component's digest, size, imports and exports, in the words of WIT.

Source: https://component-model.bytecodealliance.org/design/wit.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from time import time
from typing import Final

from gateway.bindings import provided
from gateway.host import wit
from gateway.host.component import Component, Source
from gateway.host.wit_text import Definitions, block, interface_lines
from gateway.rpc.method import Methods
from gateway.serving.handlers import MESSAGE_HANDLER, WATCHER
from gateway.serving.loaded import HANDLER, INCOMING_HANDLER
from gateway.wasm.claims import Policy, examine, summary
from gateway.wasm.wasip3 import supplied

__all__ = ["describe"]

_TRAPS: Final = "  // nothing provides this without a link: calling it traps"
_REFUSED: Final = "  // nothing can provide this: the component is not served"


def describe(path: Path, *, full: bool = False) -> str:
    """Describe the component in a file.

    It is compiled for that, which takes seconds if it is large, and nothing is kept.

    Args:
        path: the file.
        full: whether what is in the interfaces of WASI is told too, which are the same in every component.

    Raises:
        gateway.host.errors.ComponentError: the file holds no component that can be loaded.
    """
    source = Source(path)
    component = Component.alone(source, name=path.name)
    facts = [
        ("sha256", component.digest),
        ("size", f"{component.size} bytes"),
        *summary(examine(source.original, Policy(), time())),
    ]
    width = max(len(label) for label, _ in facts)
    lines = [f"component {path}", *(f"  {label:<{width}}  {text}" for label, text in facts)]
    methods = Methods(component.exports)
    of_toolchains = {each.name.partition("#")[0] for each in methods.left_out if not each.missed}
    # What is imported defines what is exported, and is told after it.
    seen = Definitions()
    imported, exported, folded = [], [], []
    for name, item in component.imports.items():
        head, notes = f"import {wit.extern_text(name, item)}", _notes(name, item)
        told = ["", *_item(head, name, item, seen, notes)]
        if full or not _is_of_wasi(name, item):
            imported += told
        else:
            folded.append(_folded(head, name, notes))
    for name, item in component.exports.items():
        head = f"export {wit.extern_text(name, item)}"
        told = ["", *_item(head, name, item, seen, {})]
        if full or not (_is_of_wasi(name, item) or name in of_toolchains):
            exported += told
        else:
            folded.append(_folded(head, name, {}))
    lines += [*exported, *imported]
    if folded:
        lines += ["", *folded, "", "What is in those: gateway inspect --full"]
    if source.concurrent and component.find_export(HANDLER) is not None:
        lines += ["", f"It is of WASI 0.3: its {HANDLER} answers HTTP requests."]
    elif component.find_export(INCOMING_HANDLER) is None:
        lines += ["", f"It exports no {INCOMING_HANDLER}, so it cannot answer HTTP requests."]
    if component.find_export(MESSAGE_HANDLER) is not None:
        lines += ["", "It handles messages: those of the subscriptions in messaging."]
    if component.find_export(WATCHER) is not None:
        lines += ["", "It is told of changes in stores: those that have watch = true in keyvalue."]
    if methods.served:
        lines += ["", "Called by JSON-RPC as"]
        lines += (f"  {method.short or method.name}" for method in methods.served)
    if methods.left_out:
        lines += ["", "Not served by JSON-RPC"]
        lines += (f"  {export.name}: {export.reason}" for export in methods.left_out)
    return "\n".join(lines)


def _is_of_wasi(name: str, item: wit.Item) -> bool:
    return isinstance(item, wit.Interface) and wit.interface_name(name, item).startswith("wasi:")


def _folded(head: str, name: str, notes: Mapping[str, str]) -> str:
    """An interface by its name alone, with what is to be said of it and of its functions."""
    missing = [function for function, note in notes.items() if note == _TRAPS and function != name]
    if name in notes or not missing:
        return f"{head};{notes.get(name, '')}"
    return f"{head};  // nothing provides {', '.join(missing)} without a link: calling those traps"


def _notes(name: str, item: wit.Item) -> dict[str, str]:
    """What is said of an import: of its functions that nothing provides, or of all of it."""
    interface = provided().interface(wit.interface_name(name, item))
    if interface is None or not isinstance(item, wit.Interface):
        return {name: _TRAPS}
    here = {*interface.functions, *supplied(interface.name, interface.version)}
    notes = dict.fromkeys(item.functions.keys() - here, _TRAPS)
    return notes if interface.key is None else {**notes, name: f"  // granted by {interface.key}"}


def _item(
    head: str, name: str, item: wit.Item, seen: Definitions, notes: Mapping[str, str]
) -> Iterator[str]:
    note = notes.get(name, "")
    match item:
        case wit.Interface():
            yield from block(head, interface_lines(name, item, seen, notes), note)
        case wit.Resource():
            yield f"{head}: resource;{note}"
        case wit.Function():
            yield f"{head}: {item};{note}"
        case str():
            yield f"{head}: {item};{note and _REFUSED}"
        case _:
            yield f"{head}: type {item};"
