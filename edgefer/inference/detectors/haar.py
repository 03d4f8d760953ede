"""Haar cascade of OpenCV 4: needs no model file and detects frontal faces only.

Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.face_detection import FaceBox

__all__ = ["CROP_SCALE", "CROP_SHIFT", "NEEDS_MODEL", "USES_COLOR", "open_detector"]

NEEDS_MODEL, USES_COLOR = False, False
# Its boxes match the framing of FER2013: see benchmarks/results/framing.json.
CROP_SCALE, CROP_SHIFT = 1.0, 0.0
CASCADE = "haarcascade_frontalface_default.xml"
MARK, HEADER_BYTES = b"<opencv_storage", 65536
STEP, NEIGHBORS, SMALLEST = 1.1, 5, 24


def open_detector(model: Path | None) -> Haar:
    """Load an XML cascade; None loads the one that ships with OpenCV.

    Raises:
        IncompatibleError: this OpenCV has no cascade classifier.
        DataError: the file is not a cascade.
    """
    if not hasattr(cv2, "CascadeClassifier"):
        raise IncompatibleError(
            f"OpenCV {cv2.__version__} has no Haar cascades",
            why="OpenCV 4 is the last version that contains them",
            hint="pip install 'opencv-python<5', or --detector yunet --detector-model face_detection_yunet.onnx",
        )
    path = model or Path(cv2.__file__).parent / "data" / CASCADE
    hint = f"--detector-model with an XML file such as {CASCADE}"
    try:
        with path.open("rb") as file:
            start = file.read(HEADER_BYTES)
    except OSError as error:
        raise DataError(f"cannot read the cascade {path}", why=error.strerror or str(error), hint=hint) from error
    # OpenCV's parser leaves the interpreter in an invalid state if a file is not XML.
    if MARK not in start:
        raise DataError(f"{path} is not a cascade", why=f"it has no {MARK.decode()}> at its beginning", hint=hint)
    try:
        with files.utf8_path(path) as name:
            cascade = cv2.CascadeClassifier(name)
    except (cv2.error, SystemError) as error:
        why = str(getattr(error, "err", None) or error)
        raise DataError(f"{path} is not a cascade", why=why, hint=hint) from error
    if cascade.empty():
        raise DataError(f"{path} is not a cascade", why="OpenCV cannot load it", hint=hint)
    return Haar(cascade)


class Haar:
    """Detector with a loaded cascade."""

    def __init__(self, cascade: Any) -> None:
        self._cascade = cascade

    def detect(self, image: npt.NDArray[np.uint8]) -> list[FaceBox]:
        """Return the boxes of the faces in an image."""
        boxes, _, weights = self._cascade.detectMultiScale3(
            image, STEP, NEIGHBORS, minSize=(SMALLEST, SMALLEST), outputRejectLevels=True
        )
        return [
            FaceBox(int(x), int(y), int(width), int(height), float(weight))
            for (x, y, width, height), weight in zip(boxes, np.ravel(weights))
        ]
