"""From a picture to what each face in it looks like.

    pipeline = Pipeline.open(edgefer.models.SHIPPED)        # the model that ships, and Haar
    for face in pipeline(image):                    # uint8 BGR (h, w, 3)
        face.box, face.prediction.label

Without a finder the whole picture is taken for one face. A pipeline belongs to one thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefer.board.classifier import Classifier, Prediction
from edgefer.board.faces import FaceBox, FaceFinder

__all__ = ["Face", "Pipeline"]


@dataclass(frozen=True)
class Face:
    """A face, and what it looks like.

    Attributes:
        box: where it is.
        prediction: what the classifier makes of it.
    """

    box: FaceBox
    prediction: Prediction


class Pipeline:
    """A finder of faces and a classifier."""

    def __init__(self, classifier: Classifier, finder: FaceFinder | None) -> None:
        self.classifier, self.finder = classifier, finder

    @classmethod
    def open(cls, model: str | os.PathLike[str], *, detector: str = "haar") -> Pipeline:
        """Load a model and a detector; the errors are those of Classifier.open() and FaceFinder.open()."""
        return cls(Classifier.open(model), FaceFinder.open(detector))

    def __call__(self, image: npt.NDArray[np.uint8]) -> tuple[Face, ...]:
        """The faces of uint8 (h, w) or BGR (h, w, 3), the largest first.

        Raises:
            DataError: not such an array.
        """
        if self.finder is None:
            whole = FaceBox(0, 0, image.shape[1], image.shape[0])
            return (Face(whole, self.classifier.predict(image)),)
        found = self.finder.find(image)
        return tuple(Face(box, self.classifier.predict(self.finder.crop(image, box))) for box in found)
