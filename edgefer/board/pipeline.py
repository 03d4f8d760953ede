"""From a picture to what each face in it looks like.

    pipeline = Pipeline.open(edgefer.models.SHIPPED)        # the model that ships, and Haar
    for face in pipeline(image):                    # uint8 BGR (h, w, 3)
        face.box, face.prediction.label

Without a finder the whole picture is taken for one face. A pipeline belongs to one thread.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefer.board.classifier import Classifier, Prediction
from edgefer.board.faces import LONGEST_SIDE, FaceBox, FaceFinder

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
    def open(
        cls, model: str | os.PathLike[str], *, detector: str = "haar", longest_side: int = LONGEST_SIDE
    ) -> Pipeline:
        """Load a model and a detector; the rest, and the errors, are Classifier.open()'s and FaceFinder.open()'s."""
        return cls(Classifier.open(model), FaceFinder.open(detector, longest_side=longest_side))

    def __call__(self, image: npt.NDArray[np.uint8]) -> tuple[Face, ...]:
        """The faces of uint8 (h, w) or BGR (h, w, 3), the largest first.

        Raises:
            DataError: not such an array.
        """
        return self.all([image])[0]

    def all(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[Face, ...]]:
        """The faces of each of several pictures, classified together."""
        boxes = [self._boxes(image) for image in images]
        crops = [self._crop(image, box) for image, found in zip(images, boxes) for box in found]
        predictions = iter(self.classifier.predict_all(crops))
        return [tuple(Face(box, next(predictions)) for box in found) for found in boxes]

    def _boxes(self, image: npt.NDArray[np.uint8]) -> tuple[FaceBox, ...]:
        if self.finder is None:
            return (FaceBox(0, 0, image.shape[1], image.shape[0]),)
        return self.finder.find(image)

    def _crop(self, image: npt.NDArray[np.uint8], box: FaceBox) -> npt.NDArray[np.uint8]:
        return image if self.finder is None else self.finder.crop(image, box)
