"""Which sources a result comes from: a digest that changes wherever one of them does."""

import ast
import fnmatch
import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = "edgelearn_env"


@functools.cache
def source_digest(*modules: str, without: tuple[str, ...] = ()) -> str:
    """Sixteen hexadecimal digits of all sources of this package that these modules import, directly or not.

    Imports within functions count too.

    Args:
        modules: where to begin.
        without: names of modules, `*` for any parts of them, that do not count, nor what they alone import.
    """
    sources: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        counts = module not in sources and not any(fnmatch.fnmatchcase(module, pattern) for pattern in without)
        path = _source_of(module) if counts else None
        if path is not None:
            sources[module] = path.read_bytes()
            waiting += _imports_of(sources[module])
    content = hashlib.sha256()
    for module in sorted(sources):
        content.update(module.encode() + b"\0" + sources[module] + b"\0")
    return content.hexdigest()[:16]


def _source_of(module: str) -> Path | None:
    """The file of a module; None if there is no such module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a name within a module, which is no package
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _imports_of(source: bytes) -> Iterator[str]:
    """Modules of this package that a source imports: of a package's modules themselves, not the package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if _source_of(inner) is not None else str(node.module)
