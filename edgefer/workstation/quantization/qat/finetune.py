"""Fine-tune a trained network with fake quantization (quantization-aware training).

    settings = QatSettings(epochs=3, distill=1.0)
    tuned = finetune(run, dataset, settings, calibration=faces)
    tuned.model                                     # the input of the scheme int8_qat

The images, the augmentation and the shape of the schedule are those of the run; ``distill`` adds a loss on the float
network's logits. All files are in RUN/qat/KEY/, where KEY is a hash of everything that determines the result. An
interrupted fine-tuning resumes after its last epoch and ends with the same weights. A completed one is loaded.
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
from edgefer.workstation.training.schedule import best_epoch, learning_rate
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import to_toml
from edgefer.workstation.training.validation import validation_loss, validation_split

__all__ = ["FineTuned", "QatSettings", "finetune", "require_supported"]


@dataclass(frozen=True, eq=False)
class FineTuned:
    """The result of quantization-aware training.

    Attributes:
        model: tf_keras model with fake quantization and the weights of the best epoch.
        settings: settings of the fine-tuning.
        history: completed epochs.
        best: epoch whose weights ``model`` has.
        folder: folder of all files.
    """

    model: Any
    settings: QatSettings
    history: tuple[QatEpoch, ...]
    best: QatEpoch
    folder: Path

    def provenance(self) -> dict[str, Any]:
        """Return the settings and the best epoch as JSON values for the contract."""
        return {**dataclasses.asdict(self.settings), "best_epoch": self.best.epoch}


def require_supported(run: Run) -> None:
    """Raise UsageError if quantization-aware training does not support the network of ``run``."""
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
    """Fine-tune the best weights of ``run``, or resume an interrupted fine-tuning.

    Args:
        run: completed training.
        dataset: data set that the run was trained on.
        settings: settings of the fine-tuning.
        calibration: uint8 (n, h, w) faces that initialize the ranges of the activations.
        progress: progress callback, called with completed epochs, total epochs and the latest result.

    Raises:
        UsageError: quantization-aware training does not support a layer of the network.
        DataError: the run has no weights or was trained on other data, the state of an earlier fine-tuning is damaged,
            the loss is not finite, or another process trains in the folder.
        EdgeferError: the logits of the tf_keras model differ from those of the network.
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
        # Use the run's seed: images that selected its best epoch must not become training images.
        for split in validation_split(dataset, run.settings())[:2]
    )
    base = qat_base(parent, run.settings(), calibration)
    tuner = QatTrainer(keras, base, fake_quantize(base, calibration), settings, plan)
    folder = run.folder / "qat" / _key(run, settings, plan, learn, calibration)
    with run.only_trainer():
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*"):
            leftover.unlink()
        history = _train(tuner, folder, learn, select, progress)
    return FineTuned(tuner.model, settings, tuple(history), _best(history, tuner), folder)


def _key(run: Run, settings: QatSettings, plan: TrainSettings, learn: Split, calibration: npt.NDArray[np.uint8]) -> str:
    """Return a hash of the float network, the settings, the images, the targets and the calibration faces."""
    digest = hashlib.sha256()
    texts = (to_toml(run.settings()), to_toml(plan), json.dumps(dataclasses.asdict(settings)), run.subject["sha256"])
    for text in texts:
        digest.update(text.encode())
    for array in (*make_epoch(learn, plan, epoch=0), calibration):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def _train(tuner: QatTrainer, folder: Path, learn: Split, select: Split, progress: Progress) -> list[QatEpoch]:
    epochs, plan = tuner.settings.epochs, tuner.plan
    state, best_weights = folder / "state.npz", folder / "best.npz"
    history = _load(state, tuner.variables()) if state.exists() else []
    expected = keras_logits(tuner.base, select.pixels).argmax(axis=1)
    _write_json(folder / "settings.json", dataclasses.asdict(tuner.settings))
    while len(history) < epochs:
        number = len(history)
        rates = learning_rate(history, plan), learning_rate(history, plan, ahead=1)
        metrics = tuner.run_epoch(make_epoch(learn, plan, epoch=number), epoch=number, rates=rates, progress=progress)
        scores = _evaluate(tuner, number + 1, select, expected)
        history.append(QatEpoch(epoch=number + 1, learning_rate=rates[0], **dataclasses.asdict(metrics), **scores))
        # Save the best weights first: if the process ends here, the epoch is repeated and saves the same weights.
        if _best(history, tuner) is history[-1]:
            _save(best_weights, tuner.model.variables, [history[-1]])
        _save(state, tuner.variables(), history)
        _write_history(folder / "history.csv", history)
        progress(len(history), epochs, _remark(history[-1], _best(history, tuner)))
    _load(best_weights, tuner.model.variables)
    return history


def _evaluate(tuner: QatTrainer, epoch: int, select: Split, expected: npt.NDArray[np.intp]) -> dict[str, float]:
    """Compute the scores of the fake-quantized network on the validation split; ``expected`` are float predictions."""
    logits = keras_logits(tuner.model, select.pixels)
    hint = f"--qat-learning-rate {tuner.settings.learning_rate / 10:g}"
    loss = validation_loss(logits, select, what=f"the fine-tuning has diverged in epoch {epoch}", hint=hint)
    predictions = logits.argmax(axis=1)
    accuracy, agreement = (float((predictions == labels).mean()) for labels in (select.labels, expected))
    return {"selection_loss": loss, "selection_accuracy": accuracy, "agreement": agreement}


def _best(history: Sequence[QatEpoch], tuner: QatTrainer) -> QatEpoch:
    """Return the best epoch by the run's monitored metric, or by agreement if the loss has no labels.

    Without labels in the loss, accuracies differ by chance alone, and selection by accuracy would bias the result.
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
    """Assign the values that _save() wrote to the variables; return their epochs."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as state:
            arrays = [state[f"v{index}"] for index in range(len(state.files) - 1)]
            history = [QatEpoch(**row) for row in json.loads(str(state["history"]))]
        for variable, value in zip(variables, arrays, strict=True):
            variable.assign(value)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} is damaged, so the fine-tuning cannot resume",
            why=str(error),
            hint=f"rm -r {path.parent}   (starts the fine-tuning again)",
        ) from error
    return history


def _write_history(path: Path, history: Sequence[QatEpoch]) -> None:
    names = [item.name for item in dataclasses.fields(QatEpoch)]
    rows = [",".join(str(value) for value in dataclasses.astuple(epoch)) for epoch in history]
    files.write_text(path, "\n".join([",".join(names), *rows]) + "\n")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
