"""Record of ``edgefer import``: the input of a model, its labels, and the origin of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgefer.results import schema

__all__ = ["ModelImport", "TriedInput"]


@dataclass(frozen=True)
class TriedInput:
    """Score of the model with one candidate input.

    Attributes:
        input: description of the input.
        accuracy: share of faces with the correct label, in 0..1.
    """

    input: str
    accuracy: float


@dataclass(frozen=True)
class ModelImport:
    """Result of an import.

    Attributes:
        file: name of the imported file.
        kind: kind of the file, such as "a TensorFlow Lite model".
        path: file or run folder that was written.
        input: fields of the InputSpec.
        described_input: the same as text.
        labels: class names in the order of the outputs.
        labels_from: origin of the labels, such as "--labels".
        output: "logits" or "probabilities".
        tried: inputs that were scored, in descending order of accuracy; empty without data.
        faces: number of faces that scored them.
        data: name of the data set; empty without one.
        notes: sentences for the user.
    """

    file: str
    kind: str
    path: str
    input: dict[str, Any]
    described_input: str
    labels: tuple[str, ...]
    labels_from: str
    output: str
    tried: tuple[TriedInput, ...] = ()
    faces: int = 0
    data: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return JSON-compatible values."""
        return {
            **schema.header("import", 1),
            "file": self.file,
            "path": self.path,
            "input": self.input,
            "labels": list(self.labels),
            "labels_from": self.labels_from,
            "output": self.output,
            "tried": [{"input": tried.input, "accuracy": tried.accuracy} for tried in self.tried],
            "faces": self.faces,
            "data": self.data,
            "notes": list(self.notes),
        }
