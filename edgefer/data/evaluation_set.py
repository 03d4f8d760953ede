"""Images on which a model is evaluated, equal for a Keras run and a .tflite.

    images = make_evaluation_set(dataset, dataset.split("PublicTest"), name="PublicTest", spec=artifact.input_spec)
    images.faces, images.labels, images.seen_in_training
    outputs = ModelOutputs(images, logits, evaluation)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import InputSpec, prepare_all
from edgefer.data.dataset import Dataset, Split
from edgefer.results.evaluation import Evaluation
from edgefer.statistics import softmax

__all__ = ["EvaluationSet", "ModelOutputs", "make_evaluation_set"]


@dataclass(frozen=True)
class EvaluationSet:
    """The images that a model is scored on.

    Attributes:
        data: the data set, for people.
        split: the name that results are quoted with.
        faces: uint8 (n, h, w). labels: int64 (n,).
        rows: int64 (n,), the identity of each image in its source.
        seen_in_training: bool (n,), whether the same pixels stand in Training; None where Training is not at hand.
    """

    data: str
    split: str
    faces: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    seen_in_training: npt.NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What a model made of a score set.

    Attributes:
        images: what it was shown.
        logits: float32 (n, classes), what it answered.
        evaluation: how good that is.
        temperature: of the model's contract; a run that is still a Keras network has none, which is 1.
    """

    images: EvaluationSet
    logits: npt.NDArray[np.float32]
    evaluation: Evaluation
    temperature: float = 1.0

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """float64 (n, classes), as the model's user sees them."""
        return softmax(self.logits.astype(np.float64), temperature=self.temperature)


def make_evaluation_set(dataset: Dataset, split: Split, *, name: str, spec: InputSpec) -> EvaluationSet:
    """The images of ``split`` as ``spec`` wants them; ``name`` is how the result will be quoted."""
    training = dataset.splits.get("Training")
    seen = None
    if training is not None and name != "Training":
        seen = split.duplicates_of(training)
    return EvaluationSet(dataset.layout, name, prepare_all(split.pixels, spec), split.labels, split.rows, seen)
