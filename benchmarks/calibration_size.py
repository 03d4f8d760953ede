"""Measure the accuracy of an int8 model against the number of calibration faces.

    python benchmarks/calibration_size.py RUN --data fer2013.csv --out benchmarks/results/calibration-size.json

RUN is a finished training. A copy of it is quantized with each number of faces, sampled from Training with seed 0. The
record has kind "calibration-size". For each model it contains the number of correct PublicTest images, and the share of
images that the model and its float network label alike.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.cli.main import run as edgefer
from edgefer.results import schema

SIZES = (500, 1000, 2000, 4000, 8000)
SCHEME = "int8"


def main() -> None:
    """Quantize and evaluate with each number of faces, and write the record."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / options.run.name
        shutil.copytree(options.run, copy)
        models = [_quantize(copy, options.data, size) for size in options.sizes]
    record = {**schema.header("calibration-size", 1), "run": options.run.name, "scheme": SCHEME, "tried": models}
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")


def _quantize(run: Path, data: Path, size: int) -> dict[str, Any]:
    out = run / "quantization.json"
    arguments = ["quantize", run, "--scheme", SCHEME, "--calibration-size", size, "--data", data, "--out", out]
    if code := edgefer([str(argument) for argument in arguments]):
        sys.exit(code)
    record = json.loads(out.read_text())
    verdict, accuracy = record["verdict"], record["evaluation"]["accuracy"]
    return {"faces": size, "correct": accuracy["correct"], "n": accuracy["n"], "agreement": verdict["agreement"]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or another data set that edgefer reads")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of faces")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
