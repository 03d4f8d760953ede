"""Fine-tune a trained network with fake quantization (quantization-aware training).

    settings = QatSettings(epochs=3, distill=1.0)
    tuned = finetune(run, network, validation_split(dataset, run.settings()), settings, calibration=faces)
    tuned.model                                     # the input of the scheme int8_qat

The images, the augmentation and the shape of the schedule are those of the run; ``distill`` adds a loss on the float
network's logits. All files are in RUN/qat/KEY/, where KEY is a hash of everything that determines the result. An
interrupted fine-tuning resumes after its last epoch and ends with the same weights. A completed one is loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.data.dataset import Split
from edgefer.errors import DataError, UsageError
from edgefer.progress import Progress, silent
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.qat.fake_quantization import fake_quantize
from edgefer.workstation.quantization.qat.keras_copy import copy_to_tf_keras
from edgefer.workstation.quantization.qat.model import check_supported, qat_base
from edgefer.workstation.quantization.qat.trainer import QatEpoch, QatSettings, QatTrainer, select_epoch
from edgefer.workstation.training.architecture_file import is_file_architecture
from edgefer.workstation.training.epoch_data import make_epoch
from edgefer.workstation.training.keras_inference import keras_logits, load_imported, load_keras_file
from edgefer.workstation.training.model import build_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import learning_rate
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import to_toml
from edgefer.workstation.training.state import check_variables, read_state, write_state
from edgefer.workstation.training.validation import ValidationSplit

__all__ = ["FineTuned", "QatSettings", "finetune", "finetuning_folder", "require_supported",
    "require_supported_file",
]

# Lines of settings.toml for settings that did not exist when the first fine-tunings were hashed.
NEWER_DEFAULTS = ("views = 0\n", "backbone_lr_factor = 1.0\n")


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
    keras = load_keras(backend="tensorflow")
    if run.output != "logits":
        why = "its outputs are probabilities; the loss needs logits"
        raise UsageError(f"int8_qat of {run.folder}", why=why, hint=f"edgefer quantize --int8 {run.folder}")
    check_supported(_in_tf_keras(keras, run))


def _in_tf_keras(keras: Any, run: Run, network: Any | None = None) -> Any:
    """Return the network of a run in tf_keras, with the weights of ``network`` if it is given."""
    import tf_keras

    if run.is_imported:
        return copy_to_tf_keras(network or load_imported(keras, run))
    settings, classes = run.settings(), len(run.labels)
    try:
        plain = build_network(tf_keras, settings, classes=classes)
    except UsageError:
        if not is_file_architecture(settings.architecture):
            raise
        # A file may use what only Keras 3 has, such as the configuration of an imported network.
        return copy_to_tf_keras(network or build_network(keras, settings, classes=classes))
    if network is not None:
        check_supported(plain)
        plain.set_weights(network.get_weights())
    return plain


def require_supported_file(path: Path | None, *, name: str) -> None:
    """Raise UsageError if quantization-aware training does not support the network in a Keras file.

    Args:
        path: the Keras file, or None if the imported file has no layers.
        name: name of the imported file, for the error.
    """
    if path is None:
        why = "edgefer can only read its graph, and quantization-aware training needs layers"
        raise UsageError(f"int8_qat of {name}", why=why, hint=f"edgefer quantize --int8 {name}")
    check_supported(copy_to_tf_keras(load_keras_file(load_keras(backend="tensorflow"), path)))


def finetune(
    run: Run,
    network: Any,
    split: ValidationSplit,
    settings: QatSettings,
    *,
    calibration: npt.NDArray[np.uint8],
    progress: Progress = silent,
) -> FineTuned:
    """Fine-tune the best weights of ``run``, or resume an interrupted fine-tuning.

    Args:
        run: completed training, or imported run.
        network: Keras network of ``run`` with its best weights.
        split: images that trained the run and images that selected its best epoch, not yet preprocessed.
        settings: settings of the fine-tuning.
        calibration: uint8 (n, h, w) faces that initialize the ranges of the activations.
        progress: progress callback, called with completed epochs, total epochs and the latest result.

    Raises:
        UsageError: quantization-aware training does not support a layer of the network.
        DataError: the state of an earlier fine-tuning is damaged, the loss is not finite, or another process trains in
            the folder.
        EdgeferError: the logits of the tf_keras model differ from those of the network.
    """
    plan = _plan(run, settings)
    images = split.prepare(plan.input)
    keras = load_keras(backend="tensorflow")
    base = qat_base(network, run.settings(), calibration, plain=_in_tf_keras(keras, run, network))
    trainer = QatTrainer(keras, base, fake_quantize(base, calibration, plan.input), settings, plan)
    folder = finetuning_folder(run, images.training, settings, calibration=calibration)
    with run.only_trainer():
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*"):
            leftover.unlink()
        history = _train(trainer, folder, images, progress)
    return FineTuned(trainer.model, settings, tuple(history), select_epoch(history, settings, plan), folder)


def finetuning_folder(run: Run, training: Split, settings: QatSettings, *, calibration: npt.NDArray[np.uint8]) -> Path:
    """Return the folder of a fine-tuning.

    Its name is a hash of the float network, all settings, the images, their targets and the calibration faces.

    Args:
        run: completed training.
        training: preprocessed training images.
        settings: settings of the fine-tuning.
        calibration: uint8 (n, h, w) faces that initialize the ranges of the activations.
    """
    digest, plan = hashlib.sha256(), _plan(run, settings)
    texts = (_hashed(run.settings()), _hashed(plan), json.dumps(dataclasses.asdict(settings)), run.subject["sha256"])
    for text in texts:
        digest.update(text.encode())
    batches = make_epoch(training, plan, epoch=0)
    for pixels, _, _ in batches:
        digest.update(pixels.tobytes())
    for array in (batches.targets, batches.weights, calibration):
        digest.update(array.tobytes())
    return run.folder / "qat" / digest.hexdigest()[:12]


def _hashed(settings: TrainSettings) -> str:
    """Return settings as text without newer settings that have their default value, so that the hash stays the same."""
    return "".join(line for line in to_toml(settings).splitlines(keepends=True) if line not in NEWER_DEFAULTS)


def _plan(run: Run, settings: QatSettings) -> TrainSettings:
    """Return the run's training settings with those of the fine-tuning."""
    return dataclasses.replace(
        run.settings(),
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        warmup_epochs=0,
        seed=settings.seed,
    )


