"""How a detector's boxes become the frame that FER2013 has.

    python benchmarks/framing.py --data fer2013.csv --out benchmarks/results/framing.json

Each face of PublicTest is enlarged, its edge repeated around it, and looked for by the Haar cascade. Where it is found,
the crop is cut again at several sizes and heights relative to the box, and the model that ships is scored on each set
of crops; on the data set's own crops too, for the same faces.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.preprocessing import prepare
from edgefer.data.dataset import load
from edgefer.inference.classifier import Classifier
from edgefer.inference.face_detection import FaceBox, FaceDetector
from edgefer.models import SHIPPED
from edgefer.results import schema

SCALE, MARGIN = 3, 48
SIDES = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3)
DOWNS = (-0.05, 0.0, 0.05)


@dataclass(frozen=True)
class Found:
    """A face that was found.

    Attributes:
        row: its position in the split.
        scene: uint8, the enlarged face with its margin.
        box: what the detector said.
    """

    row: int
    scene: npt.NDArray[np.uint8]
    box: FaceBox


def main() -> None:
    """Measure and write; see above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or what else edgefer reads")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    split = load(options.data).split("PublicTest")
    record = measure(split.pixels, split.labels)
    files.write_text(options.out, json.dumps({**schema.header("framing", 1), **record}, indent=1) + "\n")


def measure(faces: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    """The record: shares of right answers, by side and height of the crop."""
    finder, classifier = FaceDetector.open("haar"), Classifier.open(SHIPPED)
    found = [each for row, face in enumerate(faces) if (each := _find(finder, row, face)) is not None]
    rows = np.array([each.row for each in found])
    ratios = [48 * SCALE / each.box.width for each in found]

    def accuracy(crops: npt.NDArray[np.uint8]) -> float:
        return float((classifier.logits(crops).argmax(axis=1) == labels[rows]).mean())

    grid = []
    for side in SIDES:
        for down in DOWNS:
            framed = FaceDetector(finder.detector, side=side, down=down)
            crops = [prepare(framed.crop(each.scene, each.box), classifier.artifact.input_spec) for each in found]
            grid.append({"side": side, "down": down, "accuracy": accuracy(np.stack(crops))})
    return {
        "detector": "haar",
        "model": {"file": SHIPPED.name, **classifier.subject},
        "split": "PublicTest",
        "n": len(faces),
        "found": len(found),
        "own_crops_accuracy": accuracy(faces[rows]),
        "crop_over_box_percentiles_10_50_90": np.percentile(ratios, [10, 50, 90]).round(4).tolist(),
        "crops": grid,
    }


def _find(finder: FaceDetector, row: int, face: npt.NDArray[np.uint8]) -> Found | None:
    large = cv2.resize(face, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    scene = np.pad(np.asarray(large, np.uint8), MARGIN, mode="edge")
    boxes = finder.find(scene)
    return Found(row, scene, boxes[0]) if boxes else None


if __name__ == "__main__":
    main()
