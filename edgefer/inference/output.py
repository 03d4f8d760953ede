"""Format predictions: annotated images, JSON, CSV and text tables.

    annotated = draw_faces(image, faces)            # a copy
    annotated = draw_boxes(image, [(box, "happy 91%")])
    AnnotatedImageWriter(Path("annotated")).add(result)

    to_record(result, labels)                       # one image with its faces, for --json
    to_json_lines(result, labels)                   # one line per face
    to_csv_rows(result)                             # one row per face, for CSV_HEADER
    format_table(results)
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
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

# Orange of Okabe and Ito, and black; BGR. Legible on light and dark skin and for color-blind readers.
BOX_COLOR, TEXT_COLOR = (0, 159, 230), (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_faces(image: npt.NDArray[np.uint8], faces: Sequence[Face]) -> npt.NDArray[np.uint8]:
    """Return a copy of ``image``, uint8 BGR (h, w, 3), with the box and label of each face."""
    return draw_boxes(
        image, [(face.box, caption(face.prediction.label, face.prediction.probability)) for face in faces]
    )


def caption(label: str, probability: float | None) -> str:
    """Format the text for a face's box, such as "happy 91%"; without a probability, return the label alone."""
    return label if probability is None else f"{label} {probability:.0%}"


def draw_boxes(image: npt.NDArray[np.uint8], captions: Sequence[tuple[FaceBox, str]]) -> npt.NDArray[np.uint8]:
    """Return a copy of ``image``, uint8 BGR (h, w, 3), with boxes and a text for each.

    Texts do not cover each other unless the image has no room for all of them. The font of OpenCV has only the
    characters of ASCII: accents are omitted, and any other character is a question mark.
    """
    captions = [(box, _to_ascii(text)) for box, text in captions]
    drawn = np.ascontiguousarray(image).copy()
    height, width = drawn.shape[:2]
    thickness = max(1, round(max(height, width) / 500))
    for box, _ in captions:
        cv2.rectangle(drawn, (box.x, box.y), (box.x + box.width, box.y + box.height), BOX_COLOR, thickness)
    backgrounds: list[FaceBox] = []
    for box, text in captions:
        scale = max(0.4, box.width / 180)
        (wide, high), below = cv2.getTextSize(text, FONT, scale, thickness)
        background = _place_text(box, (wide, high + 2 * below), (width, height), backgrounds)
        backgrounds.append(background)
        left, top = background.x, background.y
        cv2.rectangle(drawn, (left, top), (left + wide, top + background.height), BOX_COLOR, -1)
        cv2.putText(drawn, text, (left, top + high + below), FONT, scale, TEXT_COLOR, thickness, cv2.LINE_AA)
    return drawn


def _to_ascii(text: str) -> str:
    letters = (character for character in unicodedata.normalize("NFKD", text) if not unicodedata.combining(character))
    return "".join(letters).encode("ascii", "replace").decode()


def _place_text(box: FaceBox, size: tuple[int, int], image_size: tuple[int, int], taken: list[FaceBox]) -> FaceBox:
    """Return the background for the text of ``box``, free of those in ``taken`` if there is room.

    Args:
        box: the face.
        size, image_size: width and height of the background and of the image, pixels.
        taken: backgrounds of other texts.
    """
    width, height = size
    # Never beyond the right edge of the image.
    left = max(0, min(box.x, image_size[0] - width))
    for top in _candidate_tops(box, height, image_size[1]):
        place = FaceBox(left, top, width, height)
        if not any(_overlap(place, other) for other in taken):
            return place
    return FaceBox(left, box.y - height if box.y >= height else box.y, width, height)


def _candidate_tops(box: FaceBox, height: int, image_height: int) -> Iterator[int]:
    """Yield the tops for a text, the best first: above the box, in it, below it, then anywhere in the image."""
    end, last = box.y + box.height, image_height - height - 1
    yield from (top for top in (box.y - height, box.y, end + 1, end - height) if 0 <= top <= last)
    yield from sorted(range(last + 1), key=lambda top: abs(top - box.y))


def _overlap(one: FaceBox, other: FaceBox) -> bool:
    return (
        one.x <= other.x + other.width and other.x <= one.x + one.width
        and one.y <= other.y + other.height and other.y <= one.y + one.height
    )  # fmt: skip


class AnnotatedImageWriter:
    """Folder of annotated images, named after their files; equal names get numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def add(self, result: ImageResult) -> Path | None:
        """Write an image with its faces as PNG and return the path; return None if there is no image."""
        if result.image is None:
            return None
        # The name of a file may contain "#" too, as in "photo #2.jpg".
        frame = re.fullmatch(r"(.*)#(\d+)", result.name, re.ASCII | re.DOTALL)
        file = frame[1] if frame else result.name
        stem = "stdin" if file == "-" else Path(file).stem
        name = base = f"{stem}-{int(frame[2]):06d}" if frame else stem
        number = 1
        while name in self._used:
            number += 1
            name = f"{base}-{number}"
        self._used.add(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.png"
        _, content = cv2.imencode(".png", draw_faces(result.image, result.faces))
        files.write_bytes(path, content.tobytes())
        return path


CSV_HEADER = ("image", "label", "probability", "x", "y", "width", "height")


def to_record(result: ImageResult, labels: Sequence[str]) -> dict[str, Any]:
    """Return an image and its faces as JSON-compatible values; boxes are [x, y, width, height], pixels of the file."""
    record: dict[str, Any] = {"image": result.name, "faces": [_face(result, face, labels) for face in result.faces]}
    return record if result.problem is None else {**record, "error": result.problem.what, "why": result.problem.why}


def to_json_lines(result: ImageResult, labels: Sequence[str]) -> list[str]:
    """Return one JSON object per face; an unreadable image gives one object with its error."""
    if result.problem is not None:
        return [json.dumps({"image": result.name, "error": result.problem.what, "why": result.problem.why})]
    return [json.dumps({"image": result.name, **_face(result, face, labels)}) for face in result.faces]


def to_csv_rows(result: ImageResult) -> list[tuple[object, ...]]:
    """Return one row per face, with the columns of CSV_HEADER."""
    return [
        (result.name, face.prediction.label, f"{face.prediction.probability:.4f}", *_box(result, face))
        for face in result.faces
    ]


def format_table(results: Sequence[ImageResult]) -> str:
    """Return a table with one row per face, per image without a face, and per unreadable image."""
    rows: list[list[object]] = []
    for result in results:
        if result.problem is not None:
            rows.append([result.name, "cannot be read", None, None])
        elif not result.faces:
            rows.append([result.name, "no face found", None, None])
        for face in result.faces:
            position = "{},{} {}x{}".format(*_box(result, face))
            rows.append([result.name, face.prediction.label, percent(face.prediction.probability), position])
    return table(["image", "expression", "probability", "x,y size"], rows)


def _box(result: ImageResult, face: Face) -> list[int]:
    """Return [x, y, width, height] in pixels of the file."""
    return [side * result.reduction for side in (face.box.x, face.box.y, face.box.width, face.box.height)]


def _face(result: ImageResult, face: Face, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "label": face.prediction.label,
        "probability": face.prediction.probability,
        "box": _box(result, face),
        "probabilities": dict(zip(labels, face.prediction.probabilities.tolist())),
    }
