"""YuNet of OpenCV's model zoo: detects rotated and partly hidden faces; the user downloads its model file.

Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.inference.face_detection import FaceBox

__all__ = ["CROP_SCALE", "CROP_SHIFT", "NEEDS_MODEL", "USES_COLOR", "open_detector"]

NEEDS_MODEL, USES_COLOR = True, True
# Its boxes reach from the hairline to the chin, slightly above those of the Haar cascade. Not measured on FER2013.
CROP_SCALE, CROP_SHIFT = 1.0, 0.0
MIN_SCORE = 0.7


def open_detector(model: Path | None) -> YuNet:
    """Load a YuNet model file, such as face_detection_yunet_2023mar.onnx.

    Raises:
        UsageError: ``model`` is None.
        IncompatibleError: this OpenCV has no FaceDetectorYN.
        DataError: the file does not exist, or OpenCV cannot load it.
    """
    hint = "--detector-model face_detection_yunet_2023mar.onnx, from OpenCV's model zoo, or --detector haar"
    if model is None:
        raise UsageError("the detector yunet needs a model file", why="OpenCV does not ship it", hint=hint)
    if not hasattr(cv2, "FaceDetectorYN"):
        what = f"OpenCV {cv2.__version__} has no YuNet"
        raise IncompatibleError(what, why="version 4.5.4 introduced it", hint="--detector haar")
    if not model.is_file():
        raise DataError(f"{model} does not exist", hint=hint)
    try:
        with files.utf8_path(model) as path:
            return YuNet(cv2.FaceDetectorYN.create(path, "", (320, 320), MIN_SCORE))
    except (cv2.error, SystemError) as error:
        why = str(getattr(error, "err", None) or error)
        raise DataError(f"{model} is not a YuNet model", why=why, hint=hint) from error


class YuNet:
    """Detector with a loaded network."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def detect(self, image: npt.NDArray[np.uint8]) -> list[FaceBox]:
        """Return the boxes of the faces in an image."""
        height, width = image.shape[:2]
        self._network.setInputSize((width, height))
        _, rows = self._network.detect(image)
        boxes = []
        for row in rows if rows is not None else []:
            x, y, width, height = (round(float(value)) for value in row[:4])
            boxes.append(FaceBox(x, y, width, height, float(row[-1])))
        return boxes
