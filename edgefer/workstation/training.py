"""Training with Keras 3, on any of its backends, in a way that can be killed at any moment and continued bit for bit.

    run = train(dataset, settings, run=new_run(Path("runs"), settings))
    run = train(dataset, run.settings(), run=run)   # goes on where the folder ends, or returns it as it is

Everything random in an epoch follows from (seed, epoch): the order of the images and, through reset seed generators,
augmentation and dropout. So the state after an epoch is enough to repeat what follows, and it is one file, renamed into
place after the weights that belong to it.
"""

from __future__ import annotations

import dataclasses
import errno
import inspect
import json
import os
import re
import shutil
import textwrap
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import atomic, catalogue
from edgefer.errors import DataError, UsageError
from edgefer.labels import LABELS
from edgefer.preprocess import prepare_all
from edgefer.progress import Progress, silent
from edgefer.workstation.augment import augmentation
from edgefer.workstation.backend import load_keras
from edgefer.workstation.dataset import Dataset, Split, ferplus_targets
from edgefer.workstation.runs import Run
from edgefer.workstation.schedule import Epoch, best_epoch, has_stalled, learning_rate
from edgefer.workstation.settings import TrainSettings, from_toml, to_toml

__all__ = ["build_network", "check_trainable", "selection_split", "train", "without_selection"]

ARCHITECTURES = "edgefer.workstation.architectures"
EVALUATION_BATCH = 256
STATISTICS_BATCHES = 16
HDF5_OVERHEAD_BYTES = 1 << 20


def build_network(keras: Any, settings: TrainSettings) -> Any:
    """The architecture of ``settings`` with fresh weights: float32 (n, h, w, 1) in [0, 1] -> logits (n, 7).

    Raises:
        UsageError: no such architecture, or no network comes of the options and the size of the input.
    """
    module = catalogue.load(ARCHITECTURES, settings.architecture)
    shape = (settings.input.height, settings.input.width, 1)
    try:
        return module.build(keras, input_shape=shape, classes=len(LABELS), **settings.model)
    except (ValueError, TypeError) as error:
        options = ", ".join(f"model.{name}={value!r}" for name, value in settings.model.items())
        raise UsageError(
            f"{settings.architecture} cannot be built for {shape[0]}x{shape[1]} pixels with {options or 'defaults'}",
            # Keras writes paragraphs, some of it in bold.
            why=textwrap.shorten(re.sub(r"\x1b\[\d*m", "", str(error)), 240),
            fix="leave the settings model.* and input.* as the system has them",
        ) from error


def selection_split(dataset: Dataset, settings: TrainSettings) -> tuple[Split, Split, str]:
    """(images to learn from, images to choose the best epoch on, the name of the latter).

    PublicTest selects where there is one; else a stratified share of Training is held out. PrivateTest is never
    touched.
    """
    training = dataset.split("Training")
    if "PublicTest" in dataset.splits:
        return training, dataset.split("PublicTest"), "PublicTest"
    generator = np.random.default_rng([settings.seed, 1])
    held_out = np.zeros(len(training), bool)
    for label in range(len(LABELS)):
        members = generator.permutation(np.flatnonzero(training.labels == label))
        held_out[members[: round(len(members) * settings.selection_share)]] = True
    return _subset(training, ~held_out), _subset(training, held_out), f"{settings.selection_share:.0%} of Training"


def without_selection(dataset: Dataset, settings: TrainSettings) -> Dataset:
    """``dataset`` with the images that choose the best epoch in a split of their own, outside Training."""
    learn, select, name = selection_split(dataset, settings)
    return dataclasses.replace(dataset, splits={**dataset.splits, "Training": learn, name: select})


def _subset(split: Split, chosen: npt.NDArray[np.bool_]) -> Split:
    votes = None if split.votes is None else split.votes[chosen]
    return Split(split.pixels[chosen], split.labels[chosen], split.rows[chosen], votes)


def check_trainable(dataset: Dataset, settings: TrainSettings) -> None:
    """Refuse before anything slow what train() would refuse later.

    Raises:
        UsageError: no such architecture, or options that its build() does not have.
        DataError: nothing to learn from, or nothing to select on.
    """
    _check_options(settings)
    learn, select, _ = selection_split(dataset, settings)
    if not len(learn) or not len(select):
        raise DataError(
            f"{len(select)} of {len(learn) + len(select)} Training images are left to choose the best epoch on",
            why="there is no PublicTest, and of each class the share of selection_share is rounded",
            fix="--set selection_share=0.5, or a data set with a PublicTest split",
        )


