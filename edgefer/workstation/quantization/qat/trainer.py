"""Train a network with fake quantization, one epoch at a time, with its float network as teacher.

    trainer = QatTrainer(keras, base, fake_quantize(base, faces), QatSettings(), plan)
    metrics = trainer.run_epoch(make_epoch(split, plan, epoch=0), epoch=0, rates=(1e-4, 5e-5), progress=progress)

The randomness of an epoch derives from (seed, epoch) alone. variables() returns all state that the next epoch needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.data.dataset import Split
from edgefer.errors import UsageError
from edgefer.progress import Progress
from edgefer.workstation.quantization.qat.fake_quantization import sync_ranges
from edgefer.workstation.training.augmentation import augmentation_layer
from edgefer.workstation.training.epoch_data import EpochBatches
from edgefer.workstation.training.keras_inference import keras_logits
from edgefer.workstation.training.schedule import Epoch, best_epoch
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.trainer import EpochMetrics
from edgefer.workstation.training.validation import validation_loss

__all__ = ["QatEpoch", "QatSettings", "QatTrainer", "select_epoch"]


@dataclass(frozen=True)
class QatSettings:
    """Settings of quantization-aware training; all other settings are those of the run.

    Attributes:
        epochs: passes over the training images. The run's schedule spans them, without warm-up. Within an epoch the
            learning rate changes linearly to that of the next epoch.
        learning_rate: peak learning rate of Adam.
        batch_size: images per step.
        distill: weight of the distillation loss, 0 to 1: the Kullback-Leibler divergence from the float network's
            softmax on the same augmented images. The remaining weight is cross-entropy with the labels. Hinton et al.,
            "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
        temperature: divisor of both networks' logits in the distillation loss, which is multiplied by its square.
        seed: seed of all random draws.
    """

    epochs: int = 3
    learning_rate: float = 1e-4
    batch_size: int = 128
    distill: float = 1.0
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high, hint) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} = {value!r}", why=f"expected {low:g} to {high:g}", hint=hint)


RANGES: dict[str, tuple[float, float, str]] = {
    "epochs": (1, 1_000_000, "--qat-epochs 3"),
    "learning_rate": (1e-9, 1.0, "--qat-learning-rate 1e-4"),
    "batch_size": (1, 1_000_000, "QatSettings(batch_size=128)"),
    "distill": (0.0, 1.0, "--distill-weight 1"),
    "temperature": (0.01, 1000.0, "QatSettings(temperature=1.0)"),
    "seed": (0, 2**31 - 1, "QatSettings(seed=0)"),
}


@dataclass(frozen=True)
class QatEpoch(Epoch):
    """One row of history.csv; the fake-quantized network is scored on the validation split.

    Attributes:
        learning_rate: learning rate at the start of the epoch.
        agreement: share of the validation images, 0 to 1, for which the float network predicts the same label.
    """

    agreement: float


def select_epoch(history: Sequence[QatEpoch], settings: QatSettings, plan: TrainSettings) -> QatEpoch:
    """Return the best epoch by the run's monitored metric, or by agreement if the loss has no labels.

    Without labels in the loss, accuracies differ by chance alone, and selection by accuracy would bias the result.

    Args:
        history: completed epochs, at least one.
        settings: settings of the fine-tuning.
        plan: training settings of the fine-tuning, with the monitored metric.
    """
    if settings.distill == 1:
        return max(history, key=lambda epoch: epoch.agreement)
    return history[best_epoch(history, plan)]


class QatTrainer:
    """A fake-quantized network with its optimizer and its float network."""

    def __init__(self, keras: Any, base: Any, model: Any, settings: QatSettings, plan: TrainSettings) -> None:
        import tensorflow as tf
        import tf_keras

        self.base, self.model, self.settings, self.plan = base, model, settings, plan
        self.augment = augmentation_layer(keras, plan.augment, plan.input)
        # No weight decay: it would move the trained weights away from those of the float network.
        self.optimizer = tf_keras.optimizers.Adam(settings.learning_rate)
        self.optimizer.build(model.trainable_variables)
        self.step = tf.function(self._step)

    def variables(self) -> list[Any]:
        """Return the variables of the network and of the optimizer."""
        return [*self.model.variables, *self.optimizer.variables]

    def run_epoch(
        self, batches: EpochBatches, *, epoch: int, rates: tuple[float, float], progress: Progress
    ) -> EpochMetrics:
        """Train for one epoch and synchronize the ranges of the kernels.

        Args:
            batches: batches of the epoch.
            epoch: epoch number, counted from 0.
            rates: learning rates at the start and at the end of the epoch; linear in between.
            progress: progress callback.
        """
        first_rate, last_rate = rates
        self._reseed(epoch)
        started_ns = time.monotonic_ns()
        results = []
        steps = len(batches)
        for index, batch in enumerate(batches):
            passed = index / steps
            self.optimizer.learning_rate.assign((1 - passed) * first_rate + passed * last_rate)
            results.append([float(value) for value in self.step(*batch)])
            if index % 8 == 0:
                note = f"fine-tuning, epoch {epoch + 1}, batch {index + 1}/{steps}"
                progress(epoch, self.settings.epochs, note)
        sync_ranges(self.model, self.plan.input.range)
        loss, accuracy = np.mean(results, axis=0)
        duration_s = round((time.monotonic_ns() - started_ns) / 1e9, 1)
        return EpochMetrics(float(loss), float(accuracy), duration_s)

    def evaluate(self, validation: Split, float_labels: npt.NDArray[np.intp], *, epoch: int) -> dict[str, float]:
        """Score the fake-quantized network on the validation images.

        Args:
            validation: preprocessed images.
            float_labels: labels that the float network predicts for them, (n,).
            epoch: epoch number, counted from 0, for the error.

        Returns:
            The scores of a QatEpoch: selection_loss, selection_accuracy and agreement.

        Raises:
            DataError: the loss is not finite.
        """
        logits = keras_logits(self.model, validation.pixels, self.plan.input)
        hint = f"--qat-learning-rate {self.settings.learning_rate / 10:g}"
        what = f"the fine-tuning has diverged in epoch {epoch + 1}"
        loss = validation_loss(logits, validation, what=what, hint=hint)
        predictions = logits.argmax(axis=1)
        accuracy, agreement = (float((predictions == labels).mean()) for labels in (validation.labels, float_labels))
        return {"selection_loss": loss, "selection_accuracy": accuracy, "agreement": agreement}

    def _reseed(self, epoch: int) -> None:
        words = np.random.SeedSequence([self.settings.seed, 4, epoch]).generate_state(2)
        self.augment.seeds.state.assign(words.astype(np.int64) % 2**31)

    def _step(self, pixels: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """Train on one batch; return its mean loss and its accuracy as a fraction."""
        import tensorflow as tf

        images = self.augment(pixels, training=True)
        trained = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            loss = tf.reduce_mean(weights * self._loss(tf, images, logits, targets))
        self.optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained))
        is_right = tf.argmax(logits, axis=1) == tf.argmax(targets, axis=1)
        return loss, tf.reduce_mean(tf.cast(is_right, tf.float32))

    def _loss(self, tf: Any, images: Any, logits: Any, targets: Any) -> Any:
        share, temperature = self.settings.distill, self.settings.temperature
        loss = 0.0
        if share < 1:
            loss += (1 - share) * tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        if share > 0:
            teacher = self.base(images, training=False) / temperature
            divergence = tf.nn.log_softmax(teacher) - tf.nn.log_softmax(logits / temperature)
            loss += share * temperature**2 * tf.reduce_sum(tf.nn.softmax(teacher) * divergence, axis=1)
        return loss
