"""The fix of a package that cannot be imported depends on whether it is installed."""

import subprocess
import sys

import pytest

LOAD = """
import sys
sys.path.insert(0, sys.argv[1])
from edgefer.errors import EdgeferError
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.plots.figure import require_matplotlib
try:
    {call}()
except EdgeferError as error:
    print(error.hint)
"""


@pytest.mark.parametrize(
    ("call", "package", "content", "hint"),
    [
        ("load_keras", "keras", "raise ImportError('libcudart.so.12: cannot open')", "--force-reinstall tensorflow"),
        ("load_keras", "keras", "import no_such_module", "pip install -e '.[workstation]'"),
        ("require_matplotlib", "matplotlib", "raise ImportError('libpng.so: cannot open')", "--force-reinstall"),
        ("require_matplotlib", "matplotlib", "import no_such_module", "pip install -e '.[workstation]'"),
    ],
)
def test_the_fix_follows_from_the_cause(tmp_path, call, package, content, hint):
    (tmp_path / f"{package}.py").write_text(content)
    command = [sys.executable, "-c", LOAD.format(call=call), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert hint in ended.stdout, ended.stderr
