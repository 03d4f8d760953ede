"""Compare a training from the weights of a shipped model with one from scratch, on few labeled faces.

    python benchmarks/transfer.py --data fer2013.csv --out benchmarks/results/transfer.json

Each task has a few hundred random Training faces of FER2013, and all PublicTest faces of its classes. The classes of
one task are groups of expressions under new names, so that the model has no output for them. Both trainings have the
same network, epochs, batch size and augmentation, and no teachers. The record has kind "transfer".

The record also compares the float networks that edgefer recovers from shipped models with these, on PublicTest.

The shipped model was trained on all Training faces with other labels, among them the faces of the tasks. Its advantage
on faces of other origin may be smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgefer import files
from edgefer.cli.main import run as edgefer
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import Dataset, load
from edgefer.inference.classifier import Classifier
from edgefer.models import shipped
from edgefer.results import schema
from edgefer.workstation.training.keras_inference import keras_logits
from edgefer.workstation.workflows.initial_weights import initialize, open_initial_weights

# Class of each task by expression; faces with other expressions are left out.
TASKS: Mapping[str, Mapping[str, str]] = {
    "new classes": {
        "happy": "pleasant", "neutral": "calm", "angry": "unpleasant", "disgust": "unpleasant", "fear": "unpleasant",
        "sad": "unpleasant",
    },
    "three of seven classes": {"happy": "happy", "neutral": "neutral", "sad": "sad"},
}  # fmt: skip


def main() -> None:
    """Train on every task from the model and from scratch, and write the record."""
    options = _options()
    dataset, out = load(options.data.resolve()), options.out.resolve()
    recovered = [compare_recovered(name, dataset) for name in shipped()]
    trials: list[dict[str, Any]] = []
    # A training links runs/latest in the working folder.
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for task, class_of in TASKS.items():
            data = Path(folder, "faces.npz")
            classes = write_task(data, dataset, class_of, faces=options.faces, seed=options.seed)
            for source, option in ((options.model, "--init-from"), ("scratch", "--system")):
                arguments = [option, options.model, "--data", data, "--epochs", options.epochs, "--seed", options.seed]
                words = [*map(str, arguments), "--set", "views=0"]
                record = _train(words, Path(folder, f"{task}-{source}"))
                accuracy, settings = record["evaluation"]["accuracy"], record["settings"]
                trials.append(
                    {"task": task, "classes": classes, "initial_weights": source, "faces": options.faces,
                     "epochs": settings["epochs"], "learning_rate": settings["learning_rate"],
                     "backbone_lr_factor": settings["backbone_lr_factor"], "correct": accuracy["correct"],
                     "n": accuracy["n"]}
                )  # fmt: skip
                record = {
                    **schema.header("transfer", 1), "network": options.model, "recovered": recovered, "trials": trials,
                }  # fmt: skip
                files.write_text(out, json.dumps(record, indent=1) + "\n")


def compare_recovered(name: str, dataset: Dataset) -> dict[str, Any]:
    """Return the correct PublicTest faces of a shipped model and of the recovered network, and their correlation."""
    source, public = open_initial_weights(Path(name)), dataset.split("PublicTest")
    spec = source.settings.input
    network = initialize(source, source.settings, labels=source.labels, faces=dataset.split("Training").pixels)
    faces = prepare_all(public.pixels, spec)
    recovered, logits = keras_logits(network, faces, spec), Classifier.open(shipped()[name]).logits(faces)
    correct, int8_correct = (int((outputs.argmax(axis=1) == public.labels).sum()) for outputs in (recovered, logits))
    correlation = float(np.corrcoef(recovered.ravel(), logits.ravel())[0, 1])
    return {
        "model": name, "correct": correct, "int8_correct": int8_correct, "n": len(public), "correlation": correlation,
    }  # fmt: skip


def write_task(path: Path, dataset: Dataset, class_of: Mapping[str, str], *, faces: int, seed: int) -> list[str]:
    """Write the faces of a task as arrays, and return its classes.

    Args:
        path: file to write, .npz.
        dataset: FER2013.
        class_of: class of the task by expression.
        faces: number of training faces, drawn at random.
        seed: seed of the draw.
    """
    names = np.array([class_of.get(label, "") for label in dataset.labels])
    pixels, labels, usages = [], [], []
    for usage in ("Training", "PublicTest"):
        split = dataset.split(usage)
        chosen = np.flatnonzero(names[split.labels] != "")
        if usage == "Training":
            chosen = np.random.default_rng(seed).permutation(chosen)[:faces]
        pixels.append(split.pixels[chosen])
        labels.append(names[split.labels[chosen]])
        usages.append(np.full(len(chosen), usage))
    np.savez(path, pixels=np.concatenate(pixels), emotion=np.concatenate(labels), usage=np.concatenate(usages))
    return list(dict.fromkeys(class_of.values()))


def _train(arguments: list[str], run: Path) -> dict[str, Any]:
    out = run.with_suffix(".json")
    if code := edgefer(["train", *arguments, "--run", str(run), "--out", str(out)]):
        sys.exit(code)
    record: dict[str, Any] = json.loads(out.read_text())
    return record


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or another form of FER2013")
    parser.add_argument("--model", default="nano", help="a shipped model, whose system has the same name")
    parser.add_argument("--faces", type=int, default=500, help="training faces")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
