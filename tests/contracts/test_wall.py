"""Rules for the whole package: no TensorFlow outside edgefer.workstation, and one place for each rule or constant."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgefer
from edgefer import plugins
from edgefer.cli.main import COMMANDS
from edgefer.contract.labels import LABELS

ROOT = Path(edgefer.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
HEAVY = ("jax", "keras", "matplotlib", "tensorflow", "tensorflow_model_optimization", "tf_keras", "torch")

# Imports every module of edgefer outside edgefer.workstation in a Python where importing HEAVY is an error.
WITHOUT_TENSORFLOW = f"""
import importlib, importlib.abc, pkgutil, sys

class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Wall())
import edgefer

def modules(package):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if module.name not in ("edgefer.workstation", "edgefer.__main__"):
            yield module.name
            if module.ispkg:
                yield from modules(importlib.import_module(module.name))

names = list(modules(edgefer))
for name in names:
    importlib.import_module(name)
assert {{"edgefer.cli.main", "edgefer.benchmark.runner", "edgefer.cli.commands.train"}} <= set(names)

from edgefer.cli import main as cli
assert cli.run(["--help"]) == 0
assert cli.run(["predict", "--help"]) == 0
"""

LIGHT = """
import sys
from edgefer.cli import main as cli
exit_code = cli.run(sys.argv[1:])
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
sys.exit(exit_code)
"""


def python(code: str, *arguments: str) -> str:
    """Run ``code`` in a subprocess that imports this edgefer, and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True, cwd=ROOT.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_but_the_workstation_imports_without_tensorflow() -> None:
    printed = python(WITHOUT_TENSORFLOW)
    assert "quantize" in printed
    assert "SOURCE..." in printed


@pytest.mark.parametrize("arguments", [[], ["--version"], *([name] for name in plugins.names(COMMANDS))])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    loaded = set(python(LIGHT, *arguments, *([] if "--version" in arguments else ["--help"])).splitlines()[-1].split())
    assert "edgefer" in loaded
    assert not {"ai_edge_litert", "cv2", "numpy", "rich", "scipy", "tflite_runtime", *HEAVY} & loaded


def test_the_list_of_commands_imports_no_command() -> None:
    code = "import sys; from edgefer.cli.main import run; run(['--help']); print(*sys.modules)"
    assert "edgefer.cli.main" in python(code)
    assert "edgefer.cli.commands." not in python(code)


def syntax_trees() -> Iterator[tuple[str, ast.Module]]:
    for path in MODULES:
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def words(node: ast.AST) -> list[str]:
    """Return the strings in a tuple, list or set literal, or the words of a string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [word.strip(",;|'\"") for word in node.value.split()]
    values = [item.value for item in getattr(node, "elts", []) if isinstance(item, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


def test_the_label_order_is_defined_once() -> None:
    modules = {
        name
        for name, tree in syntax_trees()
        for node in ast.walk(tree)
        if tuple(word for word in words(node) if word in LABELS) == LABELS
    }
    assert modules == {"contract/labels.py"}


def names_used(tree: ast.Module) -> set[str]:
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
    }


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("TFLiteConverter", "workstation/quantization/converter.py"),
        ("cvtColor", "contract/preprocessing.py"),
        ("createCLAHE", "contract/preprocessing.py"),
        ("imdecode", "contract/image_decoding.py"),
    ],
)
def test_these_functions_are_called_in_one_module(name: str, home: str) -> None:
    assert {module for module, tree in syntax_trees() if name in names_used(tree)} == {home}


def is_plain_write(node: ast.AST) -> bool:
    """Return True for path.write_text(), path.write_bytes() and open() for writing, except those of edgefer.files."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in ("write_text", "write_bytes"):
        owner = getattr(function, "value", None)
        return not (isinstance(owner, ast.Name) and owner.id == "files")
    values = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
    modes = [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    return name == "open" and any(set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)


def test_every_file_is_written_atomically() -> None:
    modules = {name for name, tree in syntax_trees() for node in ast.walk(tree) if is_plain_write(node)}
    # A journal is appended to; pixels are written in pieces to a temporary file, which is then renamed.
    assert modules == {"files.py", "search/journal.py", "data/pixel_files.py"}


def test_no_duration_is_measured_with_the_wall_clock() -> None:
    """A Raspberry Pi has no battery-backed clock: its wall clock jumps when it gets the time from the network."""
    modules = {
        name
        for name, tree in syntax_trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.time", "time.time_ns")
    }
    assert not {name for name in modules if name.startswith(("benchmark/", "device/", "fleet/", "inference/", "live/"))}