def _check_options(settings: TrainSettings) -> None:
    build = catalogue.load(ARCHITECTURES, settings.architecture).build
    parameters = inspect.signature(build).parameters
    options = {name: parameters[name].default for name in parameters if name not in ("keras", "input_shape", "classes")}
    for name, value in settings.model.items():
        if name not in options:
            what = f"{settings.architecture} has no option model.{name}"
            raise UsageError(what, why=f"there are {', '.join(options)}", fix="one of these, or leave it out")
        # As everywhere in the settings, an int is a fine float.
        expected = type(options[name])
        if type(value) is not expected and not (expected is float and type(value) is int):
            why = f"a value of type {expected.__name__} was expected"
            raise UsageError(f"model.{name} = {value!r}", why=why, fix=f"--set model.{name}={options[name]}")


def train(dataset: Dataset, settings: TrainSettings, *, run: Run, progress: Progress = silent) -> Run:
    """Train until ``settings`` says it is done, going on from what the run folder holds already.

    Args:
        progress: is told (epochs done, epochs in all, the last result), with fractions of an epoch rounded down.

    Raises:
        DataError: the state file is damaged or belongs to other settings, the loss is no number any more, or another
            process trains in the folder.
    """
    check_trainable(dataset, settings)
    with run.only_trainer():
        _train(dataset, settings, run, progress)
    return run


