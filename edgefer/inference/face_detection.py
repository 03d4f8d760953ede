"""Detect faces in an image and crop them as the training images are cropped.

    detector = FaceDetector.open()                      # Haar; or FaceDetector.open("yunet", model="yunet.onnx")
    for box in detector.detect(image):                  # uint8 BGR (h, w, 3)
        crop = detector.crop(image, box)                # square, for Classifier.predict()

Accuracy depends on the crop: a fifth more margin costs two points. Each detector plug-in therefore declares how its
boxes map to crops like those of FER2013. benchmarks/framing.py measures the effect.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.preprocessing import to_gray
from edgefer.errors import DataError, UsageError

__all__ = [
    "DEFAULT_DETECTOR", "DETECTORS", "LONGEST_SIDE", "Detector", "DetectorModule", "FaceBox", "FaceDetector",
]  # fmt: skip

DETECTORS = "edgefer.inference.detectors"
DEFAULT_DETECTOR = "haar"
# Larger images are shrunk to this longer side, in pixels, for detection; crops come from the original image.
LONGEST_SIDE = 640


@dataclass(frozen=True)
class FaceBox:
    """Bounding box of a face.

    Attributes:
        x, y: upper left corner, pixels; may lie outside the image.
        width, height: pixels.
        score: confidence of the detector; not comparable between detectors.
    """

    x: int
    y: int
    width: int
    height: int
    score: float = 0.0


class Detector(Protocol):
    """Face detector of a plug-in."""

    def detect(self, image: npt.NDArray[np.uint8]) -> list[FaceBox]:
        """Return the boxes of the faces in uint8 (h, w), or BGR (h, w, 3) if the plug-in sets USES_COLOR."""


class DetectorModule(Protocol):
    """Interface of a module in ``detectors/``.

    Attributes:
        NEEDS_MODEL: True if the detector needs a model file.
        USES_COLOR: True if the detector takes BGR images instead of gray ones.
        CROP_SCALE: side of the crop, in sides of the box.
        CROP_SHIFT: distance of the crop's center below the center of the box, in sides of the box.
    """

    NEEDS_MODEL: bool
    USES_COLOR: bool
    CROP_SCALE: float
    CROP_SHIFT: float

    def open_detector(self, model: Path | None) -> Detector:
        """Load the detector; raise an EdgeferError on failure."""


class FaceDetector:
    """Face detector with its crop geometry; use one instance per thread."""

    def __init__(
        self,
        detector: Detector,
        *,
        uses_color: bool = False,
        crop_scale: float = 1.0,
        crop_shift: float = 0.0,
        longest_side: int = LONGEST_SIDE,
    ) -> None:
        self.detector, self.uses_color = detector, uses_color
        self.crop_scale, self.crop_shift, self.longest_side = crop_scale, crop_shift, longest_side

    @classmethod
    def open(
        cls,
        name: str = DEFAULT_DETECTOR,
        *,
        model: str | os.PathLike[str] | None = None,
        longest_side: int = LONGEST_SIDE,
    ) -> FaceDetector:
        """Load the detector ``name``.

        Args:
            name: a module in ``inference/detectors``.
            model: model file; None takes the default of the detector, if it has one.
            longest_side: larger images are shrunk to this many pixels for detection.

        Raises:
            UsageError: the detector does not exist, or it needs a model file.
            IncompatibleError: this OpenCV lacks the detector.
            DataError: the model file cannot be loaded.
        """
        module = cast("DetectorModule", plugins.load(DETECTORS, name))
        if longest_side < 1:
            what = f"longest side of {longest_side} pixels"
            raise UsageError(what, why="expected at least 1", hint=str(LONGEST_SIDE))
        return cls(
            module.open_detector(None if model is None else Path(model)), uses_color=module.USES_COLOR,
            crop_scale=module.CROP_SCALE, crop_shift=module.CROP_SHIFT, longest_side=longest_side,
        )  # fmt: skip

    def detect(self, image: npt.NDArray[np.uint8]) -> tuple[FaceBox, ...]:
        """Return the faces in uint8 (h, w), BGR (h, w, 3) or BGRA (h, w, 4), largest first; boxes are clipped to it.

        Raises:
            DataError: ``image`` has another shape or dtype.
        """
        gray = to_gray(image)
        height, width = gray.shape
        searched = gray
        if self.uses_color:
            has_color = image.ndim == 3 and image.shape[2] >= 3
            searched = image[..., :3] if has_color else np.repeat(gray[..., None], 3, axis=2)
        scale = min(1.0, self.longest_side / max(height, width))
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            searched = np.asarray(cv2.resize(searched, size, interpolation=cv2.INTER_AREA), np.uint8)
        boxes = [_to_image(box, scale, width, height) for box in self.detector.detect(searched)]
        return tuple(sorted(boxes, key=lambda box: (-box.width * box.height, box.x, box.y)))

    def crop(self, image: npt.NDArray[np.uint8], box: FaceBox) -> npt.NDArray[np.uint8]:
        """Return the square crop for the classifier; pixels outside the image repeat its edge.

        Raises:
            DataError: the box lies outside the image.
        """
        height, width = image.shape[:2]
        longer = max(box.width, box.height)
        side = max(1, round(self.crop_scale * longer))
        left = round(box.x + box.width / 2 - side / 2)
        top = round(box.y + box.height / 2 + self.crop_shift * longer - side / 2)
        rows = slice(max(0, top), min(height, top + side))
        columns = slice(max(0, left), min(width, left + side))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise DataError(f"{box} lies outside the image of {width} x {height} pixels")
        inner = image[rows, columns]
        before = (rows.start - top, columns.start - left)
        after = (top + side - rows.stop, left + side - columns.stop)
        pads = [(before[0], after[0]), (before[1], after[1]), *([(0, 0)] if image.ndim == 3 else [])]
        return np.pad(inner, pads, mode="edge")

    def crop_largest(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
        """Return the square crop of the largest face in uint8 (h, w) or BGR (h, w, 3), or None without a face."""
        boxes = self.detect(image)
        return self.crop(image, boxes[0]) if boxes else None


def _to_image(box: FaceBox, scale: float, width: int, height: int) -> FaceBox:
    """Return a box of the shrunken image in pixels of the original, clipped to it."""
    left, top = max(0, round(box.x / scale)), max(0, round(box.y / scale))
    right = min(width, round((box.x + box.width) / scale))
    bottom = min(height, round((box.y + box.height) / scale))
    return FaceBox(left, top, max(1, right - left), max(1, bottom - top), box.score)
