"""Measure which crop around a detected face matches the framing of FER2013.

    python benchmarks/framing.py --data fer2013.csv --out benchmarks/results/framing.json

Each face of PublicTest is enlarged, padded by edge replication, and passed to the Haar cascade. Each detected face is
cropped at several sizes and vertical offsets relative to the detected box, and the shipped model is scored on every set
of crops. As a reference, the model is scored on the original images of the same faces.
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
class DetectedFace:
    """A face that the cascade detected.

    Attributes:
        row: row index in the split.
        image: uint8 (h, w), the enlarged and padded face.
        box: detected box in ``image``.
    """

    row: int
    image: npt.NDArray[np.uint8]
    box: FaceBox


def main() -> None:
    """Parse the command line, run the benchmark and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or another format that edgefer reads")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    split = load(options.data).split("PublicTest")
    record = measure(split.pixels, split.labels)
    files.write_text(options.out, json.dumps({**schema.header("framing", 1), **record}, indent=1) + "\n")


def measure(faces: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return the record: accuracy for each size and vertical offset of the crop.

    Args:
        faces: uint8 (n, 48, 48).
        labels: int64 (n,).
    """
    detector, classifier = FaceDetector.open("haar"), Classifier.open(SHIPPED)
    candidates = (_detect(detector, row, face) for row, face in enumerate(faces))
    detected = [face for face in candidates if face is not None]
    rows = np.array([face.row for face in detected])
    ratios = [48 * SCALE / face.box.width for face in detected]

    def accuracy(crops: npt.NDArray[np.uint8]) -> float:
        return float((classifier.logits(crops).argmax(axis=1) == labels[rows]).mean())

    grid = []
    for side in SIDES:
        for down in DOWNS:
            cropper = FaceDetector(detector.detector, crop_scale=side, crop_shift=down)
            crops = [prepare(cropper.crop(face.image, face.box), classifier.artifact.input_spec) for face in detected]
            grid.append({"side": side, "down": down, "accuracy": accuracy(np.stack(crops))})
    return {
        "detector": "haar",
        "model": {"file": SHIPPED.name, **classifier.subject},
        "split": "PublicTest",
        "n": len(faces),
        "found": len(detected),
        "own_crops_accuracy": accuracy(faces[rows]),
        "crop_over_box_percentiles_10_50_90": np.percentile(ratios, [10, 50, 90]).round(4).tolist(),
        "crops": grid,
    }


def _detect(detector: FaceDetector, row: int, face: npt.NDArray[np.uint8]) -> DetectedFace | None:
    enlarged = cv2.resize(face, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    image = np.pad(np.asarray(enlarged, np.uint8), MARGIN, mode="edge")
    boxes = detector.detect(image)
    return DetectedFace(row, image, boxes[0]) if boxes else None


if __name__ == "__main__":
    main()
