"""Plug-ins by file name: the entries of a folder are its modules, and a new one needs no list to be edited.

    names("edgefer.workstation.quantization.schemes")            # ('float32', 'int8')
    load("edgefer.workstation.quantization.schemes", "int8")     # the module
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from edgefer.errors import UsageError

__all__ = ["load", "names"]


def names(package: str) -> tuple[str, ...]:
    """Sorted names of the modules in ``package``; none of them is imported."""
    folder = importlib.import_module(package).__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folder) if not module.name.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """Import the entry ``name`` of ``package``.

    Raises:
        UsageError: there is no such entry; the message names those that exist.
    """
    known = names(package)
    if name not in known:
        kind = package.rpartition(".")[2]
        close = difflib.get_close_matches(name, known, n=1)
        raise UsageError(
            f"no entry {name!r} in {kind}",
            why=f"there are {', '.join(known)}",
            hint=f"write {close[0]!r}" if close else f"write {known[0]!r}" if known else "",
        )
    return importlib.import_module(f"{package}.{name}")
