"""yunet: the small network of OpenCV's model zoo; turned and half-hidden faces too, but its file has to be fetched.

Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.inference.face_detection import FaceBox

__all__ = ["CROP_SCALE", "CROP_SHIFT", "NEEDS_MODEL", "USES_COLOR", "open_detector"]

NEEDS_MODEL, USES_COLOR = True, True
# Its boxes go from the hairline to the chin, a little above what the Haar cascade frames; not measured on FER2013.
CROP_SCALE, CROP_SHIFT = 1.0, 0.0
LEAST_SCORE = 0.7


def open_detector(model: Path | None) -> YuNet:
    """The detector of ``model``, face_detection_yunet_2023mar.onnx or another of its kind.

    Raises:
        UsageError: no file was given.
        IncompatibleError: this OpenCV has no FaceDetectorYN.
        DataError: the file is none that OpenCV can load.
    """
    hint = "--detector-model face_detection_yunet_2023mar.onnx, from OpenCV's model zoo, or --detector haar"
    if model is None:
        raise UsageError("yunet without its model", why="OpenCV does not ship it", hint=hint)
    if not hasattr(cv2, "FaceDetectorYN"):
        what = f"OpenCV {cv2.__version__} has no YuNet"
        raise IncompatibleError(what, why="4.5.4 is the first that has", hint="--detector haar")
    if not model.is_file():
        raise DataError(f"{model} is not there", hint=hint)
    try:
        return YuNet(cv2.FaceDetectorYN.create(str(model), "", (320, 320), LEAST_SCORE))
    except cv2.error as error:
        raise DataError(f"{model} is no model of YuNet's", why=str(error.err or error), hint=hint) from error


class YuNet:
    """A loaded network."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def detect(self, image: npt.NDArray[np.uint8]) -> list[FaceBox]:
        """Return the boxes of the faces in an image."""
        height, width = image.shape[:2]
        self._network.setInputSize((width, height))
        _, rows = self._network.detect(image)
        found = []
        for row in rows if rows is not None else []:
            x, y, width, height = (round(float(value)) for value in row[:4])
            found.append(FaceBox(x, y, width, height, float(row[-1])))
        return found
