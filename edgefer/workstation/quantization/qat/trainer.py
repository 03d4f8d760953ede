"""Train a network with simulated int8 arithmetic, one epoch at a time, with its float network as teacher.

    trainer = QatTrainer(keras, base, fake_quantize(base, faces), QatSettings(), plan)
    epoch = trainer.run_epoch(make_epoch(split, plan, epoch=0), [], progress)

All random draws of an epoch follow from (seed, epoch), and variables() holds everything that the next epoch needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import UsageError
from edgefer.progress import Progress
from edgefer.workstation.quantization.qat.fake_quantization import sync_ranges
from edgefer.workstation.training.augmentation import augmentation_layer
from edgefer.workstation.training.schedule import Epoch, learning_rate
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["QatEpoch", "QatSettings", "QatTrainer"]


@dataclass(frozen=True)
class QatSettings:
    """How a network is fine-tuned; the run's own settings say the rest.

    Attributes:
        epochs: passes over the training images; the run's schedule is laid out over them, without warm-up. Within an
            epoch the rate goes straight to that of the next: there are few, and rounded weights settle in small steps.
        learning_rate: of Adam, at its peak.
        batch_size: images of one step.
        distill: share of the loss that is the distance from the float parent's answers to the same augmented images
            (the Kullback-Leibler divergence of their softmax); the rest is cross-entropy with the labels. 1 learns from
            the parent alone. Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
        temperature: what the logits of both are divided by before that; the divergence is multiplied by its square.
        seed: everything random follows from it.
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
                raise UsageError(f"{name} = {value!r}", why=f"{low:g} to {high:g} was expected", hint=hint)


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
    """One row of history.csv; the scores are those of the simulation of int8, on the selection split.

    Attributes:
        learning_rate: at the beginning of the epoch.
        agreement: share of the selection split's images that get the same label from the float parent.
    """

    agreement: float


class QatTrainer:
    """The simulation of int8 in training, with its optimizer and its float parent."""

    def __init__(self, keras: Any, twin: Any, model: Any, settings: QatSettings, plan: TrainSettings) -> None:
        import tensorflow as tf
        import tf_keras

        self.twin, self.model, self.settings, self.plan = twin, model, settings, plan
        self.augment = augmentation_layer(keras, plan.augment, height=plan.input.height, width=plan.input.width)
        # No decay: the network has been trained, and pulling its weights to zero would take it away from its parent.
        self.optimizer = tf_keras.optimizers.Adam(settings.learning_rate)
        self.optimizer.build(model.trainable_variables)
        self.step = tf.function(self._step)

    def variables(self) -> list[Any]:
        """All that the next epoch starts from."""
        return [*self.model.variables, *self.optimizer.variables]

    def run_epoch(
        self, data: tuple[npt.NDArray[Any], ...], history: Sequence[QatEpoch], progress: Progress
    ) -> QatEpoch:
        """One pass over ``data``; the scores on the selection split are not known yet."""
        size, number = self.settings.batch_size, len(history)
        unknown = QatEpoch(number + 1, learning_rate(history, self.plan), *[float("nan")] * 6)
        following = learning_rate([*history, unknown], self.plan)
        self._reseed(number)
        started_ns = time.monotonic_ns()
        results = []
        steps = range(0, len(data[0]), size)
        for index, start in enumerate(steps):
            passed = index / len(steps)
            self.optimizer.learning_rate.assign((1 - passed) * unknown.learning_rate + passed * following)
            results.append([float(value) for value in self.step(*(each[start : start + size] for each in data))])
            if index % 8 == 0:
                note = f"fine-tuning, epoch {number + 1}, batch {index + 1}/{len(steps)}"
                progress(number, self.settings.epochs, note)
        sync_ranges(self.model)
        loss, accuracy = np.mean(results, axis=0)
        duration_s = round((time.monotonic_ns() - started_ns) / 1e9, 1)
        return replace(unknown, loss=float(loss), accuracy=float(accuracy), duration_s=duration_s)

    def _reseed(self, epoch: int) -> None:
        words = np.random.SeedSequence([self.settings.seed, 4, epoch]).generate_state(2)
        self.augment.seeds.state.assign(words.astype(np.int64) % 2**31)

    def _step(self, pixels: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """Learn one batch; its mean loss, and the share of its images that get their most likely label."""
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
            teacher = self.twin(images, training=False) / temperature
            surprise = tf.nn.log_softmax(teacher) - tf.nn.log_softmax(logits / temperature)
            loss += share * temperature**2 * tf.reduce_sum(tf.nn.softmax(teacher) * surprise, axis=1)
        return loss
