"""Training settings: one frozen value that fully determines a training and is saved with its result.

    settings = replace(load_system("compact_small"), epochs=30)
    TrainSettings(epochs=0)                         # UsageError: epochs = 0: expected 1 to 1,000,000

A system (edgefer/workstation/training/systems/) is a named TrainSettings. settings_toml.py reads and writes settings as
TOML.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from edgefer.contract.preprocessing import CHANNELS, MAX_SIDE, RESIZING, Clahe, InputSpec
from edgefer.errors import DataError, UsageError

__all__ = ["AUGMENT_PRESETS", "NO_AUGMENT", "Augment", "TrainSettings"]


@dataclass(frozen=True)
class Augment:
    """Random augmentations, drawn again for each training image in every epoch. Zero or False disables an augmentation.

    Attributes:
        flip: mirror half of the images horizontally.
        rotation_degrees, shift, zoom, shear_degrees: uniform in +-value; shift is a fraction of the side, zoom a
            fraction of the size.
        brightness, contrast: uniform in +-value; brightness is added (1.0 = white), contrast scales around the mean.
        erasing: probability of filling one rectangle with a random gray.
        erasing_side: longest side of that rectangle, as a fraction of the image side.
        mixup, cutmix: alpha of the Beta distribution of the mixing ratio. Mixup blends an image with another one;
            CutMix pastes a rectangle of another one. The targets are mixed in the same ratio.
    """

    flip: bool = True
    rotation_degrees: float = 10.0
    shift: float = 0.08
    zoom: float = 0.1
    brightness: float = 0.1
    contrast: float = 0.2
    erasing: float = 0.3
    erasing_side: float = 0.4
    shear_degrees: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0


NO_AUGMENT = Augment(flip=False, rotation_degrees=0.0, shift=0.0, zoom=0.0, brightness=0.0, contrast=0.0, erasing=0.0)
AUGMENT_PRESETS = {
    "none": NO_AUGMENT,
    "flip": dataclasses.replace(NO_AUGMENT, flip=True),
    "light": Augment(brightness=0.0, contrast=0.0, erasing=0.0),
    "standard": Augment(),
    "strong": Augment(rotation_degrees=15.0, shift=0.12, zoom=0.15, shear_degrees=8.0, contrast=0.3, erasing=0.5),
    "mixed": Augment(rotation_degrees=15.0, shift=0.1, zoom=0.15, mixup=0.2, cutmix=1.0, erasing=0.0),
}
"""Named augmentations, for ``--augment NAME``."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings of a training.

    Attributes:
        system: name of the system.
        architecture: name of an architecture plugin.
        model: options of the architecture's build().
        input: size and preprocessing of the model input.
        epochs: passes over the training images; also the length of the learning-rate schedule.
        batch_size: images per step.
        optimizer: "sgd" (Nesterov momentum 0.9), "adam" or "adamw".
        learning_rate: peak learning rate.
        backbone_lr_factor: factor of the learning rate of all layers but the last one (discriminative learning rates,
            Howard and Ruder, "Universal Language Model Fine-tuning", ACL 2018). 0 trains only the last layer.
        weight_decay: decoupled weight decay; excludes biases and normalization parameters.
        schedule: "cosine", "plateau", "step" or "constant", after ``warmup_epochs`` of linear warm-up.
        floor: minimum learning rate, as a fraction of the peak.
        plateau_patience: epochs without a new best epoch before a drop of the plateau schedule.
        step_epochs: epochs between drops of the step schedule.
        factor: learning-rate factor of each drop.
        early_stopping: patience in epochs without a new best epoch; 0 disables early stopping.
        monitor: metric on the validation split that selects the best epoch, "accuracy" or "loss".
        label_smoothing: fraction of each target spread evenly over all classes.
        loss: "cross_entropy" or "focal".
        focal_gamma: exponent that reduces the weight of well-classified images in the focal loss.
        class_weights: "none"; "balanced": equal total weight per class; "effective": between the two, by
            ``effective_beta``; "dynamic": (1 - recall) of each class to the power of ``dynamic_tau``, updated every
            epoch.
        oversampling: repeat images of rare classes up to this fraction of the largest class; 0 disables it.
        oversampling_cap: maximum number of repetitions per image.
        ferplus_weight: fraction of the FER+ vote distribution in the targets, where votes exist.
        distill_alpha: weight of the distillation loss in the total loss, if there are teachers.
        distill_temperature: temperature of the softmax in the distillation loss.
        distill_views: copies of an image, or of a view, whose teacher logits are averaged: "plain"; "mirror", also
            mirrored; "crops", both also shifted by two pixels toward each corner.
        views: number of stored augmented views of all training images. Teachers and student see the same view; epoch e
            uses view e modulo ``views``. 0 augments at random in each epoch, independently of the teachers.
        ema_epochs: time constant, in epochs, of the weight average that is evaluated and saved; 0 uses the raw weights.
        precision: "float32", or mixed precision: "bfloat16" or "float16" for activations during training and for the
            scores in history.csv. "float16" scales the loss (Micikevicius et al., "Mixed Precision Training", ICLR
            2018). Reports, conversion and evaluation use float32, so those scores may differ by a few images.
        selection: source of the validation split: "public", PublicTest if it exists, or "training", a held-out share of
            Training.
        selection_share: size of the held-out, stratified share; also used if there is no PublicTest.
        seed: seed of all randomness.
        goal: target accuracy on PublicTest of FER2013, in percent; 0 if there is none.
        augment: augmentation of the training images.
    """

    system: str = "custom"
    architecture: str = "compact"
    model: Mapping[str, Any] = field(default_factory=dict)
    input: InputSpec = InputSpec()
    epochs: int = 40
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    backbone_lr_factor: float = 1.0
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    warmup_epochs: int = 1
    floor: float = 0.001
    plateau_patience: int = 4
    step_epochs: int = 15
    factor: float = 0.2
    early_stopping: int = 0
    monitor: str = "accuracy"
    label_smoothing: float = 0.1
    loss: str = "cross_entropy"
    focal_gamma: float = 2.0
    class_weights: str = "none"
    effective_beta: float = 0.999
    dynamic_tau: float = 1.0
    oversampling: float = 0.0
    oversampling_cap: float = 3.0
    ferplus_weight: float = 0.5
    distill_alpha: float = 0.9
    distill_temperature: float = 2.0
    distill_views: str = "mirror"
    views: int = 0
    ema_epochs: float = 2.0
    precision: str = "float32"
    selection: str = "public"
    selection_share: float = 0.1
    seed: int = 0
    goal: float = 0.0
    augment: Augment = Augment()

    def __post_init__(self) -> None:
        _check_types(self)
        for prefix, table in (("input.", self.input), ("input.clahe.", self.input.clahe), ("augment.", self.augment)):
            if table is not None:
                _check_types(table, prefix=prefix)
        _check_model_options(self.model)
        for name, allowed in CHOICES.items():
            choice = attrgetter(name)(self)
            if choice not in allowed:
                close = difflib.get_close_matches(choice, allowed, n=1)
                hint = f"--set {name}={(close or allowed)[0]}"
                why = f"expected one of {', '.join(allowed)}"
                raise UsageError(f"{name} = {choice!r}", why=why, hint=hint)
        for name, (low, high) in RANGES.items():
            if name.startswith("input.clahe.") and self.input.clahe is None:
                continue
            value = attrgetter(name)(self)
            if not low <= value <= high:
                hint = f"--set {name}={attrgetter(name)(TrainSettings(input=InputSpec(clahe=Clahe())))}"
                raise UsageError(f"{name} = {value!r}", why=f"expected {low:,} to {high:,}", hint=hint)
        _check_channels(self.input)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-compatible values."""
        return {**dataclasses.asdict(self), "input": self.input.to_json()}


