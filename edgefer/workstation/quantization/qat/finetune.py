"""Quantization-aware training: a trained network learns on for some epochs with int8's rounding simulated.

    settings = QatSettings(epochs=3, distill=1.0)
    tuned = finetune(run, dataset, settings, calibration=faces)
    tuned.model                                     # what the scheme int8_qat converts

It learns from the run's own images, with its augmentation and the shape of its schedule, and with ``distill`` from its
float parent. All of it is in RUN/qat/KEY/, where KEY is a hash of whatever decides the outcome: a fine-tuning that was
killed goes on from its last epoch and ends with the same weights, a finished one is only loaded, and another one gets a
folder of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import Dataset, Split
from edgefer.errors import DataError
from edgefer.progress import Progress, silent
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.qat.fake_quantization import fake_quantize
from edgefer.workstation.quantization.qat.model import check_supported, qat_base
from edgefer.workstation.quantization.qat.trainer import QatEpoch, QatSettings, QatTrainer
from edgefer.workstation.training.epoch_data import make_epoch
from edgefer.workstation.training.keras_inference import keras_logits, load_network
from edgefer.workstation.training.model import build_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import best_epoch
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import to_toml
from edgefer.workstation.training.validation import validation_loss, validation_split

__all__ = ["FineTuned", "QatSettings", "finetune", "require_supported"]


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A network that was trained quantization-aware.

    Attributes:
        model: the tf_keras model that simulates int8, with the weights of the best epoch.
        settings: how it was made.
        history: one entry an epoch.
        best: the epoch that ``model`` is of.
        folder: where all of it is kept.
    """

    model: Any
    settings: QatSettings
    history: tuple[QatEpoch, ...]
    best: QatEpoch
    folder: Path

    def provenance(self) -> dict[str, Any]:
        """What a contract says about it, in plain values."""
        return {**dataclasses.asdict(self.settings), "best_epoch": self.best.epoch}


def require_supported(run: Run) -> None:
    """Raise UsageError, before anything slow, if the network of ``run`` cannot be trained quantization-aware."""
    load_keras(backend="tensorflow")
    import tf_keras

    check_supported(build_network(tf_keras, run.settings()))


def finetune(
    run: Run,
    dataset: Dataset,
    settings: QatSettings,
    *,
    calibration: npt.NDArray[np.uint8],
    progress: Progress = silent,
) -> FineTuned:
    """Fine-tune the best weights of ``run``, going on from what its folder holds already.

    Args:
        dataset: the data that the run was trained on.
        calibration: uint8 (n, h, w), the faces whose ranges it starts from.
        progress: is told (epochs done, epochs in all, the last result).

    Raises:
        UsageError: a layer of the network cannot be trained quantization-aware; see check_supported().
        DataError: the run has no weights or other data, the state of an earlier fine-tuning is damaged, the loss is no
            number any more, or another process trains in the folder.
        EdgeferError: the twin in tf_keras computes something else.
    """
    run.require_data(dataset)
    keras = load_keras(backend="tensorflow")
    parent = load_network(keras, run)
    plan = dataclasses.replace(
        run.settings(),
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        warmup_epochs=0,
        seed=settings.seed,
    )
    learn, select = (
        dataclasses.replace(split, pixels=prepare_all(split.pixels, plan.input))
        # With the run's own seed: a share of Training that chose its best epoch must not be learned from now.
        for split in validation_split(dataset, run.settings())[:2]
    )
    twin = qat_base(parent, run.settings(), calibration)
    tuner = QatTrainer(keras, twin, fake_quantize(twin, calibration), settings, plan)
    folder = run.folder / "qat" / _key(run, settings, plan, learn, calibration)
    with run.only_trainer():
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*"):
            leftover.unlink()
        history = _train(tuner, folder, learn, select, progress)
    return FineTuned(tuner.model, settings, tuple(history), _best(history, tuner), folder)


