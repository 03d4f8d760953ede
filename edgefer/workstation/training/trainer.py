"""Train a network, maintain its averaged weights, and save and restore the complete training state.

    trainer = Trainer(keras, settings, steps_per_epoch=224, classes=7)
    history = trainer.restore(run)
    metrics = trainer.run_epoch(batches, epoch=len(history), learning_rate=0.1, progress=progress)
    trainer.save(run, [*history, epoch])            # an Epoch of these metrics and the validation score

The randomness of an epoch derives from (seed, epoch) alone. The file that save() writes holds all state that the next
epoch needs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import FLOAT32, encode, encoder, with_channels
from edgefer.data.dataset import Split
from edgefer.data.pixels import Pixels, chunks, subset
from edgefer.errors import DataError, UsageError
from edgefer.progress import Progress
from edgefer.workstation.networks.data_parallel import DataParallel
from edgefer.workstation.training.augmentation import augmentation_layer
from edgefer.workstation.training.epoch_data import EpochBatches
from edgefer.workstation.training.jax_epoch import (
    compiles_epochs,
    predict_locally,
    refresh_statistics,
    run_compiled_epoch,
)
from edgefer.workstation.training.keras_batches import keras_batches
from edgefer.workstation.training.losses import label_accuracy, training_loss
from edgefer.workstation.training.model import build_network, load_weights, save_weights
from edgefer.workstation.training.optimizer import create_optimizer
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import Epoch
from edgefer.workstation.training.settings import NO_AUGMENT, TrainSettings
from edgefer.workstation.training.settings_toml import from_toml, to_toml
from edgefer.workstation.training.state import State, check_variables, read_state, write_state

__all__ = ["SEGMENT_BYTES", "EpochMetrics", "Trainer", "read_training_state"]

# Keras keeps weights and normalization in float32 in the mixed policies.
DTYPE_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
EVALUATION_BATCH = 256
STATISTICS_BATCHES = 16
# Pixels in one call of a compiled program; a larger epoch takes several calls.
SEGMENT_BYTES = 512 << 20
# Estimates the recall of the rarest class within a few points, for a tenth of the cost of an epoch.
RECALL_IMAGES = 8192


@contextlib.contextmanager
def _restored_generators() -> Iterator[None]:
    """Restore the global generators of Python and NumPy, which Keras seeds and which belong to the program."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the generator of others
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002 - the generator of others


@dataclass(frozen=True)
class EpochMetrics:
    """Training metrics of one epoch.

    Attributes:
        loss, accuracy: means over the augmented training images during the epoch; accuracy is a fraction.
        duration_s: wall-clock time in seconds.
    """

    loss: float
    accuracy: float
    duration_s: float


