"""Split a data set into training and validation images, and score an epoch on the latter.

    split = validation_split(dataset, settings)     # compute once, and pass it on
    split.training, split.validation, split.name
    split.prepare(settings.input)                   # the same split, with preprocessed images

The validation images select the best epoch. PrivateTest is never used.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import InputSpec
from edgefer.data.dataset import Dataset, Split
from edgefer.data.pixels import prepared
from edgefer.errors import DataError
from edgefer.statistics import cross_entropy
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["ValidationSplit", "drop_validation", "validation_loss", "validation_split"]


class ValidationSplit(NamedTuple):
    """Images that train a network, and images that select its best epoch.

    Attributes:
        training: training images.
        validation: validation images.
        name: name of the validation split.
    """

    training: Split
    validation: Split
    name: str

    def prepare(self, spec: InputSpec) -> ValidationSplit:
        """Return the split with all images preprocessed for a model input; LazyPixels are when they are read."""
        training, validation = (
            dataclasses.replace(split, pixels=prepared(split.pixels, spec))
            for split in (self.training, self.validation)
        )
        return self._replace(training=training, validation=validation)


def validation_split(dataset: Dataset, settings: TrainSettings) -> ValidationSplit:
    """Split a data set into training images and validation images.

    PublicTest is the validation split if it exists and ``settings.selection`` is "public". Otherwise a stratified share
    of Training is held out.
    """
    training = dataset.split("Training")
    if settings.selection == "public" and "PublicTest" in dataset.splits:
        return ValidationSplit(training, dataset.split("PublicTest"), "PublicTest")
    generator = np.random.default_rng([settings.seed, 1])
    held_out = np.zeros(len(training), bool)
    for label in range(len(training.label_names)):
        members = generator.permutation(np.flatnonzero(training.labels == label))
        held_out[members[: round(len(members) * settings.selection_share)]] = True
    name = f"{settings.selection_share:.0%} of Training"
    return ValidationSplit(training.take(~held_out), training.take(held_out), name)


def drop_validation(dataset: Dataset, split: ValidationSplit) -> Dataset:
    """Return the data set with the validation images moved out of Training into a split of their own."""
    return dataclasses.replace(
        dataset, splits={**dataset.splits, "Training": split.training, split.name: split.validation}
    )


def validation_loss(logits: npt.NDArray[np.float32], validation: Split, *, what: str, hint: str) -> float:
    """Compute the cross-entropy in nats.

    Args:
        logits: float32 (n, classes).
        validation: validation images, with n labels.
        what: message of the error.
        hint: hint of the error.

    Raises:
        DataError: the loss is not finite.
    """
    loss = cross_entropy(logits, validation.labels)
    if not np.isfinite(loss):
        raise DataError(what, why=f"the validation loss is {loss}", hint=hint)
    return loss
