"""haar: the cascade of boosted features that ships with OpenCV up to 4; no file to fetch, frontal faces alone.

Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.face_detection import FaceBox

__all__ = ["DOWN", "IN_COLOUR", "NEEDS_MODEL", "SIDE", "open_detector"]

NEEDS_MODEL, IN_COLOUR = False, False
# FER2013 is framed as this cascade frames: see benchmarks/results/framing.json.
SIDE, DOWN = 1.0, 0.0
CASCADE = "haarcascade_frontalface_default.xml"
STEP, NEIGHBOURS, SMALLEST = 1.1, 5, 24


def open_detector(model: Path | None) -> Haar:
    """The detector of ``model``, an XML cascade; None takes OpenCV's own.

    Raises:
        IncompatibleError: this OpenCV has no cascades.
        DataError: the file is no cascade.
    """
    if not hasattr(cv2, "CascadeClassifier"):
        raise IncompatibleError(
            f"OpenCV {cv2.__version__} has no Haar cascades",
            why="they ended with OpenCV 4",
            hint="pip install 'opencv-python<5', or --detector yunet --detector-model face_detection_yunet.onnx",
        )
    path = model or Path(cv2.__file__).parent / "data" / CASCADE
    try:
        cascade = cv2.CascadeClassifier(str(path))
    except cv2.error as error:
        raise DataError(f"{path} is no cascade", why=str(error.err or error), hint=CASCADE) from error
    if cascade.empty():
        raise DataError(f"{path} is no cascade", why="OpenCV cannot load it", hint=f"an XML file such as {CASCADE}")
    return Haar(cascade)


class Haar:
    """A loaded cascade."""

    def __init__(self, cascade: Any) -> None:
        self._cascade = cascade

    def find(self, image: npt.NDArray[np.uint8]) -> list[FaceBox]:
        """As Detector.find()."""
        found, _, weights = self._cascade.detectMultiScale3(
            image, STEP, NEIGHBOURS, minSize=(SMALLEST, SMALLEST), outputRejectLevels=True
        )
        return [
            FaceBox(int(x), int(y), int(width), int(height), float(weight))
            for (x, y, width, height), weight in zip(found, np.ravel(weights))
        ]