class Trainer:
    """A compiled model with its optimizer, raw weights and averaged weights.

    Attributes:
        raw: trainable weights without averaging, from which the next epoch continues.
        per_class_recall: float64 (classes,), recall of each class on training images; None until it is measured.
        compiles_epochs: run an epoch as one compiled program instead of with fit().
    """

    @_restored_generators()
    def __init__(
        self,
        keras: Any,
        settings: TrainSettings,
        *,
        steps_per_epoch: int,
        classes: int,
        distill: bool = False,
        parallel: DataParallel | None = None,
    ) -> None:
        """Build the network and its optimizer.

        Args:
            keras: the Keras module.
            settings: training settings.
            steps_per_epoch: batches per epoch, for the time constant of the weight average.
            classes: number of outputs of the network.
            distill: targets contain teacher probabilities.
            parallel: devices that share each batch; None for one device. They must be active.
        """
        self.keras, self.settings, self.classes, self.parallel = keras, settings, classes, parallel
        keras.utils.set_random_seed(settings.seed)
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(DTYPE_POLICIES[settings.precision])
        try:
            self.net = build_network(keras, settings, classes=classes)
        finally:
            keras.config.set_dtype_policy(policy)
        pixels = keras.Input(settings.input.tensor_shape[1:], dtype="uint8", name="pixels")
        # Views are augmented before the training.
        augment = NO_AUGMENT if settings.views else settings.augment
        faces = augmentation_layer(keras, augment, settings.input)(pixels)
        self.model = keras.Model(pixels, self.net(faces))
        self.model.compile(
            optimizer=create_optimizer(keras, settings, self.net, steps_per_epoch=steps_per_epoch),
            loss=training_loss(keras, settings, classes=classes, distill=distill),
            weighted_metrics=[label_accuracy(keras, classes=classes)],
            # TensorFlow's image transform has no XLA kernel, and XLA slows these small networks down on a CPU.
            jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.raw: list[npt.NDArray[Any]] = []
        self.per_class_recall: npt.NDArray[np.float64] | None = None
        self.compiles_epochs = compiles_epochs(keras)

    @_restored_generators()
    def run_epoch(
        self,
        batches: EpochBatches,
        *,
        epoch: int,
        learning_rate: float,
        progress: Progress,
        plain: Pixels | None = None,
    ) -> EpochMetrics:
        """Train for one epoch; leave averaged weights in the network and raw weights in ``raw``.

        Args:
            batches: batches of the epoch.
            epoch: epoch number, counted from 0.
            learning_rate: learning rate of the epoch.
            progress: progress callback.
            plain: training images without augmentation, uint8 (n, *input.shape), if those in ``batches`` are augmented.
        """
        self.model.optimizer.learning_rate = learning_rate
        started_ns = time.monotonic_ns()
        fit = self._fit_compiled if self.compiles_epochs else self._fit
        logs = fit(batches, epoch, progress)
        if self.settings.ema_epochs:
            # On JAX the weights and their average now share buffers, which predict() would donate.
            self._assign(self.values_of(self.model.trainable_variables))
            images = STATISTICS_BATCHES * self.settings.batch_size
            pixels = batches.images(0, images)[0] if plain is None else with_channels(_sample(plain))
            self._refresh_statistics(pixels)
        duration_s = round((time.monotonic_ns() - started_ns) / 1e9, 1)
        return EpochMetrics(logs["loss"], logs["accuracy"], duration_s)

    def _fit(self, batches: EpochBatches, epoch: int, progress: Progress) -> dict[str, float]:
        callback = self._callback(epoch, len(batches), progress)
        data = keras_batches(self.keras, batches, self.parallel)
        logs = self.model.fit(data, shuffle=False, verbose=0, callbacks=[callback]).history
        return {name: float(values[-1]) for name, values in logs.items()}

    def _fit_compiled(self, batches: EpochBatches, epoch: int, progress: Progress) -> dict[str, float]:
        self.reseed(epoch)
        segments = batches.segments(SEGMENT_BYTES)
        logs = run_compiled_epoch(
            self.model, segments, batch_size=self.settings.batch_size, parallel=self.parallel
        )
        self.raw = self.values_of(self.model.trainable_variables)
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        return logs

    def reseed(self, epoch: int) -> None:
        """Reset all random generators to states derived from (seed, epoch)."""
        # Keras draws dropout from the global torch generator on torch, and from the layers' seeds on other backends.
        (word,) = np.random.SeedSequence([self.settings.seed, 3, epoch]).generate_state(1)
        self.keras.utils.set_random_seed(int(word))
        seeds = [variable for variable in self.model.variables if variable.path.endswith("seed_generator_state")]
        for index, variable in enumerate(seeds):
            words = np.random.SeedSequence([self.settings.seed, 2, epoch, index]).generate_state(2)
            variable.assign(words.astype(np.int64) % 2**31)

    def _callback(self, epoch: int, steps: int, progress: Progress) -> Any:
        trainer, settings = self, self.settings

        class EpochCallback(self.keras.callbacks.Callback):  # type: ignore[misc, name-defined]
            def on_epoch_begin(self, _: int, logs: dict[str, float] | None = None) -> None:
                # Not before fit(), which first traces the model and consumes random numbers on torch.
                trainer.reseed(epoch)

            def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
                if batch % 8 == 0:
                    progress(epoch, settings.epochs, f"epoch {epoch + 1}, batch {batch + 1}/{steps}")

            def on_epoch_end(self, _: int, logs: dict[str, float] | None = None) -> None:
                # fit() finally overwrites the weights with their average; training continues from the raw ones.
                trainer.raw = trainer.values_of(trainer.model.trainable_variables)

        return EpochCallback()

    def _refresh_statistics(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Recompute the batch-normalization statistics for the averaged weights, on the first unaugmented batches.

        The moving statistics belong to the raw weights. With averaged weights they cost 20 points in the first epochs.
        Izmailov et al., "Averaging Weights Leads to Wider Optima", UAI 2018, section 3.2.
        """
        layers = [layer for layer in self.net.layers if isinstance(layer, self.keras.layers.BatchNormalization)]
        momenta = [layer.momentum for layer in layers]
        size = min(self.settings.batch_size, len(pixels))
        # If the images do not fill a batch, use one short batch.
        count = min(STATISTICS_BATCHES, len(pixels) // size)
        batches = pixels[: count * size].reshape(count, size, *pixels.shape[1:])
        if self.compiles_epochs or self.parallel is not None:
            refresh_statistics(self.net, layers, encode(encoder(FLOAT32, self.settings.input), batches))
            return
        for index, batch in enumerate(batches):
            for layer in layers:
                layer.momentum = index / (index + 1)  # running mean over the batches
            self.net(encode(encoder(FLOAT32, self.settings.input), batch), training=True)
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum

    def averaged_logits(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute the logits of uint8 (n, *input.shape), float32 (n, classes), with the current weights."""
        logits = [self._predict(with_channels(chunk)) for chunk in chunks(pixels, multiple=EVALUATION_BATCH)]
        return np.concatenate(logits).astype(np.float32, copy=False)

    def _predict(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if self.parallel is not None:
            return predict_locally(self.model, pixels, batch_size=EVALUATION_BATCH)
        logits: npt.NDArray[np.float32] = self.model.predict(pixels, batch_size=EVALUATION_BATCH, verbose=0)
        return logits

    def update_per_class_recall(self, training: Split) -> None:
        """Measure the recall of each class on unaugmented training images, if class weights depend on it."""
        if self.settings.class_weights != "dynamic":
            return
        chosen = np.linspace(0, len(training) - 1, min(len(training), RECALL_IMAGES)).astype(np.int64)
        labels = training.labels[chosen]
        predictions = self.averaged_logits(subset(training.pixels, chosen)).argmax(axis=1)
        counts = np.bincount(labels, minlength=self.classes)
        correct = np.bincount(labels[predictions == labels], minlength=self.classes)
        self.per_class_recall = correct / np.maximum(counts, 1)

    def load(self, path: Any) -> None:
        """Load weights that save_averaged() wrote; the optimizer state stays initial.

        Raises:
            DataError: the weights belong to another network.
        """
        load_weights(self.net, path, hint="restore the settings architecture, model and input of the run")
        self.raw = self.values_of(self.model.trainable_variables)

    def save_averaged(self, path: Any) -> None:
        """Save the weights of the network, without the augmentation layer, in Keras format.

        Raises:
            OSError: the disk has too little free space.
        """
        save_weights(self.net, path)

    def restore_raw_weights(self) -> None:
        """Replace the averaged weights in the network by the raw ones, from which training continues."""
        self._assign(self.raw)

    def save(self, run: Run, history: Sequence[Epoch]) -> None:
        """Restore the raw weights and save the complete training state."""
        self.restore_raw_weights()
        extra = {"settings": np.array(to_toml(self.settings))}
        if self.per_class_recall is not None:
            extra["recalls"] = self.per_class_recall
        write_state(run.state, history, self.values_of(self._variables()), extra)

    def restore(self, run: Run) -> list[Epoch]:
        """Load the state that save() wrote.

        Returns:
            The completed epochs; empty if no epoch has completed.

        Raises:
            DataError: the state file is damaged, missing or belongs to other settings.
        """
        state = read_training_state(run)
        if state is None:
            return []
        try:
            check_variables(state.variables, self._variables())
        except DataError as error:
            why = f"its variables differ from those of the model and the optimizer: {error.what}"
            raise _other_settings(run, why) from error
        self.per_class_recall = state.extra.get("recalls")
        for value, variable in zip(state.variables, self._variables(), strict=True):
            variable.assign(value)
        return state.history

    def _assign(self, values: Sequence[npt.NDArray[Any]]) -> None:
        for variable, value in zip(self.model.trainable_variables, values, strict=True):
            variable.assign(value)

    def values_of(self, variables: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """Copy the values of variables to NumPy arrays, on any backend."""
        return [np.array(self.keras.ops.convert_to_numpy(variable)) for variable in variables]

    def _variables(self) -> list[Any]:
        return [*self.model.weights, *self.model.optimizer.variables]


def read_training_state(run: Run) -> State[Epoch] | None:
    """Read the state of a run, and compare its settings with those of the run folder; None before the first epoch.

    Raises:
        DataError: the state file is damaged, missing or belongs to other settings.
    """
    new_run = run.restart_command
    if not run.state.exists():
        if completed := len(run.history()):
            raise DataError(
                f"cannot resume: {run.state} is missing",
                why=f"history.csv has {completed} epochs, and a restart would overwrite their weights",
                hint=f"restore the file, or {new_run}",
            )
        return None
    try:
        state = read_state(run.state, Epoch)
        _check_recall(state.extra.get("recalls"), len(run.labels))
        saved = from_toml(str(state.extra["settings"])) if "settings" in state.extra else run.settings()
    except (DataError, UsageError) as error:
        why = f"{error}; {run.best_weights.name} still has the best weights so far"
        raise DataError(f"cannot resume: {run.state} is damaged", why=why, hint=new_run) from error
    changed = _differences(dataclasses.asdict(saved), dataclasses.asdict(run.settings()))
    if changed:
        raise _other_settings(run, "; ".join(changed))
    return state


def _check_recall(recall: npt.NDArray[Any] | None, classes: int) -> None:
    if recall is None:
        return
    if recall.shape != (classes,) or recall.dtype.kind != "f" or not ((recall >= 0) & (recall <= 1)).all():
        raise DataError(f"recalls has invalid values, expected {classes} shares from 0 to 1")


def _other_settings(run: Run, why: str) -> DataError:
    return DataError(
        f"{run.state} does not match {run.folder / 'settings.toml'}",
        why=why,
        hint=f"restore the settings, or {run.restart_command}",
    )


def _sample(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Select the same random images every time; a data set may be sorted by class."""
    chosen = np.random.default_rng(0).permutation(len(pixels))[: STATISTICS_BATCHES * EVALUATION_BATCH]
    sample: npt.NDArray[np.uint8] = pixels[chosen]
    return sample


def _differences(saved: Mapping[str, Any], current: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    """Describe each setting that differs between ``saved`` and ``current``, including nested tables."""
    changed = []
    for name in {**saved, **current}:
        before, after = saved.get(name), current.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changed += _differences(before, after, prefix=f"{prefix}{name}.")
        elif before != after:
            changed.append(f"{prefix}{name} was {before!r} and is {after!r}")
    return changed
