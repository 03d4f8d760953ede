"""Initial weights of a training: those of a run, of an imported network, or recovered from a .tflite of edgefer.

    source = open_initial_weights(Path("nano"))
    check_initial_weights(source, settings)         # before the data set is read
    network = initialize(source, settings, labels=dataset.labels, faces=training_pixels)
    new_classes(source, dataset.labels)             # classes whose outputs have fresh weights

The last layer keeps the weights of each class that the model has, in the order of the new classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import FLOAT32, encode, encoder, prepare_all, with_channels
from edgefer.data.naming import list_names, match_names
from edgefer.data.pixels import Pixels
from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.models import find_model, is_model
from edgefer.workstation.importing.float_weights import (
    FoldedLayer,
    assign_weights,
    read_weights,
    restore_normalization,
)
from edgefer.workstation.importing.trainable import architecture_source
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.architecture_file import is_file_architecture, register_source
from edgefer.workstation.training.keras_inference import keras_logits, load_imported, load_network
from edgefer.workstation.training.model import build_network, last_layer
from edgefer.workstation.training.run import Run, find_run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import from_json

__all__ = [
    "ImportedWeights", "InitialWeights", "ModelWeights", "RunWeights", "check_initial_weights", "fine_tuning_settings",
    "initialize", "new_classes", "open_initial_weights",
]  # fmt: skip

# Learning rate of a fine-tuning for each optimizer. That of the source may be the end of a long schedule.
FINE_TUNING_RATES = {"sgd": 0.02, "adam": 2e-4, "adamw": 2e-4}
# Training faces that measure the statistics of the normalizations.
STATISTICS_FACES = 2048
# Faces that compare the recovered network with the model, and the least correlation of their logits.
COMPARED_FACES = 128
LEAST_CORRELATION = 0.95
# Entries of a layer's configuration that do not change the meaning of its weights.
FREE_OPTIONS = ("rate", "seed", "batch_shape", "dtype")


class InitialWeights(Protocol):
    """A trained classifier that edgefer can train further.

    Attributes:
        name: name of the run or the file.
        settings: settings of its training.
        labels: class names in the order of the outputs.
        reference: name and identity, for the record of the new run.
        run: the trained run, or None for a model file or an imported run.
    """

    name: str
    settings: TrainSettings
    labels: tuple[str, ...]
    reference: dict[str, Any]
    run: Run | None

    def check(self, keras: Any) -> None:
        """Check that the weights can be loaded, without images.

        Raises:
            DataError: the weights are damaged.
            IncompatibleError: they do not fit the architecture.
        """

    def load(self, keras: Any, faces: Pixels) -> Any:
        """Return the trained Keras network.

        Args:
            keras: the Keras module.
            faces: unprepared training images, uint8 (n, h, w) or (n, h, w, 3).
        """


class RunWeights:
    """The best weights of a training run."""

    def __init__(self, run: Run) -> None:
        """Open a trained run; raise DataError if it has no weights."""
        run.require_weights()
        self.run: Run | None = run
        self.name, self.settings, self.labels = str(run.folder), run.settings(), run.labels
        self.reference = run.reference
        self._run = run

    def check(self, keras: Any) -> None:
        """Load the weights, which raises DataError if they are damaged."""
        load_network(keras, self._run)

    def load(self, keras: Any, faces: Pixels) -> Any:
        """Return the network with the best weights; it needs no faces."""
        return load_network(keras, self._run)


class ImportedWeights:
    """The Keras network of an imported run."""

    def __init__(self, run: Run) -> None:
        """Open an imported run.

        Raises:
            UsageError: the run has no Keras network with a last layer that can be replaced.
            DataError: the network cannot be loaded.
        """
        if run.output != "logits":
            why = "its outputs are probabilities; a training needs logits"
            raise UsageError(f"--init-from {run.folder}", why=why, hint=f"--teacher {run.folder}")
        self._network = load_imported(load_keras(), run)
        settings, file = run.settings(), run.environment()["imported"]["file"]
        digest = register_source(architecture_source(self._network, name=file))
        # It is trained like a model file: the run has no settings of a training and perhaps no data.
        self.run: Run | None = None
        self.name, self.labels = str(run.folder), run.labels
        self.reference: dict[str, Any] = run.reference
        self.settings: TrainSettings = dataclasses.replace(settings, architecture=f"{settings.system}-{digest}:build")

    def check(self, keras: Any) -> None:
        """Build the network again."""
        build_network(keras, self.settings, classes=len(self.labels))

    def load(self, keras: Any, faces: Pixels) -> Any:
        """Return the imported network; it needs no faces."""
        return self._network


class ModelWeights:
    """Float weights recovered from a .tflite that edgefer converted."""

    def __init__(self, path: Path) -> None:
        """Open a model.

        Raises:
            DataError: the file cannot be read, or its contract has invalid settings.
            IncompatibleError: the contract has no settings, or they name an architecture outside the catalog.
        """
        self.run: Run | None = None
        self._classifier = Classifier.open(path)
        artifact = self._classifier.artifact
        self.name, self.labels = path.name, artifact.labels
        self.reference: dict[str, Any] = {"run": path.name, **self._classifier.subject}
        fields = artifact.provenance.get("settings")
        if not fields or not isinstance(fields, Mapping):  # a contract does not check its type
            why = "its contract has no settings of a training, from which its network could be built"
            hint = "--init-from with a model that edgefer trained, or --teacher"
            raise IncompatibleError(f"{path} cannot be trained further", why=why, hint=hint)
        try:
            self.settings = dataclasses.replace(from_json(fields), input=artifact.input_spec)
        except UsageError as error:
            what = f"{path} has invalid settings in its contract: {error.what}"
            raise DataError(what, why=error.why, hint="copy the file again") from error
        if is_file_architecture(self.settings.architecture):
            why = f"its architecture {self.settings.architecture} is a Python file, which a .tflite does not contain"
            raise IncompatibleError(f"{path} cannot be trained further", why=why, hint="--init-from RUN")

    @cached_property
    def _layers(self) -> list[FoldedLayer]:
        return read_weights(self._classifier.artifact.model)

    def check(self, keras: Any) -> None:
        """Recover the folded weights."""
        self._build(keras)

    def _build(self, keras: Any) -> Any:
        network = build_network(keras, self.settings, classes=len(self.labels))
        try:
            assign_weights(network, self._layers)
        except IncompatibleError as error:
            raise IncompatibleError(f"{self.name}: {error.what}", why=error.why, hint=error.hint) from error
        return network

    def load(self, keras: Any, faces: Pixels) -> Any:
        """Recover the network, with the statistics of the faces, and compare its logits with those of the model.

        Raises:
            IncompatibleError: the logits differ.
        """
        network, spec = self._build(keras), self.settings.input
        prepared = prepare_all(_sample(faces), spec)
        images = encode(encoder(FLOAT32, spec), with_channels(prepared))
        restore_normalization(keras, network, images)
        compared = prepared[:COMPARED_FACES]
        recovered, expected = keras_logits(network, compared, spec), self._classifier.logits(compared)
        correlation = float(np.corrcoef(recovered.ravel(), expected.ravel())[0, 1])
        # Written so that NaN is too small.
        if not correlation >= LEAST_CORRELATION:
            raise IncompatibleError(
                f"{self.name}: the recovered network differs from the model",
                why=f"their logits on {len(compared)} faces have the correlation {correlation:.3f}, expected at least "
                f"{LEAST_CORRELATION:g}",
                hint="--init-from with the run folder of the model",
            )
        return network


def _sample(faces: Pixels) -> npt.NDArray[np.uint8]:
    sample: npt.NDArray[np.uint8] = faces[np.random.default_rng(0).permutation(len(faces))[:STATISTICS_FACES]]
    return sample


def open_initial_weights(name: Path) -> InitialWeights:
    """Open a run folder, a .tflite of edgefer, or a shipped model by its name.

    Raises:
        UsageError: the run was imported, and its network cannot be trained.
        DataError: there is no such run or model, or it has no weights.
        IncompatibleError: the model has no settings of a training.
    """
    if is_model(name):
        return ModelWeights(find_model(name)[0])
    run = find_run(name)
    if run.is_imported:
        return ImportedWeights(run)
    return RunWeights(run)


def check_initial_weights(source: InitialWeights, settings: TrainSettings) -> None:
    """Check that the network of ``settings`` takes the weights of ``source``; the number of classes may differ.

    Raises:
        UsageError: the architecture or one of its options differs.
        DataError: the weights are damaged.
        IncompatibleError: the weights do not fit the architecture.
    """
    keras = load_keras()
    source.check(keras)
    trained = source.settings
    if settings.architecture != trained.architecture:
        why = f"its weights fit only architecture = {trained.architecture}"
        what = f"architecture = {settings.architecture} with --init-from {source.name}"
        raise UsageError(what, why=why, hint="omit the architecture")
    network, original = (build_network(keras, each, classes=len(source.labels)) for each in (settings, trained))
    if settings.model != trained.model and _structure(network) != _structure(original):
        names = {**trained.model, **settings.model}
        changed = [name for name in names if settings.model.get(name) != trained.model.get(name)]
        values = ", ".join(f"model.{name} = {settings.model.get(name, 'its default')}" for name in changed)
        fitting = ", ".join(f"model.{name} = {trained.model.get(name, 'its default')}" for name in changed)
        raise UsageError(
            f"{values} with --init-from {source.name}", why=f"its weights fit only {fitting}",
            hint=f"omit --set model.{changed[0]}",
        )  # fmt: skip
    if _shapes(network) != _shapes(original):
        before, now = (f"{each.input.height}x{each.input.width} {each.input.channels}" for each in (trained, settings))
        what, why = f"an input of {now} with --init-from {source.name}", f"its weights fit only {before}"
        raise UsageError(what, why=why, hint="omit --set input.*")


def _shapes(network: Any) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in network.weights]


def _structure(network: Any) -> list[Any]:
    """Return the names and options of the layers that give the weights their meaning."""
    return [
        (layer.name, {name: value for name, value in layer.get_config().items() if name not in FREE_OPTIONS})
        for layer in network.layers
    ]


def new_classes(source: InitialWeights, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that the model of ``source`` does not have, under this name or a synonym."""
    known = match_names(labels, source.labels)
    return tuple(label for label in labels if label not in known)


