"""Architectures in Python files of the user, beside the catalog in networks/architectures.

    name = register_file(Path("my_net.py"))         # "my_net-1a2b3c4d5e6f:build", the name in the settings
    build = find_build(name)
    source_of(name)                                 # stored in the run folder, so that later commands find it

The name contains a hash of the source. A run therefore keeps its architecture, even if the file of the user changes.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from edgefer.errors import DataError, UsageError

__all__ = [
    "STORED_NAME", "find_build", "is_file_architecture", "register_beside", "register_file", "register_source",
    "source_of",
]  # fmt: skip

STORED_NAME = "architecture.py"
NAME = re.compile(r"(?P<stem>.+)-(?P<digest>[0-9a-f]{12}):(?P<function>[A-Za-z_]\w*)")
# Source and module by hash.
_sources: dict[str, bytes] = {}
_modules: dict[str, ModuleType] = {}


def register_file(path: Path, function: str = "build") -> str:
    """Read a Python file that defines an architecture, and return its name for the settings.

    Args:
        path: the file; a function in it is called as ``build`` of an architecture plug-in.
        function: name of that function.

    Raises:
        UsageError: the file cannot be read or run, or has no such function.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"cannot read the architecture {path}", why=why, hint="--architecture my_net.py") from error
    name = f"{path.stem}-{register_source(source)}:{function}"
    find_build(name)
    return name


def register_source(source: bytes) -> str:
    """Make a source known to find_build(), and return its hash; the source does not run yet."""
    digest = hashlib.sha256(source).hexdigest()[:12]
    _sources[digest] = source
    return digest


def register_beside(settings: Path) -> None:
    """Make the source in the run folder of a settings file known, if there is one."""
    source = settings.with_name(STORED_NAME)
    if source.is_file():
        register_source(source.read_bytes())


def is_file_architecture(name: str) -> bool:
    """Return True for a name of register_file()."""
    return NAME.fullmatch(name) is not None


def source_of(name: str) -> bytes | None:
    """Return the source of an architecture, or None for one of the catalog."""
    match = NAME.fullmatch(name)
    return None if match is None else _sources.get(match["digest"])


def find_build(name: str) -> Callable[..., Any]:
    """Return the function that builds an architecture; its module runs once.

    Raises:
        DataError: the source is not known.
        UsageError: the source cannot run, or has no such function.
    """
    match = NAME.fullmatch(name)
    source = source_of(name)
    if match is None or source is None:
        hint = f"restore {STORED_NAME} in the run folder, or --architecture FILE.py"
        raise DataError(f"the source of the architecture {name} is missing", hint=hint)
    digest, filename = match["digest"], f"{match['stem']}.py"
    if digest not in _modules:
        module = ModuleType(f"edgefer_architecture_{digest}")
        module.__file__ = filename
        # Decorators such as that of a dataclass find the module by its name.
        sys.modules[module.__name__] = module
        try:
            exec(compile(source, filename, "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            del sys.modules[module.__name__]
            why = f"{type(error).__name__}: {error}"
            raise UsageError(f"the architecture {filename} cannot be loaded", why=why, hint="correct it") from error
        _modules[digest] = module
    build = getattr(_modules[digest], match["function"], None)
    if not callable(build):
        functions = [key for key, value in vars(_modules[digest]).items() if callable(value) and key[0] != "_"]
        why = f"it defines {', '.join(functions) or 'no function'}"
        hint = f"--architecture {filename}:NAME"
        raise UsageError(f"{filename} has no function {match['function']!r}", why=why, hint=hint)
    result: Callable[..., Any] = build
    return result
