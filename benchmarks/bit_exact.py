"""Measure the cost of bit-exact scales: quantize runs with and without them, and compare the kernels.

    python benchmarks/bit_exact.py RUN [RUN...] --data fer2013.csv --out benchmarks/results/bit-exact.json

Copies of the runs are quantized to int8 with 4,000 faces from Training, sampled with seed 0. ``edgefer verify`` then
runs all PublicTest faces with each kind of kernel. ledgers/bit_exact.py describes the record.
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

FACES = 4000


def main() -> None:
    """Quantize, evaluate and verify every run twice, and write the record."""
    options = _options()
    models = []
    with tempfile.TemporaryDirectory() as folder:
        for run in options.runs:
            copy = Path(folder) / run.name
            shutil.copytree(run, copy)
            models += [_measure(copy, options, bit_exact=bit_exact) for bit_exact in (False, True)]
    record = {**schema.header("bit-exact", 1), "calibration_faces": FACES, "models": models}
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")


def _measure(run: Path, options: argparse.Namespace, *, bit_exact: bool) -> dict[str, Any]:
    quantization, parity = run / "quantization.json", run / "parity.json"
    flags = [] if bit_exact else ["--no-bit-exact"]
    size, data = ["--calibration-size", FACES], ["--data", options.data]
    _edgefer("quantize", run, "--int8", *flags, *size, *data, "--out", quantization)
    record = json.loads(quantization.read_text())
    pythons = [word for python in options.python for word in ("--python", python)]
    _edgefer("verify", record["path"], *data, "--faces", "all", "--threads", 1, *pythons, "--out", parity)
    rows = [row for row in json.loads(parity.read_text())["rows"] if row["identical"] is not None]
    accuracy = record["evaluation"]["accuracy"]
    return {
        "model": run.name,
        "bit_exact": bit_exact,
        "model_bytes": Path(record["path"]).stat().st_size,
        "correct": accuracy["correct"],
        "n": accuracy["n"],
        "float_agreement": record["verdict"]["agreement"],
        "kernels_agreement": min(row["top1_agreement"] for row in rows),
        "kernels_identical": min(row["identical"] for row in rows),
        "kernels_compared": len(rows) + 1,
    }


def _edgefer(*arguments: object) -> None:
    if code := edgefer([str(argument) for argument in arguments]):
        sys.exit(code)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or another data set that edgefer reads")
    parser.add_argument("--python", action="append", default=[], help="Python with another runtime; may be repeated")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
