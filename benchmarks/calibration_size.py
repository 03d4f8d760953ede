"""What an int8 model is worth by how many faces calibrate it.

    python benchmarks/calibration_size.py RUN --data fer2013.csv --out benchmarks/results/calibration-size.json

RUN is a finished training; it is quantized with each number of faces, drawn from Training with seed 0, in a copy of its
folder. The file has kind "calibration-size"; of each model it tells how many images of PublicTest are right, and on
what share of them it names what its float parent names.
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
    """Quantize, score and write; see above."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / options.run.name
        shutil.copytree(options.run, copy)
        tried = [_quantized(copy, options.data, size) for size in options.sizes]
    record = {**schema.header("calibration-size", 1), "run": options.run.name, "scheme": SCHEME, "tried": tried}
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")


def _quantized(run: Path, data: Path, size: int) -> dict[str, Any]:
    out = run / "quantization.json"
    line = ["quantize", run, "--scheme", SCHEME, "--calibration-size", size, "--data", data, "--out", out]
    if code := edgefer([str(each) for each in line]):
        sys.exit(code)
    told = json.loads(out.read_text())
    verdict, accuracy = told["verdict"], told["evaluation"]["accuracy"]
    return {"faces": size, "correct": accuracy["correct"], "n": accuracy["n"], "agreement": verdict["agreement"]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or what else edgefer reads")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of faces")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
