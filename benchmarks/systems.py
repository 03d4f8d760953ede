"""Compare a reproduced reference system with the accuracy that its authors claim.

    python benchmarks/systems.py RUN --data fer2013.csv --out benchmarks/results/systems.json

RUN is a finished training of a system with a CLAIM. edgefer's commands evaluate it on PublicTest in float, quantize it
to int8, evaluate it again, inspect it and benchmark it on this machine. Their records form the system's entry in the
file, which replaces an older one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgefer import files, plugins
from edgefer.results import schema
from edgefer.workstation.training.run import Run

MEASUREMENT_FIELDS = ("runtime", "runtime_version", "threads", "invoke", "doubts")


def main() -> None:
    """Measure the system and write its entry."""
    options = _options()
    entry = measure(Run(options.run), options.data)
    entries = [*json.loads(options.out.read_text())["systems"]] if options.out.exists() else []
    others = [other for other in entries if other["system"] != entry["system"]]
    systems = sorted([*others, entry], key=lambda other: str(other["system"]))
    files.write_text(options.out, json.dumps({**schema.header("systems", 1), "systems": systems}, indent=1) + "\n")


def measure(run: Run, data: str) -> dict[str, Any]:
    """Measure the system of ``run`` and return its entry."""
    settings, metrics = run.settings(), run.metrics()
    if metrics is None:
        sys.exit(f"{run.folder} is not finished\n  try: edgefer train --resume {run.folder}")
    for scheme in ("--float32", "--int8"):
        edgefer("quantize", run.folder, scheme, "--data", data)
    float32, int8 = run.artifact("float32"), run.artifact("int8")
    bench = edgefer("bench", int8, "--compare", float32, "--preset", "standard")
    inspection = edgefer("inspect", int8)
    latency = {
        measurement["subject"]["scheme"]: {name: measurement[name] for name in MEASUREMENT_FIELDS}
        for measurement in bench["measurements"]
    }
    return {
        "system": settings.system,
        "claimed_percent": settings.goal,
        "claim": plugins.load("edgefer.workstation.training.systems", settings.system).CLAIM,
        "settings": dataclasses.asdict(settings),
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
        "duration_s": sum(epoch.duration_s for epoch in run.history()),
        "parameters": inspection["parameters"],
        "macs": inspection["macs"],
        "bytes": {"float32": float32.stat().st_size, "int8": int8.stat().st_size},
        "device": bench["measurements"][0]["device"],
        "latency": latency,
        "ratio": bench["comparisons"][0],
        "evaluations": {
            scheme: edgefer("evaluate", path, "--data", data, "--split", "public")
            for scheme, path in (("float32", run.folder), ("int8", int8))
        },
    }


def edgefer(*arguments: object) -> Any:
    """Run a command and return the record that it writes with --out."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        command = [sys.executable, "-m", "edgefer", *map(str, arguments), "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--data", required=True, help="value of --data, such as fer2013.csv")
    parser.add_argument("--out", type=Path, required=True, help="the file that holds the entries")
    return parser.parse_args()


if __name__ == "__main__":
    main()
