"""The start of a bundle; tests/deploy/test_bundle.py runs it where Python is too old or packages are missing."""

import ast
from pathlib import Path

import pytest

from edgefer import plugins
from edgefer.cli import bootstrap


def test_an_old_python_can_parse_it():
    tree = ast.parse(Path(bootstrap.__file__).read_text())
    for node in ast.walk(tree):
        assert not isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.NamedExpr | ast.FunctionDef | ast.Match)
    early = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [alias.name for node in early for alias in node.names] == ["sys"]


@pytest.mark.parametrize("name", sorted({*plugins.names("edgefer.inference.runtimes")} - {"tensorflow"}))
def test_it_has_the_import_name_of_each_runtime_for_boards(name):
    source = Path(plugins.load("edgefer.inference.runtimes", name).__file__).read_text()
    assert [module for module in bootstrap.RUNTIMES if f'"{module}.' in source]
