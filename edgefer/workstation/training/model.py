"""From settings to a Keras network: the architecture by its name, with the options that the settings give it."""

from __future__ import annotations

import inspect
import re
import textwrap
import warnings
from pathlib import Path
from typing import Any

from edgefer import plugins
from edgefer.contract.labels import LABELS
from edgefer.errors import DataError, UsageError
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["build_network", "check_options", "load_weights"]

ARCHITECTURES = "edgefer.workstation.networks.architectures"


def build_network(keras: Any, settings: TrainSettings) -> Any:
    """The architecture of ``settings`` with fresh weights: float32 (n, h, w, 1) in [0, 1] -> logits (n, 7).

    Raises:
        UsageError: no such architecture, or no network comes of the options and the size of the input.
    """
    module = plugins.load(ARCHITECTURES, settings.architecture)
    shape = (settings.input.height, settings.input.width, 1)
    try:
        return module.build(keras, input_shape=shape, classes=len(LABELS), **settings.model)
    except (ValueError, TypeError) as error:
        options = ", ".join(f"model.{name}={value!r}" for name, value in settings.model.items())
        raise UsageError(
            f"{settings.architecture} cannot be built for {shape[0]}x{shape[1]} pixels with {options or 'defaults'}",
            # Keras writes paragraphs, some of it in bold.
            why=textwrap.shorten(re.sub(r"\x1b\[\d*m", "", str(error)), 240),
            hint="leave the settings model.* and input.* as the system has them",
        ) from error


def load_weights(network: Any, path: Path, *, hint: str) -> None:
    """Give ``network`` the weights in ``path``, all of them.

    Raises:
        DataError: they are damaged, or of another network; its fix is ``fix``.
    """
    try:
        with warnings.catch_warnings():
            # Keras only warns where it leaves a part of the network as it was.
            warnings.simplefilter("error", UserWarning)
            network.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        why = str(error).strip().partition("\n")[0]
        raise DataError(f"cannot load {path}", why=why, hint=hint) from error


def check_options(settings: TrainSettings) -> None:
    """Raise UsageError for an option that the architecture does not have, or a value of another type."""
    build = plugins.load(ARCHITECTURES, settings.architecture).build
    parameters = inspect.signature(build).parameters
    options = {name: parameters[name].default for name in parameters if name not in ("keras", "input_shape", "classes")}
    for name, value in settings.model.items():
        if name not in options:
            what = f"{settings.architecture} has no option model.{name}"
            raise UsageError(what, why=f"there are {', '.join(options)}", hint="one of these, or leave it out")
        # As everywhere in the settings, an int is a fine float; and what TOML and JSON have is a list.
        expected = {tuple: list}.get(type(options[name]), type(options[name]))
        if type(value) is not expected and not (expected is float and type(value) is int):
            why = f"a value of type {expected.__name__} was expected"
            raise UsageError(f"model.{name} = {value!r}", why=why, hint=f"--set model.{name}={options[name]}")
