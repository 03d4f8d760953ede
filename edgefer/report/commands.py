"""How a model is made again: the command lines and the settings that its provenance tells.

    quantize_command("int8", provenance, "runs/first")
    train_command("runs/first", settings="settings.toml", data="fer2013.csv", origin=provenance)
    settings_toml(provenance["settings"])           # what edgefer train --settings takes
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgefer.results import schema

__all__ = ["check_provenance", "leaves", "quantize_command", "settings_toml", "train_command"]

PARTS = ("calibration", "data", "qat", "recipe", "scores", "settings")
# Layouts that --data takes by their own name.
DATA = ("fer2013.csv", "synthetic")
# What the recipe of a contract says -> what says so on the command line; whatever is not listed needs no saying.
VALUES = {"io": "--io", "ranges": "--calibration-method", "rounding": "--rounding"}
REFUSALS = {"per_channel": "--per-tensor", "bias_correction": "--no-bias-correction"}
TUNING = {"epochs": "--qat-epochs", "learning_rate": "--qat-learning-rate", "distill": "--distill-weight"}


def check_provenance(provenance: Mapping[str, Any]) -> None:
    """Refuse what no command can be made of.

    Raises:
        DataError: a part of it is of another type; the message names it.
    """
    parts = {name: provenance[name] for name in PARTS if provenance.get(name) is not None}
    schema.require(parts, **dict.fromkeys(parts, dict))
    layers = {"float_layers": (provenance.get("recipe") or {}).get("float_layers") or []}
    schema.require(layers, float_layers=list)
    _origin(provenance)
    tuning = provenance.get("qat") or {}
    schema.require(tuning, **{name: (int, float) for name in TUNING if name in tuning})


def train_command(run: str, *, settings: str, data: object, origin: Mapping[str, Any]) -> str:
    """The line that trains ``run`` by the file ``settings``, on ``data`` as an environment or a contract names them.

    ``origin``, the environment or the provenance, names the run that it began from, and those that it learned from.

    Raises:
        DataError: it names them in another way than edgefer does.
    """
    named = str(data) if data in DATA else "DATA"
    parents, teachers = (",".join(f"runs/{name}" for name in names) for names in _origin(origin))
    words = ["edgefer", "train", "--settings", settings, "--data", named, "--run", run]
    words += ["--init-from", parents] if parents else []
    return _joined([*words, *(["--teacher", teachers] if teachers else [])])


def _origin(origin: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The names of the run that a training began from, in a list of one or none, and of its teachers."""
    groups = [origin["parent"]] if origin.get("parent") else [], origin.get("teachers") or []
    schema.require({"teachers": groups[1]}, teachers=list)
    for each in [*groups[0], *groups[1]]:
        schema.require({"teacher": each}, teacher=dict)
        schema.require(each, run=str)
    return [each["run"] for each in groups[0]], [each["run"] for each in groups[1]]


def quantize_command(scheme: str, provenance: Mapping[str, Any], run: str) -> str:
    """The line that makes a model of ``scheme`` from the run folder ``run`` as ``provenance`` tells."""
    words = ["edgefer", "quantize", run, "--scheme", scheme]
    words += _calibration(provenance.get("calibration") or {})
    recipe, tuning = provenance.get("recipe") or {}, provenance.get("qat") or {}
    words += [word for name, flag in VALUES.items() if recipe.get(name) for word in (flag, str(recipe[name]))]
    words += [flag for name, flag in REFUSALS.items() if recipe.get(name) is False]
    words += [word for layer in recipe.get("float_layers") or () for word in ("--keep-float", str(layer))]
    words += [word for name, flag in TUNING.items() if name in tuning for word in (flag, f"{tuning[name]:g}")]
    return _joined(words)


def _calibration(told: Mapping[str, Any]) -> list[str]:
    if told.get("set"):
        return ["--calibration", str(told["set"])]
    found = [("--calibration-size", told.get("faces")), ("--seed", told.get("seed"))]
    return [word for flag, value in found if value is not None for word in (flag, str(value))]


def _joined(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))


def settings_toml(settings: Mapping[str, Any]) -> str:
    """The nested settings as the TOML that ``edgefer train --settings`` takes: dotted keys need no tables."""
    # Plain strings, numbers, booleans and lists are written in TOML as in JSON, but for JSON's surrogate pairs.
    return "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in leaves(settings))


def leaves(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of nested plain values; what is None is left out."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value
