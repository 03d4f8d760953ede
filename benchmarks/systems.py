"""What a reference system came to, against what its authors claim.

    python benchmarks/systems.py RUN --data fer2013.csv --out benchmarks/results/systems.json

RUN is a finished training of a system that has a CLAIM. It is scored on PublicTest in float, quantized to int8, scored
again, inspected and benched here, by edgefer's own commands; what they answer becomes the system's entry in the file,
in the place of an older one.
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

KEPT = ("runtime", "runtime_version", "threads", "invoke", "doubts")


def main() -> None:
    """Measure and write; see above."""
    options = _options()
    entry = measure(Run(options.run), options.data)
    entries = [*json.loads(options.out.read_text())["systems"]] if options.out.exists() else []
    others = [each for each in entries if each["system"] != entry["system"]]
    systems = sorted([*others, entry], key=lambda each: str(each["system"]))
    files.write_text(options.out, json.dumps({**schema.header("systems", 1), "systems": systems}, indent=1) + "\n")


def measure(run: Run, data: str) -> dict[str, Any]:
    """The entry of the system that ``run`` has trained."""
    settings, metrics = run.settings(), run.metrics()
    if metrics is None:
        sys.exit(f"{run.folder} is not finished: edgefer train --resume {run.folder}")
    for scheme in ("--float32", "--int8"):
        edgefer("quantize", run.folder, scheme, "--data", data)
    plain, int8 = run.artifact("float32"), run.artifact("int8")
    bench = edgefer("bench", int8, "--compare", plain, "--preset", "standard")
    inspected = edgefer("inspect", int8)
    times = {each["subject"]["scheme"]: {name: each[name] for name in KEPT} for each in bench["measurements"]}
    return {
        "system": settings.system,
        "claimed_percent": settings.goal,
        "claim": plugins.load("edgefer.workstation.training.systems", settings.system).CLAIM,
        "settings": dataclasses.asdict(settings),
        "epochs": metrics["epochs"],
        "best_epoch": metrics["best_epoch"],
        "duration_s": sum(epoch.duration_s for epoch in run.history()),
        "parameters": inspected["parameters"],
        "macs": inspected["macs"],
        "bytes": {"float32": plain.stat().st_size, "int8": int8.stat().st_size},
        "device": bench["measurements"][0]["device"],
        "latency": times,
        "ratio": bench["comparisons"][0],
        "evaluations": {
            scheme: edgefer("evaluate", path, "--data", data, "--split", "public")
            for scheme, path in (("float32", run.folder), ("int8", int8))
        },
    }


def edgefer(*arguments: object) -> Any:
    """What a command answers with --out."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        command = [sys.executable, "-m", "edgefer", *map(str, arguments), "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--data", required=True, help="fer2013.csv, or what else --data takes")
    parser.add_argument("--out", type=Path, required=True, help="the file that holds the entries")
    return parser.parse_args()


if __name__ == "__main__":
    main()
