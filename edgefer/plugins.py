"""Plug-ins by file name: the entries of a folder are its modules, and a new one needs no list to be edited.

    names("edgefer.workstation.quantization.schemes")            # ('float32', 'int8')
    load("edgefer.workstation.quantization.schemes", "int8")     # the module
    read_constant("edgefer.workstation.quantization.schemes", "int8", "DESCRIPTION")     # without importing it
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import pkgutil
from types import ModuleType
from typing import Any

from edgefer.errors import UsageError

__all__ = ["load", "names", "read_constant"]


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


def read_constant(package: str, name: str, constant: str) -> Any:
    """Return a module-level constant of a plug-in, without importing the plug-in and what it depends on.

    Args:
        package: the package of the plug-in.
        name: the plug-in.
        constant: the constant, which is assigned a literal.

    Raises:
        LookupError: the plug-in does not assign a literal to the constant.
    """
    import ast

    for node in ast.parse(pkgutil.get_data(package, f"{name}.py") or b"").body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [constant]:
            with contextlib.suppress(ValueError):
                return ast.literal_eval(node.value)
    raise LookupError(f"{package}.{name} assigns no literal to {constant}")
