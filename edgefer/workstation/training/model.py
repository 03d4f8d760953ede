"""Build the Keras network that the settings describe, and load and save its weights."""

from __future__ import annotations

import errno
import inspect
import os
import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgefer import files, plugins
from edgefer.contract.preprocessing import CHANNELS
from edgefer.errors import DataError, UsageError
from edgefer.workstation.training.architecture_file import find_build, is_file_architecture
from edgefer.workstation.training.settings import TrainSettings

__all__ = [
    "IMPORTED", "build_network", "check_options", "final_activation", "final_operation", "last_layer", "load_weights",
    "save_weights",
]  # fmt: skip

ARCHITECTURES = "edgefer.workstation.networks.architectures"
# Name of the architecture in the settings of an imported run; no plug-in has it.
IMPORTED = "imported"
HDF5_OVERHEAD_BYTES = 1 << 20
# Parameters that settings can pass by name.
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# Activations that turn logits into probabilities.
ACTIVATIONS = ("softmax", "sigmoid")


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
    is_file = is_file_architecture(settings.architecture)
    failures = (Exception, SystemExit) if is_file else (ValueError, TypeError)
    shape = (settings.input.height, settings.input.width, CHANNELS[settings.input.channels])
    try:
        network = build(keras, input_shape=shape, classes=classes, **settings.model)
    except failures as error:
        options = ", ".join(f"model.{name}={value!r}" for name, value in settings.model.items())
        raise UsageError(
            f"{settings.architecture} cannot be built for {shape[0]}x{shape[1]} pixels with {options or 'defaults'}",
            # Keras error messages span paragraphs and contain ANSI codes.
            why=textwrap.shorten(re.sub(r"\x1b\[\d*m", "", str(error)), 240),
            hint="omit the overrides of model.* and input.*" if settings.model or not is_file else "correct it",
        ) from error
    _check_network(keras, network, settings.architecture, shape=shape, classes=classes)
    return network


def _check_network(keras: Any, network: Any, architecture: str, *, shape: tuple[int, ...], classes: int) -> None:
    """Raise UsageError unless ``network`` is a Keras model from images of ``shape`` to logits."""
    if not isinstance(network, keras.Model):
        why = f"it returned an object of type {type(network).__module__}.{type(network).__name__}"
        hint = "return keras.Model(image, logits) of layers of the argument keras"
        raise UsageError(f"{architecture} is not a model of {keras.__name__}", why=why, hint=hint)
    inputs, outputs = getattr(network, "inputs", None), getattr(network, "outputs", None)
    if not inputs or not outputs:
        why = f"{type(network).__name__} has no graph of layers from an input to an output"
        hint = "keras.Model(image, logits), or keras.Sequential([keras.Input(input_shape), ...])"
        raise UsageError(f"{architecture} is not a functional or Sequential model", why=why, hint=hint)
    ends = [[tuple(tensor.shape) for tensor in tensors] for tensors in (inputs, outputs)]
    if ends != [[(None, *shape)], [(None, classes)]]:
        given, returned = (", ".join(map(str, shapes)) for shapes in ends)
        why = f"expected one input {(None, *shape)} and one output {(None, classes)}"
        hint = "keras.Input(input_shape), and keras.layers.Dense(classes) at the end"
        raise UsageError(f"{architecture} is a model from {given} to {returned}", why=why, hint=hint)
    activation = final_activation(keras, network)
    if activation:
        why = "expected logits: the loss, int8 and the board apply the softmax"
        raise UsageError(f"{architecture} ends in a {activation}", why=why, hint=f"remove the {activation}")


def final_operation(model: Any) -> Any:
    """Return the layer or the operation that computes the output of a functional or Sequential Keras model.

    ``model.layers`` lists no operations, such as ``keras.ops.softmax(logits)`` or ``scores[:, ::-1]``.
    """
    history = model.outputs[0]._keras_history
    return history.operation if hasattr(history, "operation") else history.layer


def final_activation(framework: Any, model: Any) -> str:
    """Return "softmax" or "sigmoid" if the output of a model is that of one, also inside nested models, or ""."""
    last = model
    while isinstance(last, framework.Model) and getattr(last, "outputs", None):
        last = final_operation(last)
    kind = type(last).__name__.lower()
    name = kind if kind in ACTIVATIONS else getattr(getattr(last, "activation", None), "__name__", "")
    return name if name in ACTIVATIONS else ""


def _find_build(architecture: str) -> Callable[..., Any]:
    """Return the function that builds an architecture of the catalog or of a file."""
    if is_file_architecture(architecture):
        return find_build(architecture)
    if architecture == IMPORTED:
        why = "another program has built and trained its network"
        hint = "--init-from RUN trains an imported run further"
        raise UsageError("an imported run has no architecture to train", why=why, hint=hint)
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


def save_weights(network: Any, path: Path) -> None:
    """Save all weights of ``network`` in Keras format.

    Raises:
        OSError: the disk has too little free space.
    """
    needed = sum(array.nbytes for array in network.get_weights()) + HDF5_OVERHEAD_BYTES
    if shutil.disk_usage(path.parent).free < needed:
        # HDF5 crashes the process when the disk is full.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    with files.atomic_write(path) as temporary:
        network.save_weights(temporary)


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
    """Check that the architecture accepts every option in ``settings.model``, and gets those without a default.

    Raises:
        UsageError: the architecture has no such option, the value has the wrong type, or an option is missing.
    """
    architecture = settings.architecture
    # The first one is keras.
    parameters = list(inspect.signature(_find_build(architecture)).parameters.values())[1:]
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    named = {parameter.name: parameter.default for parameter in parameters if parameter.kind in NAMED}
    for name in ("input_shape", "classes"):
        if name not in named and not takes_any:
            why = f"it has {', '.join(named) or 'no others'}"
            hint = "def build(keras, *, input_shape, classes)"
            raise UsageError(f"{architecture} has no parameter {name}", why=why, hint=hint)
    options = {name: default for name, default in named.items() if name not in ("input_shape", "classes")}
    for name, value in settings.model.items():
        if name not in options:
            if takes_any:
                continue
            raise UsageError(
                f"{architecture} has no option model.{name}",
                why=f"expected one of {', '.join(options)}" if options else "it has no options",
                hint=f"--set model.{next(iter(options))}=VALUE" if options else f"omit model.{name}",
            )
        if options[name] is None or options[name] is inspect.Parameter.empty:
            continue  # the default says nothing about the type
        # Settings accept an int for a float; TOML and JSON represent a tuple as a list.
        expected = {tuple: list}.get(type(options[name]), type(options[name]))
        if type(value) is not expected and not (expected is float and type(value) is int):
            why = f"expected a value of type {expected.__name__}"
            raise UsageError(f"model.{name} = {value!r}", why=why, hint=f"--set model.{name}={options[name]}")
    for name, default in options.items():
        if default is inspect.Parameter.empty and name not in settings.model:
            hint = f"--set model.{name}=VALUE"
            raise UsageError(f"{architecture} needs model.{name}", why="it has no default", hint=hint)