def _train(dataset: Dataset, settings: TrainSettings, run: Run, progress: Progress) -> None:
    learn, select = (
        dataclasses.replace(split, pixels=prepare_all(split.pixels, settings.input))
        for split in selection_split(dataset, settings)[:2]
    )
    keras = load_keras()
    trainer = _Trainer(keras, settings, steps_per_epoch=max(1, len(learn) // settings.batch_size))
    history = trainer.restore(run)
    targets = _targets(learn, settings)
    weights = _sample_weights(learn, settings)
    while len(history) < settings.epochs and not has_stalled(history, settings):
        epoch = trainer.run_epoch(_shuffled(learn.pixels, targets, weights, settings, len(history)), history, progress)
        epoch = _validated(trainer, epoch, select, settings)
        history.append(epoch)
        # Best weights first: if the process dies in between, the epoch is repeated and writes the same bytes again.
        if best_epoch(history, settings) == len(history) - 1:
            trainer.save_averaged(run.best_weights)
        trainer.save_averaged(run.last_weights)
        trainer.save(run, history)
        run.save_history(history)
        progress(len(history), settings.epochs, _remark(history, settings))


def _remark(history: Sequence[Epoch], settings: TrainSettings) -> str:
    last, best = history[-1], history[best_epoch(history, settings)]
    return (
        f"loss {last.loss:.3f}, selection {last.selection_accuracy:.2%}, "
        f"best {best.selection_accuracy:.2%} in epoch {best.epoch}"
    )


def _targets(split: Split, settings: TrainSettings) -> npt.NDArray[np.float32]:
    """(n, 7) distributions: one-hot, mixed with FER+ votes where there are any, then smoothed."""
    targets = np.eye(len(LABELS), dtype=np.float32)[split.labels]
    if split.votes is not None:
        targets += settings.ferplus_weight * (ferplus_targets(split) - targets)
    return targets * np.float32(1 - settings.label_smoothing) + np.float32(settings.label_smoothing / len(LABELS))


def _sample_weights(split: Split, settings: TrainSettings) -> npt.NDArray[np.float32]:
    if settings.class_weights == "none":
        return np.ones(len(split), np.float32)
    counts = np.bincount(split.labels, minlength=len(LABELS))
    present = counts > 0
    weight = np.where(present, len(split) / (present.sum() * np.maximum(counts, 1)), 0.0)
    return weight.astype(np.float32)[split.labels]


def _shuffled(
    pixels: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    settings: TrainSettings,
    epoch: int,
) -> tuple[npt.NDArray[Any], ...]:
    """The training images in the order of ``epoch``; a rest that fills no batch is left to another epoch's draw."""
    order = np.random.default_rng([settings.seed, 0, epoch]).permutation(len(pixels))
    order = order[: max(1, len(order) // settings.batch_size) * settings.batch_size]
    return pixels[order, ..., None], targets[order], weights[order]


def _validated(trainer: _Trainer, epoch: Epoch, select: Split, settings: TrainSettings) -> Epoch:
    logits = trainer.averaged_logits(select.pixels)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_likelihood = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -float(log_likelihood[np.arange(len(select)), select.labels].mean())
    if not np.isfinite(loss):
        raise DataError(
            f"the training has diverged in epoch {epoch.epoch}",
            why="its loss is no number any more",
            fix=f"edgefer train --system {settings.system} --set learning_rate={settings.learning_rate / 10:g}",
        )
    accuracy = float((logits.argmax(axis=1) == select.labels).mean())
    return dataclasses.replace(epoch, selection_loss=loss, selection_accuracy=accuracy)


class _Trainer:
    """A compiled model with its optimizer, and the two sets of weights that averaging makes of one."""

    def __init__(self, keras: Any, settings: TrainSettings, *, steps_per_epoch: int) -> None:
        self.keras, self.settings = keras, settings
        keras.utils.set_random_seed(settings.seed)
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_bfloat16" if settings.precision == "bfloat16" else "float32")
        try:
            self.net = build_network(keras, settings)
        finally:
            keras.config.set_dtype_policy(policy)
        height, width = settings.input.height, settings.input.width
        pixels = keras.Input((height, width, 1), dtype="uint8", name="pixels")
        faces = augmentation(keras, settings.augment, height=height, width=width)(pixels)
        self.model = keras.Model(pixels, self.net(faces))
        self.model.compile(
            optimizer=_optimizer(keras, settings, steps_per_epoch),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            # The image transform of TensorFlow has no XLA kernel, and XLA made these small nets slower on a CPU.
            jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.raw: list[npt.NDArray[Any]] = []

    def run_epoch(self, data: tuple[npt.NDArray[Any], ...], history: Sequence[Epoch], progress: Progress) -> Epoch:
        """One pass over ``data``; leaves the averaged weights in the net and the raw ones in ``self.raw``."""
        settings, number = self.settings, len(history)
        rate = learning_rate(history, settings)
        self.model.optimizer.learning_rate = rate
        pixels, targets, weights = data
        started_ns = time.monotonic_ns()
        logs = self.model.fit(
            pixels,
            targets,
            sample_weight=weights,
            batch_size=settings.batch_size,
            shuffle=False,
            verbose=0,
            callbacks=[self._watcher(number, len(pixels), progress)],
        ).history
        if settings.ema_epochs:
            # On JAX the weights and their average are now the same buffers, which predict() would give away.
            self._assign(self.values_of(self.model.trainable_variables))
            self._refresh_statistics(pixels)
        return Epoch(
            epoch=number + 1,
            learning_rate=rate,
            loss=float(logs["loss"][-1]),
            accuracy=float(logs["accuracy"][-1]),
            selection_loss=float("nan"),
            selection_accuracy=float("nan"),
            duration_s=round((time.monotonic_ns() - started_ns) / 1e9, 1),
        )

    def reseed(self, epoch: int) -> None:
        """Make everything that will be drawn follow from (seed, epoch)."""
        # Keras on torch draws dropout from torch's own generator, the other backends from the layers' seeds.
        (word,) = np.random.SeedSequence([self.settings.seed, 3, epoch]).generate_state(1)
        self.keras.utils.set_random_seed(int(word))
        seeds = [variable for variable in self.model.variables if variable.path.endswith("seed_generator_state")]
        for index, variable in enumerate(seeds):
            words = np.random.SeedSequence([self.settings.seed, 2, epoch, index]).generate_state(2)
            variable.assign(words.astype(np.int64) % 2**31)

    def _watcher(self, epoch: int, images: int, progress: Progress) -> Any:
        trainer, settings = self, self.settings
        steps = max(1, images // settings.batch_size)

        class Watcher(self.keras.callbacks.Callback):  # type: ignore[misc, name-defined]
            def on_epoch_begin(self, _: int, logs: dict[str, float] | None = None) -> None:
                # Here and not before fit(), which traces the model first and on torch draws numbers in doing so.
                trainer.reseed(epoch)

            def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
                if batch % 8 == 0:
                    progress(epoch, settings.epochs, f"epoch {epoch + 1}, batch {batch + 1}/{steps}")

            def on_epoch_end(self, _: int, logs: dict[str, float] | None = None) -> None:
                # When fit() ends, Keras overwrites the weights by their average; the raw ones go on learning.
                trainer.raw = trainer.values_of(trainer.model.trainable_variables)

        return Watcher()

    def _refresh_statistics(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Measure the normalizations' means and variances anew, for the averaged weights, on the first clean batches.

        The moving statistics belong to the raw weights; behind averaged ones they cost 20 points in the first epochs.
        Izmailov et al., "Averaging Weights Leads to Wider Optima", UAI 2018, section 3.2.
        """
        layers = [layer for layer in self.net.layers if isinstance(layer, self.keras.layers.BatchNormalization)]
        momenta = [layer.momentum for layer in layers]
        size = self.settings.batch_size
        # There is one, if a short one, also where the images do not fill a batch.
        for index in range(max(1, min(STATISTICS_BATCHES, len(pixels) // size))):
            for layer in layers:
                layer.momentum = index / (index + 1)  # the plain mean over the batches so far
            self.net(pixels[index * size : (index + 1) * size].astype(np.float32) / np.float32(255), training=True)
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum

    def averaged_logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (n, h, w) -> float32 (n, 7), with the weights that the epoch left in the net."""
        logits = self.model.predict(pixels[..., None], batch_size=EVALUATION_BATCH, verbose=0)
        return np.asarray(logits, np.float32)

    def save_averaged(self, path: Any) -> None:
        """Write the weights of the net (without the augmentation in front of it) in Keras's own format."""
        needed = sum(array.nbytes for array in self.net.get_weights()) + HDF5_OVERHEAD_BYTES
        if shutil.disk_usage(path.parent).free < needed:
            # HDF5 would find out by itself, and take the process down with it.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        with atomic.writing(path) as temporary:
            self.net.save_weights(temporary)

    def save(self, run: Run, history: Sequence[Epoch]) -> None:
        """Put the raw weights back and write everything that the next epoch starts from."""
        self._assign(self.raw)
        arrays: dict[str, Any] = {f"v{index}": value for index, value in enumerate(self.values_of(self._variables()))}
        rows = json.dumps([dataclasses.asdict(epoch) for epoch in history])
        with atomic.writing(run.state) as temporary:
            np.savez(temporary, history=np.array(rows), settings=np.array(to_toml(self.settings)), **arrays)

    def restore(self, run: Run) -> list[Epoch]:
        """Load what save() wrote; an empty history where there is nothing yet."""
        if not run.state.exists():
            return []
        try:
            with run.state.open("rb") as file, np.load(file, allow_pickle=False) as state:
                arrays = {name: state[name] for name in state.files}
            history = [Epoch(**row) for row in json.loads(str(arrays.pop("history")))]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"{run.state} is damaged, so the training cannot go on",
                why=f"{error}; the best weights so far are in {run.best_weights.name} all the same",
                fix=f"edgefer train --settings {run.folder / 'settings.toml'}   (a new run)",
            ) from error
        self._check_belongs(run, arrays)
        for index, variable in enumerate(self._variables()):
            variable.assign(arrays[f"v{index}"])
        return history

    def _check_belongs(self, run: Run, arrays: dict[str, npt.NDArray[Any]]) -> None:
        made_with = from_toml(str(arrays.pop("settings"))) if "settings" in arrays else self.settings
        changed = _differences(dataclasses.asdict(made_with), dataclasses.asdict(self.settings))
        shapes = {name: array.shape for name, array in arrays.items()}
        if not changed and shapes != {f"v{index}": tuple(each.shape) for index, each in enumerate(self._variables())}:
            changed = ["it holds other variables than this model and optimizer have"]
        if changed:
            raise DataError(
                f"{run.state} does not fit the settings beside it",
                why="; ".join(changed),
                fix=f"put them back, or edgefer train --settings {run.folder / 'settings.toml'}   (a new run)",
            )

    def _assign(self, values: Sequence[npt.NDArray[Any]]) -> None:
        for variable, value in zip(self.model.trainable_variables, values, strict=True):
            variable.assign(value)

    def values_of(self, variables: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """Copies of variables of any backend."""
        return [np.array(self.keras.ops.convert_to_numpy(variable)) for variable in variables]

    def _variables(self) -> list[Any]:
        return [*self.model.weights, *self.model.optimizer.variables]


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    """A clause for each setting that was changed; tables are looked into."""
    changed = []
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += _differences(old, new, prefix=f"{prefix}{name}.")
        elif old != new:
            changed.append(f"{prefix}{name} was {old!r} and is {new!r}")
    return changed


def _optimizer(keras: Any, settings: TrainSettings, steps_per_epoch: int) -> Any:
    options: dict[str, Any] = {"learning_rate": settings.learning_rate}
    if settings.weight_decay:
        options["weight_decay"] = settings.weight_decay
    if settings.ema_epochs:
        steps = settings.ema_epochs * steps_per_epoch
        options.update(use_ema=True, ema_momentum=max(0.0, 1 - 1 / steps), ema_overwrite_frequency=None)
    if settings.optimizer == "sgd":
        options.update(momentum=0.9, nesterov=True)
    classes = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}
    optimizer = classes[settings.optimizer](**options)
    if settings.weight_decay:
        # Decaying a normalization's scale or a bias shrinks the output and regularizes nothing.
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
