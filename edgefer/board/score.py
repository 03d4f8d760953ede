"""The accuracy of a model over a test set, on the device that runs it.

    np.savez(path, **test_set(faces, labels, seen_in_training, split="PublicTest", data="fer2013.csv"))
    python -m edgefer.board.score REQUEST.json REPLY.json       # a ScoreRequest and the Evaluation
"""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.board.classifier import Classifier
from edgefer.board.evaluate import evaluate_classifier
from edgefer.child import answer
from edgefer.errors import DataError
from edgefer.evaluation import Evaluation

__all__ = ["ScoreRequest", "score", "test_set"]


@dataclass(frozen=True)
class ScoreRequest:
    """What to score; plain values, because it travels as JSON.

    Attributes:
        model: path of the model.
        test_set: path of an .npz with what test_set() gives.
        most: of its faces, spread evenly over it; None takes all.
        runtime, threads, kernels: as Classifier.open().
    """

    model: str
    test_set: str
    most: int | None = None
    runtime: str | None = None
    threads: int = 1
    kernels: str = "default"


def test_set(
    faces: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    seen_in_training: npt.NDArray[np.bool_] | None,
    *,
    split: str,
    data: str,
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a test set, for np.savez; arguments as evaluate_classifier()."""
    arrays = {"faces": faces, "labels": labels, "about": np.array(json.dumps({"split": split, "data": data}))}
    return arrays if seen_in_training is None else {**arrays, "seen_in_training": seen_in_training}


def score(request: ScoreRequest) -> Evaluation:
    """Score a model in this process.

    Raises:
        DataError: the model or the test set cannot be used.
        IncompatibleError: as Classifier.open().
    """
    model = Path(request.model)
    try:
        with np.load(request.test_set, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            count = len(arrays["faces"])
            rows = np.linspace(0, count - 1, min(count, request.most or count)).astype(np.int64)
            seen = arrays["seen_in_training"][rows] if "seen_in_training" in arrays.files else None
            faces, labels = arrays["faces"][rows], arrays["labels"][rows]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the test set {request.test_set}", why=str(error)) from error
    classifier = Classifier.open(model, runtime=request.runtime, threads=request.threads, kernels=request.kernels)
    return evaluate_classifier(
        classifier, faces, labels, split=about["split"], data=about["data"], model=model.stem, seen_in_training=seen,
        subject={"file": model.name, "file_bytes": model.stat().st_size},
    )  # fmt: skip


def main(request_path: str, reply_path: str) -> int:
    """Do what the request says and write the reply; the exit code."""
    return answer(request_path, reply_path, lambda fields: score(ScoreRequest(**fields)).to_json())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