def initialize(
    source: InitialWeights, settings: TrainSettings, *, labels: Sequence[str], faces: Pixels
) -> Any:
    """Return a Keras network with the weights of ``source``, and outputs for ``labels``.

    Args:
        source: trained classifier.
        settings: settings of the new training, checked by check_initial_weights().
        labels: class names in the order of the new outputs.
        faces: unprepared training images, uint8 (n, h, w) or (n, h, w, 3), n >= 1.

    Raises:
        DataError: the last layer does not have one output per class.
        IncompatibleError: the weights cannot be recovered.
    """
    keras = load_keras()
    trained = source.load(keras, faces)
    network = build_network(keras, settings, classes=len(labels))
    head, old_head = last_layer(network), last_layer(trained)
    for layer, old in zip(network.layers, trained.layers, strict=True):
        if layer is not head:
            layer.set_weights(old.get_weights())
    index_of = match_names(labels, source.labels)
    columns = [index_of.get(label, -1) for label in labels]
    generator = np.random.default_rng([settings.seed, 5])
    values = [_head_values(array, columns, source, generator) for array in old_head.get_weights()]
    head.set_weights(values)
    return network


def _head_values(
    array: npt.NDArray[np.float32], columns: Sequence[int], source: InitialWeights, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return a weight of the last layer for other classes; a column of -1 is drawn, or zero in a bias."""
    if array.shape[-1:] != (len(source.labels),):
        why = f"a weight of its last layer has the shape {array.shape}, expected (..., {len(source.labels)})"
        classes = list_names(source.labels)
        raise DataError(f"the outputs of {source.name} are not its classes {classes}", why=why, hint="omit --init-from")
    fresh = np.zeros((*array.shape[:-1], len(columns)), np.float32)
    if array.ndim > 1:
        # Glorot and Bengio, AISTATS 2010, as in a new Dense layer.
        limit = np.sqrt(6 / (np.prod(array.shape[:-1]) + len(columns)))
        fresh = generator.uniform(-limit, limit, fresh.shape).astype(np.float32)
    for index, column in enumerate(columns):
        if column >= 0:
            fresh[..., index] = array[..., column]
    return fresh


def fine_tuning_settings(settings: TrainSettings, *, teachers: bool) -> TrainSettings:
    """Return settings of a model for a short training on other data, from which the user's changes start.

    Args:
        settings: settings with which the model was trained.
        teachers: True if the new training has teachers, which stored views need.
    """
    return dataclasses.replace(
        settings,
        epochs=20,
        learning_rate=FINE_TUNING_RATES[settings.optimizer],
        backbone_lr_factor=0.1,
        warmup_epochs=1,
        early_stopping=0,
        views=settings.views if teachers else 0,
        goal=0.0,
    )
