"""Prepare the images that evaluate a model; they are the same for a Keras run and a .tflite.

    images = make_evaluation_set(dataset, dataset.split("PublicTest"), name="PublicTest", spec=artifact.input_spec)
    images.faces, images.labels, images.seen_in_training
    outputs = ModelOutputs(images, logits, evaluation)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import InputSpec
from edgefer.data.dataset import Dataset, Split
from edgefer.data.pixels import Pixels, prepared
from edgefer.results.evaluation import Evaluation
from edgefer.statistics import softmax

__all__ = ["EvaluationSet", "ModelOutputs", "make_evaluation_set"]


@dataclass(frozen=True)
class EvaluationSet:
    """Images of one split, prepared for the input of a model.

    Attributes:
        data: format of the data set.
        split: name of the split, for results.
        faces: uint8 (n, h, w) in gray or (n, h, w, 3) in color; LazyPixels are prepared whenever they are read.
        labels: int64 (n,), class indices.
        rows: int64 (n,), row of each image in its source.
        seen_in_training: bool (n,), True for images whose pixels also occur in Training; None without a Training split.
    """

    data: str
    split: str
    faces: Pixels
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    seen_in_training: npt.NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """Logits of a model for an evaluation set, and their scores.

    Attributes:
        images: the evaluation set.
        logits: float32 (n, classes).
        evaluation: scores of the logits.
        temperature: temperature in the contract of the model; 1 for a Keras network, which has no contract.
    """

    images: EvaluationSet
    logits: npt.NDArray[np.float32]
    evaluation: Evaluation
    temperature: float = 1.0

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Class probabilities at the temperature of the model, float64 (n, classes)."""
        return softmax(self.logits.astype(np.float64), temperature=self.temperature)


def make_evaluation_set(dataset: Dataset, split: Split, *, name: str, spec: InputSpec) -> EvaluationSet:
    """Prepare the images of a split for the input of a model.

    Args:
        dataset: source of the split; its Training split marks duplicates.
        split: images to evaluate.
        name: name of the split, for results.
        spec: input of the model.
    """
    training = dataset.splits.get("Training")
    seen = None if training is None or name == "Training" else split.duplicates_of(training)
    return EvaluationSet(dataset.layout, name, prepared(split.pixels, spec), split.labels, split.rows, seen)
