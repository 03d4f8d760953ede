"""Build the Keras network that the settings describe, and load its weights."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgefer import plugins
from edgefer.contract.preprocessing import CHANNELS
from edgefer.errors import DataError, UsageError
from edgefer.workstation.training.architecture_file import find_build, is_file_architecture
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["build_network", "check_options", "last_layer", "load_weights"]

ARCHITECTURES = "edgefer.workstation.networks.architectures"


def build_network(keras: Any, settings: TrainSettings, *, classes: int) -> Any:
    """Build the architecture of ``settings`` with fresh weights.

    Args:
        keras: the Keras module.
        settings: training settings.
        classes: number of outputs.

    Returns:
        A Keras model from float32 (n, h, w, channels) to logits (n, classes).

    Raises:
        UsageError: the architecture does not exist, or cannot be built with these options and this input size.
    """
    build = _find_build(settings.architecture)
    # Code of the user can fail in any way; that of the catalog only raises for values that do not fit.
    failures = Exception if is_file_architecture(settings.architecture) else (ValueError, TypeError)
    shape = (settings.input.height, settings.input.width, CHANNELS[settings.input.channels])
    try:
        return build(keras, input_shape=shape, classes=classes, **settings.model)
    except failures as error:
        options = ", ".join(f"model.{name}={value!r}" for name, value in settings.model.items())
        raise UsageError(
            f"{settings.architecture} cannot be built for {shape[0]}x{shape[1]} pixels with {options or 'defaults'}",
            # Keras error messages span paragraphs and contain ANSI codes.
            why=textwrap.shorten(re.sub(r"\x1b\[\d*m", "", str(error)), 240),
            hint="omit the overrides of model.* and input.*",
        ) from error


def _find_build(architecture: str) -> Callable[..., Any]:
    """Return the function that builds an architecture of the catalog or of a file."""
    if is_file_architecture(architecture):
        return find_build(architecture)
    build: Callable[..., Any] = plugins.load(ARCHITECTURES, architecture).build
    return build


def last_layer(network: Any) -> Any:
    """Return the last layer of a Keras network that has weights; in a classifier, it computes the logits."""
    return next(layer for layer in reversed(network.layers) if layer.weights)


def load_weights(network: Any, path: Path, *, hint: str) -> None:
    """Load all weights of ``network`` from ``path``.

    Args:
        network: a built Keras model.
        path: a Keras weights file.
        hint: the hint of the error.

    Raises:
        DataError: the file is damaged or belongs to another network.
    """
    import h5py  # a dependency of Keras

    try:
        with h5py.File(path, "r") as file:
            saved = _array_shapes(file)
        expected = sorted(tuple(weight.shape) for weight in network.weights)
        # Keras leaves weights that the file lacks as they are and only warns, and it ignores weights of other layers.
        if saved != expected:
            what = f"it has {len(saved)} weights" if len(saved) != len(expected) else "its weights have other shapes"
            raise ValueError(f"{what}, and the network has {len(expected)}")
        network.load_weights(path)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        why = str(error).strip().partition("\n")[0]
        raise DataError(f"cannot load {path}", why=why, hint=hint) from error


def _array_shapes(group: Any) -> list[tuple[int, ...]]:
    """Return the shapes of all arrays below a group of an HDF5 file, sorted."""
    import h5py

    shapes: list[tuple[int, ...]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            shapes.append(tuple(item.shape))

    group.visititems(visit)
    return sorted(shapes)


def check_options(settings: TrainSettings) -> None:
    """Check that the architecture accepts every option in ``settings.model``.

    Raises:
        UsageError: the architecture has no such option, or the value has the wrong type.
    """
    build = _find_build(settings.architecture)
    parameters = inspect.signature(build).parameters
    options = {name: parameters[name].default for name in parameters if name not in ("keras", "input_shape", "classes")}
    for name, value in settings.model.items():
        if name not in options:
            raise UsageError(
                f"{settings.architecture} has no option model.{name}",
                why=f"expected one of {', '.join(options)}" if options else "it has no options",
                hint=f"--set model.{next(iter(options))}=VALUE" if options else f"omit model.{name}",
            )
        # Settings accept an int for a float; TOML and JSON represent a tuple as a list.
        expected = {tuple: list}.get(type(options[name]), type(options[name]))
        if type(value) is not expected and not (expected is float and type(value) is int):
            why = f"expected a value of type {expected.__name__}"
            raise UsageError(f"model.{name} = {value!r}", why=why, hint=f"--set model.{name}={options[name]}")
