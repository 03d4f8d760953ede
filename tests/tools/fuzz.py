"""Check edgefer on damaged models, data sets, pictures or records.

    python tests/tools/fuzz.py pictures --count 10000 --seed 1
    python tests/tools/fuzz.py pictures --count 1 --seed 4711 --keep /tmp/inputs      # repeat one input and keep it

tests/tools/fuzzing.py describes the checks.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Without the folder of this file, whose modules belong to tests.tools.
sys.path[:] = [str(Path(__file__).parents[2]), *(path for path in sys.path if path != str(Path(__file__).parent))]

KINDS = ("models", "data", "pictures", "records")


def main() -> int:
    """Check the requested inputs and print the counts; return 1 if a check failed."""
    from tests.tools.fuzzing import run_inputs

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=KINDS, help="kind of input")
    parser.add_argument("--count", type=int, default=300, help="number of inputs")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first input; the next one has the next seed")
    parser.add_argument("--keep", type=Path, help="folder for inputs that fail the check")
    options = parser.parse_args()
    kind = importlib.import_module(f"tests.tools.fuzz_{options.kind}")
    keep = options.keep and options.keep.absolute()
    tally = run_inputs(kind, first=options.seed, count=options.count, keep=keep)
    tally.print_summary()
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
