"""What was seen in pictures: as plain values, as lines for programs, as a table for people.

    entry(look, labels)                             # what --json holds for a picture
    jsonl(look, labels), csv_rows(look)             # a line a face
    predictions_text(looks)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from edgefer.board.gallery import Look
from edgefer.board.pipeline import Face
from edgefer.result import percent, table

__all__ = ["CSV_HEADER", "csv_rows", "entry", "jsonl", "predictions_text"]

CSV_HEADER = ("image", "label", "probability", "x", "y", "width", "height")


def entry(look: Look, labels: Sequence[str]) -> dict[str, Any]:
    """A picture and its faces; boxes are [x, y, width, height] in pixels of the file."""
    found: dict[str, Any] = {"image": look.name, "faces": [_face(look, face, labels) for face in look.faces]}
    return found if look.problem is None else {**found, "error": look.problem.what, "why": look.problem.why}


def jsonl(look: Look, labels: Sequence[str]) -> list[str]:
    """One JSON object a face, and one with an error for a picture that could not be read."""
    if look.problem is not None:
        return [json.dumps({"image": look.name, "error": look.problem.what, "why": look.problem.why})]
    return [json.dumps({"image": look.name, **_face(look, face, labels)}) for face in look.faces]


def csv_rows(look: Look) -> list[tuple[object, ...]]:
    """One row a face, for CSV_HEADER."""
    return [
        (look.name, face.prediction.label, f"{face.prediction.probability:.4f}", *_place(look, face))
        for face in look.faces
    ]


def predictions_text(looks: Sequence[Look]) -> str:
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


def _place(look: Look, face: Face) -> list[int]:
    return [side * look.reduction for side in (face.box.x, face.box.y, face.box.width, face.box.height)]


def _face(look: Look, face: Face, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "label": face.prediction.label,
        "probability": face.prediction.probability,
        "box": _place(look, face),
        "probabilities": dict(zip(labels, face.prediction.probabilities.tolist())),
    }