def _check_model_options(options: Mapping[str, Any]) -> None:
    """Raise UsageError for a value that a contract cannot store, such as a date of TOML."""
    for name, value in options.items():
        try:
            json.dumps(value)
        except TypeError as error:
            why = "expected a number, a text, true, false, a list or a table"
            raise UsageError(f"model.{name} = {value}", why=why, hint=f"--set model.{name}=VALUE") from error


def _check_channels(spec: InputSpec) -> None:
    """Raise UsageError if mean or std is not a list of one number, or of one per channel."""
    try:
        InputSpec.from_json({**spec.to_json(), "clahe": None})
    except DataError as error:
        raise UsageError(error.what, why=error.why, hint="--set input.channels=gray") from error
    if spec.clahe is not None and spec.channels != "gray":
        hint = "--set input.clahe=false"
        raise UsageError(f"input.clahe with input.channels = {spec.channels!r}", why="expected 'gray'", hint=hint)


CHOICES = {
    "input.channels": tuple(CHANNELS),
    "input.resize": tuple(RESIZING),
    "optimizer": ("sgd", "adam", "adamw"),
    "schedule": ("cosine", "plateau", "step", "constant"),
    "monitor": ("accuracy", "loss"),
    "loss": ("cross_entropy", "focal"),
    "class_weights": ("none", "balanced", "effective", "dynamic"),
    "distill_views": ("plain", "mirror", "crops"),
    "selection": ("public", "training"),
    "precision": ("float32", "bfloat16", "float16"),
}
MANY = 1_000_000
RANGES = {
    "epochs": (1, MANY),
    "batch_size": (1, MANY),
    "learning_rate": (1e-9, 1e3),
    "backbone_lr_factor": (0, 1),
    "weight_decay": (0, 1),
    "warmup_epochs": (0, MANY),
    "floor": (0, 1),
    "plateau_patience": (1, MANY),
    "step_epochs": (1, MANY),
    "factor": (1e-6, 1),
    "early_stopping": (0, MANY),
    "label_smoothing": (0, 0.999),
    "focal_gamma": (0, 20),
    "effective_beta": (0, 0.9999999),
    "dynamic_tau": (0, 10),
    "oversampling": (0, 1),
    "oversampling_cap": (1, 100),
    "ferplus_weight": (0, 1),
    "distill_alpha": (0, 1),
    "distill_temperature": (0.01, 1000),
    "views": (0, 1000),
    "ema_epochs": (0, MANY),
    "selection_share": (0.01, 0.5),
    "seed": (0, 2**31 - 1),
    "goal": (0, 100),
    "input.height": (8, MAX_SIDE),
    "input.width": (8, MAX_SIDE),
    "input.clahe.clip_limit": (0, 1000),
    "input.clahe.tiles": (1, 64),
    "augment.rotation_degrees": (0, 180),
    "augment.shift": (0, 1),
    "augment.zoom": (0, 0.9),
    "augment.brightness": (0, 1),
    "augment.contrast": (0, 1),
    "augment.erasing": (0, 1),
    "augment.erasing_side": (0, 1),
    "augment.shear_degrees": (0, 60),
    "augment.mixup": (0, 100),
    "augment.cutmix": (0, 100),
}
TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def _check_types(settings: Any, *, prefix: str = "") -> None:
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        expected = TYPES.get(str(item.type))
        # bool is a subclass of int, but "epochs = true" is an error.
        if expected and (not isinstance(value, expected) or (isinstance(value, bool) and expected != (bool,))):
            name = f"{prefix}{item.name}"
            hint = f"--set {name}={json.dumps(item.default)}"
            raise UsageError(f"{name} = {value!r}", why=f"expected a value of type {item.type}", hint=hint)
