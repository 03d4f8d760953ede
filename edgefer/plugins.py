"""Find and import plug-ins: each module in the folder of a package is one, so a new plug-in needs no registration.

    names("edgefer.workstation.quantization.schemes")            # ('dynamic', 'float16', 'float32', ...)
    load("edgefer.workstation.quantization.schemes", "int8")     # the module
    read_constant("edgefer.workstation.quantization.schemes", "int8", "DESCRIPTION")     # without an import
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import keyword
import pkgutil
from types import ModuleType
from typing import Any

from edgefer.errors import UsageError

__all__ = ["file_stem", "load", "names", "parse_options", "read_constant"]


def names(package: str) -> tuple[str, ...]:
    """Return the sorted names of the plug-ins in ``package`` without importing them."""
    folder = importlib.import_module(package).__path__
    modules = (module.name for module in pkgutil.iter_modules(folder))
    return tuple(sorted(name.rstrip("_") for name in modules if not name.startswith("_")))


def file_stem(name: str) -> str:
    """Return the module name of a plug-in: ``name``, or ``name_`` if the name is a Python keyword."""
    return f"{name}_" if keyword.iskeyword(name) else name


def load(package: str, name: str) -> ModuleType:
    """Import the plug-in ``name`` of ``package``.

    Raises:
        UsageError: the package has no plug-in of this name; the message lists the existing ones.
    """
    known = names(package)
    if name not in known:
        kind = package.rpartition(".")[2]
        close = difflib.get_close_matches(name, known, n=1)
        raise UsageError(
            f"no {name!r} in {kind}",
            why=f"expected one of {', '.join(known)}" if known else f"{kind} is empty",
            hint=f"use {close[0]!r}" if close else f"use {known[0]!r}" if known else "",
        )
    return importlib.import_module(f"{package}.{file_stem(name)}")


def read_constant(package: str, name: str, constant: str) -> Any:
    """Return a module-level constant of a plug-in without importing the plug-in and its dependencies.

    Args:
        package: package of the plug-in.
        name: name of the plug-in.
        constant: name of the constant; the plug-in must assign a literal to it.

    Raises:
        LookupError: the plug-in does not assign a literal to the constant.
    """
    import ast

    for node in ast.parse(pkgutil.get_data(package, f"{file_stem(name)}.py") or b"").body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [constant]:
            with contextlib.suppress(ValueError):
                return ast.literal_eval(node.value)
    raise LookupError(f"{package}.{name} assigns no literal to {constant}")


def parse_options(text: str, *, option: str) -> tuple[str, dict[str, str]]:
    """Parse a name with options, such as "emulated:script=board.sh,folder=board".

    Args:
        text: NAME or NAME:KEY=VALUE,...
        option: option of the command line that has this value, for the error.

    Returns:
        The name, which may not exist, and its options.

    Raises:
        UsageError: an option has no value.
    """
    name, _, assignments = text.partition(":")
    options = {}
    for assignment in filter(None, assignments.split(",")):
        key, equals, value = assignment.partition("=")
        if not equals or not value:
            why = f"{assignment!r} is not KEY=VALUE"
            raise UsageError(f"{option} {text}", why=why, hint=f"{option} NAME:KEY=VALUE")
        options[key.strip()] = value
    return name, options
