"""Train a network, maintain its averaged weights, and save and restore the complete training state.

    trainer = Trainer(keras, settings, steps_per_epoch=224)
    history = trainer.restore(run)
    epoch = trainer.run_epoch(data, history, progress)
    trainer.save(run, [*history, epoch])

The randomness of an epoch derives from (seed, epoch) alone. The file that save() writes holds all state that the next
epoch needs.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.errors import DataError
from edgefer.progress import Progress
from edgefer.workstation.training.augmentation import augmentation
from edgefer.workstation.training.jax_epoch import compiles_epochs, refresh_statistics, run_compiled_epoch
from edgefer.workstation.training.losses import accuracy_of, loss_of
from edgefer.workstation.training.model import build_network, load_weights
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import Epoch, learning_rate
from edgefer.workstation.training.settings import TrainSettings, from_toml, to_toml

__all__ = ["Trainer"]

EVALUATION_BATCH = 256
STATISTICS_BATCHES = 16
HDF5_OVERHEAD_BYTES = 1 << 20


class Trainer:
    """A compiled model with its optimizer, raw weights and averaged weights."""

    def __init__(self, keras: Any, settings: TrainSettings, *, steps_per_epoch: int, taught: bool = False) -> None:
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
            loss=loss_of(keras, settings, taught=taught),
            weighted_metrics=[accuracy_of(keras)],
            # TensorFlow's image transform has no XLA kernel, and XLA slows these small networks down on a CPU.
            jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.raw: list[npt.NDArray[Any]] = []
        self.recalls: npt.NDArray[np.float64] | None = None

    def run_epoch(self, data: tuple[npt.NDArray[Any], ...], history: Sequence[Epoch], progress: Progress) -> Epoch:
        """Train for one epoch; leave averaged weights in the network and raw weights in ``self.raw``.

        Args:
            data: pixels uint8 (n, h, w, 1), targets float32 (n, classes) and sample weights float32 (n,).
            history: completed epochs.
            progress: progress callback.

        Returns:
            The epoch; its validation results are NaN.
        """
        settings, number = self.settings, len(history)
        rate = learning_rate(history, settings)
        self.model.optimizer.learning_rate = rate
        started_ns = time.monotonic_ns()
        learn = self._learn_at_once if compiles_epochs(self.keras) else self._learn
        logs = learn(data, number, progress)
        if settings.ema_epochs:
            # On JAX the weights and their average now share buffers, which predict() would donate.
            self._assign(self.values_of(self.model.trainable_variables))
            self._refresh_statistics(data[0])
        return Epoch(
            epoch=number + 1,
            learning_rate=rate,
            loss=logs["loss"],
            accuracy=logs["accuracy"],
            selection_loss=float("nan"),
            selection_accuracy=float("nan"),
            duration_s=round((time.monotonic_ns() - started_ns) / 1e9, 1),
        )

    def _learn(self, data: tuple[npt.NDArray[Any], ...], epoch: int, progress: Progress) -> dict[str, float]:
        pixels, targets, weights = data
        logs = self.model.fit(
            pixels,
            targets,
            sample_weight=weights,
            batch_size=self.settings.batch_size,
            shuffle=False,
            verbose=0,
            callbacks=[self._watcher(epoch, len(pixels), progress)],
        ).history
        return {name: float(values[-1]) for name, values in logs.items()}

    def _learn_at_once(self, data: tuple[npt.NDArray[Any], ...], epoch: int, progress: Progress) -> dict[str, float]:
        self.reseed(epoch)
        logs = run_compiled_epoch(self.model, *data, batch_size=self.settings.batch_size)
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

    def _watcher(self, epoch: int, images: int, progress: Progress) -> Any:
        trainer, settings = self, self.settings
        steps = max(1, images // settings.batch_size)

        class Watcher(self.keras.callbacks.Callback):  # type: ignore[misc, name-defined]
            def on_epoch_begin(self, _: int, logs: dict[str, float] | None = None) -> None:
                # Not before fit(), which first traces the model and consumes random numbers on torch.
                trainer.reseed(epoch)

            def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
                if batch % 8 == 0:
                    progress(epoch, settings.epochs, f"epoch {epoch + 1}, batch {batch + 1}/{steps}")

            def on_epoch_end(self, _: int, logs: dict[str, float] | None = None) -> None:
                # fit() finally overwrites the weights with their average; training continues from the raw ones.
                trainer.raw = trainer.values_of(trainer.model.trainable_variables)

        return Watcher()

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
        if compiles_epochs(self.keras):
            refresh_statistics(self.net, layers, batches.astype(np.float32) / np.float32(255))
            return
        for index, batch in enumerate(batches):
            for layer in layers:
                layer.momentum = index / (index + 1)  # running mean over the batches
            self.net(batch.astype(np.float32) / np.float32(255), training=True)
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum

    def averaged_logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Compute the logits of uint8 (n, h, w) as float32 (n, 7) with the current weights of the network."""
        logits = self.model.predict(pixels[..., None], batch_size=EVALUATION_BATCH, verbose=0)
        return np.asarray(logits, np.float32)

    def load(self, path: Any) -> None:
        """Load weights that save_averaged() wrote; the optimizer state stays initial.

        Raises:
            DataError: the weights belong to another network.
        """
        load_weights(self.net, path, hint="the settings architecture, model and input as the run has them")
        self.raw = self.values_of(self.model.trainable_variables)

    def save_averaged(self, path: Any) -> None:
        """Save the weights of the network, without the augmentation layer, in Keras format.

        Raises:
            OSError: the disk has too little free space.
        """
        needed = sum(array.nbytes for array in self.net.get_weights()) + HDF5_OVERHEAD_BYTES
        if shutil.disk_usage(path.parent).free < needed:
            # HDF5 crashes the process when the disk is full.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        with files.atomic_write(path) as temporary:
            self.net.save_weights(temporary)

    def save(self, run: Run, history: Sequence[Epoch]) -> None:
        """Restore the raw weights and save the complete training state."""
        self._assign(self.raw)
        arrays: dict[str, Any] = {f"v{index}": value for index, value in enumerate(self.values_of(self._variables()))}
        if self.recalls is not None:
            arrays["recalls"] = self.recalls
        rows = json.dumps([dataclasses.asdict(epoch) for epoch in history])
        with files.atomic_write(run.state) as temporary:
            np.savez(temporary, history=np.array(rows), settings=np.array(to_toml(self.settings)), **arrays)

    def restore(self, run: Run) -> list[Epoch]:
        """Load the state that save() wrote.

        Returns:
            The completed epochs; empty if no epoch has completed.

        Raises:
            DataError: the state file is damaged, missing or belongs to other settings.
        """
        if not run.state.exists():
            if done := len(run.history()):
                raise DataError(
                    f"{run.state} is gone, so the training cannot go on",
                    why=f"{run.folder} tells of {done} epochs, and starting anew would write over their weights",
                    hint=f"put it back, or edgefer train --settings {run.folder / 'settings.toml'}   (a new run)",
                )
            return []
        try:
            with run.state.open("rb") as file, np.load(file, allow_pickle=False) as state:
                arrays = {name: state[name] for name in state.files}
            history = [Epoch(**row) for row in json.loads(str(arrays.pop("history")))]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"{run.state} is damaged, so the training cannot go on",
                why=f"{error}; the best weights so far are in {run.best_weights.name} all the same",
                hint=f"edgefer train --settings {run.folder / 'settings.toml'}   (a new run)",
            ) from error
        self.recalls = arrays.pop("recalls", None)
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
                hint=f"put them back, or edgefer train --settings {run.folder / 'settings.toml'}   (a new run)",
            )

    def _assign(self, values: Sequence[npt.NDArray[Any]]) -> None:
        for variable, value in zip(self.model.trainable_variables, values, strict=True):
            variable.assign(value)

    def values_of(self, variables: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """Copy the values of variables to NumPy arrays, on any backend."""
        return [np.array(self.keras.ops.convert_to_numpy(variable)) for variable in variables]

    def _variables(self) -> list[Any]:
        return [*self.model.weights, *self.model.optimizer.variables]


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    """Describe each setting that differs between ``before`` and ``after``, including nested tables."""
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
        # Decay of a normalization scale or a bias shrinks the output without regularizing.
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
