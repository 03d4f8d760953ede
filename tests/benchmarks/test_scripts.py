"""benchmarks/*.py: every script can be imported, and its help shows how to run it."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="the scripts are for a workstation")

SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_uses_names_that_exist_and_shows_its_command(path, monkeypatch):
    name = f"script_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    assert f"python benchmarks/{path.name}" in module.__doc__ or not hasattr(module, "main")
