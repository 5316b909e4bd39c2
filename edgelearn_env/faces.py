"""Public names of a package that load when they are first asked for."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_face(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__` that hands on names from its modules.

    Args:
        package: its `__name__`.
        places: module of each name, relative to the package where it begins with a dot.
    """

    def attribute(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(places[name], package), name)

    return attribute
