"""Commands and settings that reproduce a model, from its provenance.

    quantize_command("int8", provenance, "runs/first")
    train_command("runs/first", settings="settings.toml", data="fer2013.csv", origin=provenance)
    settings_toml(provenance["settings"])           # input of edgefer train --settings
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edgefer.contract.input_description import describe_range
from edgefer.contract.preprocessing import InputSpec
from edgefer.results.provenance import check_origin

__all__ = [
    "import_command", "imported_from", "leaves", "quantize_command", "settings_toml", "teachers_of", "train_command",
]  # fmt: skip

# Values of --data that name a data set without a path.
NAMED_DATA = ("fer2013.csv", "synthetic")
# Recipe fields in a contract and the options that set them; other fields have no option.
VALUES = {"io": "--io", "ranges": "--calibration-method", "rounding": "--rounding"}
# Contracts keep the name of a method from the time of conversion.
RENAMED = {"second-order": "gptq"}
REFUSALS = {"per_channel": "--per-tensor", "bias_correction": "--no-bias-correction", "bit_exact": "--no-bit-exact"}
TUNING = {"epochs": "--qat-epochs", "learning_rate": "--qat-learning-rate", "distill": "--distill-weight"}


def train_command(run: str, *, settings: str, data: object, origin: Mapping[str, Any]) -> str:
    """Return the command line of a training.

    Args:
        run: the run folder to write.
        settings: the settings file.
        data: name of the data set, from an environment or a contract; anything without a well-known name becomes DATA.
        origin: the environment or provenance, which names the run that the weights come from and the teachers.

    Raises:
        DataError: ``origin`` describes them in a form that edgefer does not write.
    """
    data_argument = str(data) if data in NAMED_DATA else "DATA"
    teachers, parent = teachers_of(origin), origin.get("parent")
    words = ["edgefer", "train", "--settings", settings, "--data", data_argument, "--run", run]
    words += ["--init-from", _source_path(parent)] if parent else []
    return _joined([*words, *(["--teacher", ",".join(map(_source_path, teachers))] if teachers else [])])


def imported_from(origin: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the origin of an imported model, from an environment or a contract; empty for others."""
    imported = origin.get("imported")
    return imported if isinstance(imported, Mapping) else {}


def import_command(run: str, *, environment: Mapping[str, Any], spec: InputSpec) -> str:
    """Return the command line that imports the network of an imported run into the run folder ``run``.

    Args:
        run: the run folder to write.
        environment: the environment of the imported run.
        spec: the input of the network.
    """
    imported, data = imported_from(environment), environment.get("data") or {}
    words = ["edgefer", "import", str(imported.get("file", "MODEL"))]
    words += ["--data", "synthetic" if data.get("source") == "synthetic" else "DATA"] if data.get("sha256") else []
    if imported.get("labels_from") != "the data":
        words += ["--labels", ",".join(map(str, environment.get("labels") or ()))]
    # The environment does not tell an input of the user from one that was determined with the data.
    resize = "" if spec.resize == "area" else f",{spec.resize}"
    return _joined([*words, "--input", f"{spec.channels},{describe_range(spec)}{resize}", "--run", run])


def teachers_of(origin: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the references of the teachers, each with the name of its run or file as ``run``.

    Raises:
        DataError: ``origin`` describes them, or the initial run, in a form that edgefer does not write.
    """
    check_origin(origin)
    return list(origin.get("teachers") or [])


def _source_path(source: Mapping[str, Any]) -> str:
    """Return the path of a run or a .tflite file."""
    name: str = source["run"]
    return name if name.lower().endswith(".tflite") else f"runs/{name}"


def quantize_command(scheme: str, provenance: Mapping[str, Any], run: str) -> str:
    """Return the command line that quantizes the run folder ``run`` with the options in ``provenance``."""
    words = ["edgefer", "quantize", run, "--scheme", scheme]
    words += _calibration(provenance.get("calibration") or {})
    recipe, tuning = provenance.get("recipe") or {}, provenance.get("qat") or {}
    if "bias_correction" in recipe:
        recipe = {"bit_exact": False, **recipe}  # contracts from before this option do not have the field
    values = {flag: str(recipe[name]) for name, flag in VALUES.items() if recipe.get(name)}
    words += [word for flag, value in values.items() for word in (flag, RENAMED.get(value, value))]
    words += [flag for name, flag in REFUSALS.items() if recipe.get(name) is False]
    words += [word for layer in recipe.get("float_layers") or () for word in ("--keep-float", str(layer))]
    words += [word for name, flag in TUNING.items() if name in tuning for word in (flag, f"{tuning[name]:g}")]
    return _joined(words)


def _calibration(calibration: Mapping[str, Any]) -> list[str]:
    if calibration.get("set"):
        return ["--calibration", str(calibration["set"])]
    values = [("--calibration-size", calibration.get("faces")), ("--seed", calibration.get("seed"))]
    return [word for flag, value in values if value is not None for word in (flag, str(value))]


def _joined(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))


def settings_toml(settings: Mapping[str, Any]) -> str:
    """Return nested settings as TOML for ``edgefer train --settings``, with dotted keys instead of tables."""
    return "\n".join(f"{name} = {_toml_value(value)}" for name, value in leaves(settings, quote=_toml_key))


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else _toml_value(key)


def _toml_value(value: Any) -> str:
    # Strings, numbers, booleans and lists look the same in TOML and JSON, except for JSON's surrogate pairs.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c == " " or c.isprintable() else f"\\U{ord(c):08X}" for c in text)


def leaves(
    fields: Mapping[str, Any], prefix: str = "", *, quote: Callable[[str], str] = str
) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of nested plain values, without those that are None.

    Args:
        fields: nested mappings.
        prefix: start of each name.
        quote: function that formats each part of a name.
    """
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{quote(name)}.", quote=quote)
        elif value is not None:
            yield f"{prefix}{quote(name)}", value
