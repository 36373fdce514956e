"""Counter: a component that keeps numbers in a key-value store, whichever its operator has chosen.

The gateway calls a function of `WitWorld` once for each request, in a fresh instance of the component: what should
be there for the next request is in the store.

`wit_world` and `componentize_py_types` are made from `wit/` while the component is built. To have
them on disk too, for an editor or a type checker:

    componentize-py -d wit -w counter bindings .
"""

import wit_world
from componentize_py_types import Err
from wit_world.imports import atomics, store

# What the component calls its store. The operator's configuration says where that is.
STORE = "default"


class WitWorld(wit_world.WitWorld):
    """The exports of the world in `wit/counter.wit`. An `Err` that is raised is the err of their results."""

    def visit(self, page: str) -> int:
        """Counts a visit. Of many at once none is lost: the store adds, and not this component."""
        try:
            with store.open(STORE) as bucket:
                return atomics.increment(bucket, page, 1)
        except Err as error:
            raise Err(reason(error)) from error

    def visits(self) -> list[tuple[str, int]]:
        """All pages and their visits. Keys come in pages themselves, each of which says where the next begins."""
        found = []
        try:
            with store.open(STORE) as bucket:
                cursor = None
                while True:
                    page = bucket.list_keys(cursor)
                    for key in page.keys:
                        value = bucket.get(key)
                        if value is not None:
                            found.append((key, int(value)))
                    cursor = page.cursor
                    if cursor is None:
                        return found
        except Err as error:
            raise Err(reason(error)) from error


def reason(error: Err) -> str:
    """What went wrong with the store, in words."""
    match error.value:
        case store.Error_NoSuchStore():
            return f'there is no store "{STORE}": start the gateway with --keyvalue {STORE}=memory:'
        case store.Error_AccessDenied():
            return f'the store "{STORE}" may not be changed'
        case store.Error_Other(message):
            return message
        case other:
            return str(other)
