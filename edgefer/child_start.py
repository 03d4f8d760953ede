"""Start Python code in an isolated child process.

    command = [sys.executable, "-c", START, home(), "-m", "edgefer.benchmark.runner", ...]
    environment = child_environment()
    extend_path()                                   # in the child

Neither the working folder nor $PYTHONPATH comes before the standard library in the child, so a json.py or cv2.py of the
user is never imported by accident. The folders of $PYTHONPATH stay available after the standard library. The option -I
of Python would also hide the user's own packages in ~/.local.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

__all__ = ["PACKAGE_PATH", "START", "child_environment", "extend_path", "home", "start_child"]

# Environment variable with the folders of $PYTHONPATH, which an isolated child does not have.
PACKAGE_PATH = "EDGEFER_PYTHONPATH"
SITE_FOLDERS = ("site-packages", "dist-packages")
# First code of a child. "python -c" puts the working folder first on the path; sys is built in, so nothing has been
# imported from there. edgefer is loaded from its own folder, whose siblings stay invisible.
START = """
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
home = sys.argv[1]
if home.endswith("__init__.py"):
    import importlib.util
    import os
    folder = os.path.dirname(home)
    spec = importlib.util.spec_from_file_location("edgefer", home, submodule_search_locations=[folder])
    sys.modules["edgefer"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["edgefer"])
else:
    sys.path.insert(0, home)
from edgefer.child_start import start_child
start_child(sys.argv[2:])
"""


def home() -> str:
    """Return the __init__.py of this edgefer, or the path of the bundle that contains it."""
    package = Path(__file__).parent
    return str(package.parent.absolute()) if package.parent.is_file() else str((package / "__init__.py").resolve())


def child_environment(*, same_interpreter: bool = True) -> dict[str, str]:
    """Return the environment of a child; another interpreter does not receive the package folders of this one."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", PACKAGE_PATH)}
    if same_interpreter:
        return {**environment, PACKAGE_PATH: os.pathsep.join(_package_folders())}
    environment.pop("PYTHONHOME", None)
    return environment


def _package_folders() -> list[str]:
    """Return the absolute folders of $PYTHONPATH; empty and relative entries depend on the working folder."""
    entries = [entry for name in ("PYTHONPATH", PACKAGE_PATH) for entry in os.environ.get(name, "").split(os.pathsep)]
    return [entry for entry in dict.fromkeys(entries) if Path(entry).is_absolute()]


def extend_path() -> None:
    """Add the package folders of the parent to sys.path, after the standard library and before installed packages."""
    sites = (index for index, entry in enumerate(sys.path) if Path(entry).name in SITE_FOLDERS)
    at = next(sites, len(sys.path))
    sys.path[at:at] = [entry for entry in _package_folders() if entry not in sys.path]


def start_child(arguments: list[str]) -> None:
    """Run "-m module ..." or "-c code ..." as the main program of a child."""
    extend_path()
    kind, program, *remaining = arguments
    sys.argv = [program if kind == "-m" else "-c", *remaining]
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
