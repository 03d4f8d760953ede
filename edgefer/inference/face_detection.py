"""Faces in a picture, framed as the training images are.

    finder = FaceDetector.open()                      # Haar; or FaceDetector.open("yunet", model=Path("yunet.onnx"))
    for box in finder.find(image):                  # uint8 BGR (h, w, 3)
        crop = finder.crop(image, box)              # square, for Classifier.predict()

A network that learned from tight crops is lost on loose ones: a fifth more margin costs two points of accuracy. So
each detector says how its boxes become the frame of FER2013, and benchmarks/framing.py measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.preprocessing import to_grey
from edgefer.errors import DataError, UsageError

__all__ = ["DETECTORS", "LONGEST_SIDE", "Detector", "DetectorModule", "FaceBox", "FaceDetector"]

DETECTORS = "edgefer.inference.detectors"
# Faces are looked for in a copy whose longer side has at most so many pixels; crops are cut from the picture itself.
LONGEST_SIDE = 640


@dataclass(frozen=True)
class FaceBox:
    """Where a face is.

    Attributes:
        x, y: the upper left corner, pixels; it may lie outside of the picture.
        width, height: pixels.
        score: the detector's own measure of certainty, not comparable between detectors.
    """

    x: int
    y: int
    width: int
    height: int
    score: float = 0.0


class Detector(Protocol):
    """What open_detector() gives."""

    def find(self, image: npt.NDArray[np.uint8]) -> list[FaceBox]:
        """Boxes in uint8 (h, w), or BGR (h, w, 3) where the detector is IN_COLOUR."""


class DetectorModule(Protocol):
    """What a file in ``detectors/`` defines.

    Attributes:
        NEEDS_MODEL: whether it can do nothing without a file.
        IN_COLOUR: whether it looks at colours.
        SIDE, DOWN: the side of a crop, and how far its centre lies below the box's, in sides of the box.
    """

    NEEDS_MODEL: bool
    IN_COLOUR: bool
    SIDE: float
    DOWN: float

    def open_detector(self, model: Path | None) -> Detector:
        """Load it; EdgeferError where that cannot be."""


class FaceDetector:
    """A detector, and how its boxes become crops. It belongs to one thread."""

    def __init__(
        self,
        detector: Detector,
        *,
        in_colour: bool = False,
        side: float = 1.0,
        down: float = 0.0,
        longest_side: int = LONGEST_SIDE,
    ) -> None:
        self.detector, self.in_colour = detector, in_colour
        self.side, self.down, self.longest_side = side, down, longest_side

    @classmethod
    def open(cls, name: str = "haar", *, model: Path | None = None, longest_side: int = LONGEST_SIDE) -> FaceDetector:
        """Load the detector ``name``.

        Args:
            name: an entry of ``board/detectors``.
            model: its file, where it needs one or another than its own is wanted.
            longest_side: to how many pixels a larger picture is shrunk for the search.

        Raises:
            UsageError: no such detector, or one that needs a file and has none.
            IncompatibleError: this OpenCV does not have it.
            DataError: the file cannot be loaded.
        """
        module = cast("DetectorModule", plugins.load(DETECTORS, name))
        if longest_side < 1:
            raise UsageError(f"a longest side of {longest_side}", why="pixels were expected", hint=str(LONGEST_SIDE))
        return cls(
            module.open_detector(model), in_colour=module.IN_COLOUR, side=module.SIDE, down=module.DOWN,
            longest_side=longest_side,
        )  # fmt: skip

    def find(self, image: npt.NDArray[np.uint8]) -> tuple[FaceBox, ...]:
        """The faces in uint8 (h, w) or BGR (h, w, 3), the largest first; boxes lie within the picture.

        Raises:
            DataError: not such an array.
        """
        grey = to_grey(image)
        height, width = grey.shape
        searched = grey
        if self.in_colour:
            searched = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        scale = min(1.0, self.longest_side / max(height, width))
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            searched = np.asarray(cv2.resize(searched, size, interpolation=cv2.INTER_AREA), np.uint8)
        found = [_within(box, scale, width, height) for box in self.detector.find(searched)]
        return tuple(sorted(found, key=lambda box: (-box.width * box.height, box.x, box.y)))

    def crop(self, image: npt.NDArray[np.uint8], box: FaceBox) -> npt.NDArray[np.uint8]:
        """The square that a classifier is given; where it reaches over the edge, the edge is repeated.

        Raises:
            DataError: the box lies outside of the picture.
        """
        height, width = image.shape[:2]
        longer = max(box.width, box.height)
        side = max(1, round(self.side * longer))
        left = round(box.x + box.width / 2 - side / 2)
        top = round(box.y + box.height / 2 + self.down * longer - side / 2)
        rows = slice(max(0, top), min(height, top + side))
        columns = slice(max(0, left), min(width, left + side))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise DataError(f"{box} lies outside of a picture of {width} x {height} pixels")
        inner = image[rows, columns]
        before = (rows.start - top, columns.start - left)
        after = (top + side - rows.stop, left + side - columns.stop)
        pads = [(before[0], after[0]), (before[1], after[1]), *([(0, 0)] if image.ndim == 3 else [])]
        return np.pad(inner, pads, mode="edge")


def _within(box: FaceBox, scale: float, width: int, height: int) -> FaceBox:
    """A box of the shrunken picture in the pixels of the whole one, cut off at its edges."""
    left, top = max(0, round(box.x / scale)), max(0, round(box.y / scale))
    right = min(width, round((box.x + box.width) / scale))
    bottom = min(height, round((box.y + box.height) / scale))
    return FaceBox(left, top, max(1, right - left), max(1, bottom - top), box.score)
