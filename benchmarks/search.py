"""Record the trainings of the search for the shipped models.

    python benchmarks/search.py RUN... --out benchmarks/results/search.json

Each RUN is a training and becomes an entry; an entry replaces an older one of the same name. For a run with an int8
model, the entry contains the model's accuracy on PublicTest, its size and its latency on this machine; for other runs,
such as teachers, only the float accuracy. Shipped models are identified by their digest. An abandoned training is
recorded with its completed epochs and the best score in its history, which was computed with bfloat16 activations if
the training used them.
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
    """Measure the runs and write their entries."""
    options = _options()
    entries = [make_entry(Run(folder)) for folder in options.runs]
    earlier = json.loads(options.out.read_text())["entries"] if options.out.exists() else []
    names = {entry["name"] for entry in entries}
    others = [entry for entry in earlier if entry["name"] not in names]
    record = {**schema.header("search", 1), "entries": [*others, *entries]}
    read_trials(record)
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")


def make_entry(run: Run) -> dict[str, Any]:
    """Measure a training and return its entry."""
    settings = run.settings()
    defaults = dict(leaves(dataclasses.asdict(load_system(settings.system))))
    changed = {name: value for name, value in leaves(dataclasses.asdict(settings)) if defaults.get(name) != value}
    parent = run.parent
    return {
        "name": run.folder.name,
        "system": settings.system,
        "settings": {**({"from": parent["run"]} if parent else {}), **changed},
        "epochs": len(run.history()),
        "teachers": [teacher["run"] for teacher in run.teachers],
        "public_float_percent": _float(run),
        **_int8(run.artifact("int8")),
    }


def _float(run: Run) -> float | None:
    metrics = run.metrics()
    if metrics is None:
        scores = [epoch.selection_accuracy for epoch in run.history()]
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
        "shipped": artifact.sha256 in {Artifact.load(model).sha256 for model in shipped().values()},
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
