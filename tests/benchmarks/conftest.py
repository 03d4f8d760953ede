"""Fixtures for the scripts in benchmarks/: their folder on the import path, and the results that report tests use."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The scripts import each other from their own folder. It comes last, so that it hides no installed module.
sys.path.append(str(ROOT / "benchmarks"))

_spec = importlib.util.spec_from_file_location("report_fixtures", ROOT / "tests" / "report" / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
evaluated, measured, quantized = _fixtures.evaluated, _fixtures.measured, _fixtures.quantized