def _train(trainer: QatTrainer, folder: Path, images: ValidationSplit, progress: Progress) -> list[QatEpoch]:
    settings, plan = trainer.settings, trainer.plan
    state, best_weights = folder / "state.npz", folder / "best.npz"
    history = _load(state, trainer.variables()) if state.exists() else []
    float_labels = keras_logits(trainer.base, images.validation.pixels, plan.input).argmax(axis=1)
    _write_json(folder / "settings.json", dataclasses.asdict(settings))
    while len(history) < settings.epochs:
        index = len(history)
        rates = learning_rate(history, plan), learning_rate(history, plan, ahead=1)
        batches = make_epoch(images.training, plan, epoch=index)
        metrics = trainer.run_epoch(batches, epoch=index, rates=rates, progress=progress)
        scores = trainer.evaluate(images.validation, float_labels, epoch=index)
        history.append(QatEpoch(epoch=index + 1, learning_rate=rates[0], **dataclasses.asdict(metrics), **scores))
        # Save the best weights first: if the process ends here, the epoch is repeated and saves the same weights.
        best = select_epoch(history, settings, plan)
        if best is history[-1]:
            _save(best_weights, trainer.model.variables, [history[-1]])
        _save(state, trainer.variables(), history)
        _write_history(folder / "history.csv", history)
        progress(len(history), settings.epochs, _epoch_note(history[-1], best))
    # It has one epoch, the best.
    _load(best_weights, trainer.model.variables, first_epoch=None)
    return history


def _epoch_note(last: QatEpoch, best: QatEpoch) -> str:
    return (
        f"validation accuracy {last.selection_accuracy:.2%}, agreement {last.agreement:.2%}; best is epoch {best.epoch}"
    )


def _save(path: Path, variables: Sequence[Any], history: Sequence[QatEpoch]) -> None:
    write_state(path, history, [variable.numpy() for variable in variables])


def _load(path: Path, variables: Sequence[Any], *, first_epoch: int | None = 1) -> list[QatEpoch]:
    """Assign the values that _save() wrote to the variables; return their epochs."""
    try:
        state = read_state(path, QatEpoch, first_epoch=first_epoch)
        check_variables(state.variables, variables)
    except DataError as error:
        raise DataError(
            f"{path} is damaged, so the fine-tuning cannot resume",
            why=error.what,
            hint=f"rm -r {path.parent}   (starts the fine-tuning again)",
        ) from error
    for variable, value in zip(variables, state.variables, strict=True):
        variable.assign(value)
    return state.history


def _write_history(path: Path, history: Sequence[QatEpoch]) -> None:
    names = [item.name for item in dataclasses.fields(QatEpoch)]
    rows = [",".join(str(value) for value in dataclasses.astuple(epoch)) for epoch in history]
    files.write_text(path, "\n".join([",".join(names), *rows]) + "\n")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
