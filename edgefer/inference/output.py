"""Faces drawn into their picture: a box and a label each.

    annotated = draw(image, faces)                  # a copy
    annotated = mark(image, [(box, "happy 91%")])
    Album(Path("seen")).add(look)                   # written there, under the picture's name

What was seen in pictures: as plain values, as lines for programs, as a table for people.

    entry(look, labels)                             # what --json holds for a picture
    jsonl(look, labels), csv_rows(look)             # a line a face
    predictions_text(looks)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.inference.face_detection import FaceBox
from edgefer.inference.pipeline import Face, ImageResult
from edgefer.text_table import percent, table

__all__ = [
    "CSV_HEADER",
    "AnnotatedImageWriter",
    "caption",
    "draw_boxes",
    "draw_faces",
    "format_table",
    "to_csv_rows",
    "to_json_lines",
    "to_record",
]

# Okabe and Ito's orange and black, BGR: legible on skin and on shadow, and for colour-blind readers.
BOX, INK = (0, 159, 230), (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_faces(image: npt.NDArray[np.uint8], faces: Sequence[Face]) -> npt.NDArray[np.uint8]:
    """uint8 BGR (h, w, 3) with boxes and labels in it; ``image`` stays as it is."""
    return draw_boxes(
        image, [(face.box, caption(face.prediction.label, face.prediction.probability)) for face in faces]
    )


def caption(label: str, probability: float | None) -> str:
    """Format the text for a face's box, such as "happy 91%"; without a probability, return the label alone."""
    return label if probability is None else f"{label} {probability:.0%}"


def draw_boxes(image: npt.NDArray[np.uint8], marks: Sequence[tuple[FaceBox, str]]) -> npt.NDArray[np.uint8]:
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


class AnnotatedImageWriter:
    """A folder of drawn pictures, each under its own name; two of one name get numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def add(self, look: ImageResult) -> Path | None:
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
        _, content = cv2.imencode(".png", draw_faces(look.image, look.faces))
        files.write_bytes(path, content.tobytes())
        return path


CSV_HEADER = ("image", "label", "probability", "x", "y", "width", "height")


def to_record(look: ImageResult, labels: Sequence[str]) -> dict[str, Any]:
    """A picture and its faces; boxes are [x, y, width, height] in pixels of the file."""
    found: dict[str, Any] = {"image": look.name, "faces": [_face(look, face, labels) for face in look.faces]}
    return found if look.problem is None else {**found, "error": look.problem.what, "why": look.problem.why}


def to_json_lines(look: ImageResult, labels: Sequence[str]) -> list[str]:
    """One JSON object a face, and one with an error for a picture that could not be read."""
    if look.problem is not None:
        return [json.dumps({"image": look.name, "error": look.problem.what, "why": look.problem.why})]
    return [json.dumps({"image": look.name, **_face(look, face, labels)}) for face in look.faces]


def to_csv_rows(look: ImageResult) -> list[tuple[object, ...]]:
    """One row a face, for CSV_HEADER."""
    return [
        (look.name, face.prediction.label, f"{face.prediction.probability:.4f}", *_place(look, face))
        for face in look.faces
    ]


def format_table(looks: Sequence[ImageResult]) -> str:
    """A table with a row a face; pictures without one, and those that could not be read, have a row too."""
    rows: list[list[object]] = []
    for look in looks:
        if look.problem is not None:
            rows.append([look.name, "cannot be read", None, None])
        elif not look.faces:
            rows.append([look.name, "no face found", None, None])
        for face in look.faces:
            place = "{},{} {}x{}".format(*_place(look, face))
            rows.append([look.name, face.prediction.label, percent(face.prediction.probability), place])
    return table(["image", "expression", "probability", "x,y size"], rows)


def _place(look: ImageResult, face: Face) -> list[int]:
    return [side * look.reduction for side in (face.box.x, face.box.y, face.box.width, face.box.height)]


def _face(look: ImageResult, face: Face, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "label": face.prediction.label,
        "probability": face.prediction.probability,
        "box": _place(look, face),
        "probabilities": dict(zip(labels, face.prediction.probabilities.tolist())),
    }
