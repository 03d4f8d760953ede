"""What was tried on the way to the models that ship: a training becomes an entry of the record.

    python benchmarks/search.py RUN... --out benchmarks/results/search.json

Each RUN is a training. Of one that was quantized to int8, the int8 model's accuracy on PublicTest, its size and its
latency here are told too; of others, as of teachers, only the float accuracy. What ships is known by its hash. A
training that was given up is told with the epochs that it had and the best score in its history, which is of bfloat16
activations where it trained in them. An entry takes the place of an older one of its name.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from ledgers.trials import read_trials

from edgefer import files
from edgefer.benchmark.isolation import measure_in_subprocess
from edgefer.contract.artifact import Artifact
from edgefer.errors import EdgeferError
from edgefer.inspection.sandbox import inspect_in_subprocess
from edgefer.models import shipped
from edgefer.report.commands import leaves
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import BenchRequest
from edgefer.workstation.training.run import Run
from edgefer.workstation.workflows.train import load_system


def main() -> None:
    """Measure and write; see above."""
    options = _options()
    made = [entry(Run(each)) for each in options.runs]
    earlier = json.loads(options.out.read_text())["entries"] if options.out.exists() else []
    names = {each["name"] for each in made}
    kept = [each for each in earlier if each["name"] not in names]
    record = {**schema.header("search", 1), "entries": [*kept, *made]}
    read_trials(record)
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")


def entry(run: Run) -> dict[str, Any]:
    """The entry of a training."""
    settings = run.settings()
    usual = dict(leaves(dataclasses.asdict(load_system(settings.system))))
    changed = {name: value for name, value in leaves(dataclasses.asdict(settings)) if usual.get(name) != value}
    parent = run.parent
    return {
        "name": run.folder.name,
        "system": settings.system,
        "settings": {**({"from": parent["run"]} if parent else {}), **changed},
        "epochs": len(run.history()),
        "teachers": [each["run"] for each in run.teachers],
        "public_float_percent": _float(run),
        **_int8(run.artifact("int8")),
    }


def _float(run: Run) -> float | None:
    metrics = run.metrics()
    if metrics is None:
        scores = [each.selection_accuracy for each in run.history()]
        return _percent(max(scores)) if scores and run.settings().selection == "public" else None
    evaluation = Evaluation.from_json(metrics["evaluation"])
    return _percent(evaluation.accuracy.share) if evaluation.split == "PublicTest" else None


def _int8(path: Path) -> dict[str, Any]:
    if not path.exists():
        names = ("public_int8_percent", "bytes", "parameters", "macs", "p50_us")
        return {**dict.fromkeys(names), "shipped": False}
    artifact, inspection = Artifact.load(path), inspect_in_subprocess(path)
    return {
        "public_int8_percent": _percent(artifact.provenance["scores"]["accuracy"]),
        "bytes": path.stat().st_size,
        "parameters": inspection.parameters,
        "macs": inspection.macs,
        "p50_us": round(measure_in_subprocess(BenchRequest(str(path))).p50_us, 1),
        "shipped": artifact.sha256 in {Artifact.load(each).sha256 for each in shipped().values()},
    }


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, help="the file that holds the entries")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except EdgeferError as error:
        sys.exit(str(error))
