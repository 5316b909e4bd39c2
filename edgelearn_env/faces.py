"""Public names of a package that load when they are first asked for."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_face(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` that hands on names from its modules, and its `__dir__` that lists them.

    Args:
        package: its `__name__`.
        places: module of each name, relative to the package where it begins with a dot.
    """

    def attribute(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(places[name], package), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places})

    return attribute, names
