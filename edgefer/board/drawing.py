"""Faces drawn into their picture: a box and a label each.

    annotated = draw(image, faces)                  # a copy
    annotated = mark(image, [(box, "happy 91%")])
    Album(Path("seen")).add(look)                   # written there, under the picture's name
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import atomic
from edgefer.board.faces import FaceBox
from edgefer.board.gallery import Look
from edgefer.board.pipeline import Face

__all__ = ["Album", "draw", "mark"]

# Okabe and Ito's orange and black, BGR: legible on skin and on shadow, and for colour-blind readers.
BOX, INK = (0, 159, 230), (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(image: npt.NDArray[np.uint8], faces: Sequence[Face]) -> npt.NDArray[np.uint8]:
    """uint8 BGR (h, w, 3) with boxes and labels in it; ``image`` stays as it is."""
    return mark(image, [(face.box, f"{face.prediction.label} {face.prediction.probability:.0%}") for face in faces])


def mark(image: npt.NDArray[np.uint8], marks: Sequence[tuple[FaceBox, str]]) -> npt.NDArray[np.uint8]:
    """The same with boxes and whatever stands above them."""
    drawn = np.ascontiguousarray(image).copy()
    height, width = drawn.shape[:2]
    thickness = max(1, round(max(height, width) / 500))
    for box, text in marks:
        cv2.rectangle(drawn, (box.x, box.y), (box.x + box.width, box.y + box.height), BOX, thickness)
        scale = max(0.4, box.width / 180)
        (wide, high), below = cv2.getTextSize(text, FONT, scale, thickness)
        # Above the box where there is room, else inside of it; never over the picture's right edge.
        left = max(0, min(box.x, width - wide))
        bottom = box.y - below if box.y >= high + 2 * below else box.y + high + below
        cv2.rectangle(drawn, (left, bottom - high - below), (left + wide, bottom + below), BOX, -1)
        cv2.putText(drawn, text, (left, bottom), FONT, scale, INK, thickness, cv2.LINE_AA)
    return drawn


class Album:
    """A folder of drawn pictures, each under its own name; two of one name get numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def add(self, look: Look) -> Path | None:
        """Write a picture with its faces, as PNG; None where it could not be read."""
        if look.image is None:
            return None
        file, _, frame = look.name.rpartition("#") if "#" in look.name else (look.name, "", "")
        stem = "stdin" if file == "-" else Path(file).stem
        name = wanted = f"{stem}-{int(frame):06d}" if frame.isdecimal() else stem
        number = 1
        while name in self._used:
            number += 1
            name = f"{wanted}-{number}"
        self._used.add(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.png"
        _, content = cv2.imencode(".png", draw(look.image, look.faces))
        atomic.write_bytes(path, content.tobytes())
        return path
