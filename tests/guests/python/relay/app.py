"""The exports `types` and `outcomes` of `rpc.wit`, which are the imports of the same names."""

import inspect
from types import ModuleType
from typing import Any

from wit_world import exports
from wit_world.imports import outcomes, types


def _relayed(module: ModuleType) -> Any:
    """A base class with a method for each function of an import."""
    functions = {
        name: staticmethod(function)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
    }
    return type(module.__name__, (), functions)


class Types(_relayed(types), exports.Types):
    """The export `types`."""


class Outcomes(_relayed(outcomes), exports.Outcomes):
    """The export `outcomes`."""