def _key(
    run: Run, settings: QatSettings, plan: TrainSettings, learn: Split, calibration: npt.NDArray[np.uint8]
) -> str:
    """A name for what is to be made: the same of the same parent, settings, images, targets and calibration faces."""
    digest = hashlib.sha256()
    recipe = (to_toml(run.settings()), to_toml(plan), json.dumps(dataclasses.asdict(settings)), run.subject["sha256"])
    for text in recipe:
        digest.update(text.encode())
    for array in (*make_epoch(learn, plan, epoch=0), calibration):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def _train(tuner: QatTrainer, folder: Path, learn: Split, select: Split, progress: Progress) -> list[QatEpoch]:
    epochs, plan = tuner.settings.epochs, tuner.plan
    state, best_weights = folder / "state.npz", folder / "best.npz"
    history = _load(state, tuner.variables()) if state.exists() else []
    expected = keras_logits(tuner.twin, select.pixels).argmax(axis=1)
    _write_json(folder / "settings.json", dataclasses.asdict(tuner.settings))
    while len(history) < epochs:
        epoch = tuner.run_epoch(make_epoch(learn, plan, epoch=len(history)), history, progress)
        history.append(_scored(tuner, epoch, select, expected))
        # Best weights first: if the process dies in between, the epoch is repeated and writes the same again.
        if _best(history, tuner) is history[-1]:
            _save(best_weights, tuner.model.variables, [history[-1]])
        _save(state, tuner.variables(), history)
        _write_history(folder / "history.csv", history)
        progress(len(history), epochs, _remark(history[-1], _best(history, tuner)))
    _load(best_weights, tuner.model.variables)
    return history


def _scored(tuner: QatTrainer, epoch: QatEpoch, select: Split, expected: npt.NDArray[np.intp]) -> QatEpoch:
    logits = keras_logits(tuner.model, select.pixels)
    hint = f"--qat-learning-rate {tuner.settings.learning_rate / 10:g}"
    loss = validation_loss(logits, select, what=f"the fine-tuning has diverged in epoch {epoch.epoch}", hint=hint)
    answers = logits.argmax(axis=1)
    accuracy, agreement = (float((answers == right).mean()) for right in (select.labels, expected))
    return dataclasses.replace(epoch, selection_loss=loss, selection_accuracy=accuracy, agreement=agreement)


def _best(history: Sequence[QatEpoch], tuner: QatTrainer) -> QatEpoch:
    """What the run's settings call the best epoch; where the labels play no part, the one closest to the float parent.

    Between such epochs the accuracy differs by chance alone, and choosing by it would flatter the result.
    """
    if tuner.settings.distill == 1:
        return max(history, key=lambda epoch: epoch.agreement)
    return history[best_epoch(history, tuner.plan)]


def _remark(last: QatEpoch, best: QatEpoch) -> str:
    return (
        f"selection {last.selection_accuracy:.2%}, {last.agreement:.2%} as the float parent; best is epoch {best.epoch}"
    )


def _save(path: Path, variables: Sequence[Any], history: Sequence[QatEpoch]) -> None:
    arrays: dict[str, Any] = {f"v{index}": variable.numpy() for index, variable in enumerate(variables)}
    rows = json.dumps([dataclasses.asdict(epoch) for epoch in history])
    with files.atomic_write(path) as temporary:
        np.savez(temporary, history=np.array(rows), **arrays)


def _load(path: Path, variables: Sequence[Any]) -> list[QatEpoch]:
    """Give the variables the values that _save() wrote; the epochs that came with them."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as state:
            arrays = [state[f"v{index}"] for index in range(len(state.files) - 1)]
            history = [QatEpoch(**row) for row in json.loads(str(state["history"]))]
        for variable, value in zip(variables, arrays, strict=True):
            variable.assign(value)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} is damaged, so the fine-tuning cannot go on",
            why=str(error),
            hint=f"rm -r {path.parent}   (it begins anew)",
        ) from error
    return history


def _write_history(path: Path, history: Sequence[QatEpoch]) -> None:
    names = [item.name for item in dataclasses.fields(QatEpoch)]
    rows = [",".join(str(value) for value in dataclasses.astuple(epoch)) for epoch in history]
    files.write_text(path, "\n".join([",".join(names), *rows]) + "\n")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
