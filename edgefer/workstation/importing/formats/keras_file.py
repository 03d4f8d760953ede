"""Keras models: .keras, and HDF5 files of Keras 1 to 3 that contain the architecture."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgefer.errors import DataError
from edgefer.file_kinds import HDF5, KERAS, describe_kind
from edgefer.workstation.importing.network import SourceNetwork, check_ends, check_input
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.converter import convert, framework_of
from edgefer.workstation.training.model import final_activation, final_operation

__all__ = ["DESCRIPTION", "find_code", "matches", "read"]

DESCRIPTION = "a Keras model (.keras or .h5)"
HINT = "save the whole model: model.save('my_model.keras')"
EXPORT_HINT = "model.export('my_model') in the program that built it, then edgefer import my_model"
# Errors of Keras 3 and Keras 2 about classes and functions that they lack.
UNKNOWN = re.compile(r"(?:Could not locate (?:class|function)|Unknown [\w ]+:) '([^']+)'")
MAX_CONFIG_BYTES = 2**26
# Layers whose configuration is a program.
CODE_LAYERS = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")
# Classes of dtype policies in Keras 3 and Keras 2, and the floating-point policies besides float32.
POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy")
OTHER_POLICIES = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")
# Modules of Keras in the configuration of .keras files.
KERAS_MODULES = ("keras", "tf_keras", "builtins", "tensorflow.keras", "keras_core")


def matches(path: Path) -> bool:
    """Return True for a file that Keras writes."""
    return describe_kind(path) in (KERAS, HDF5)


def find_code(path: Path) -> list[str]:
    """Return the layers that run code of their author: Lambda and similar layers, and classes from other packages."""
    config = _read_config(path)
    return sorted({description for entry in _objects(config) if (description := _describe_code(entry))})


def read(path: Path, *, trust: bool) -> SourceNetwork:
    """Load the model, remove the softmax or sigmoid at its end and convert it."""
    keras = load_keras(backend="tensorflow")
    model, notes = _in_float32(_load(keras, path, trust=trust), path, trust=trust)
    inputs = getattr(model, "inputs", None) or []
    outputs = getattr(model, "outputs", None) or []
    check_ends(path.name, len(inputs), len(outputs), hint="keras.Model(model.inputs[0], model.outputs[0])")
    check_input(path.name, model.input_shape, hint="build it with data_format='channels_last'")
    if find_code(path):
        # Later commands would have to load the code again, without --trust.
        note = "Its layers run code of their author, so only int8 and float32 convert this network."
        return SourceNetwork(convert(model), notes=(*notes, note))
    logits, removed = _without_activation(model)
    return SourceNetwork(convert(logits), logits, notes=notes, removed=removed)


def _load(keras: Any, path: Path, *, trust: bool) -> Any:
    errors = []
    for load in _loaders(keras, path, trust=trust):
        try:
            return load()
        # A file of another version can fail in any way.
        except Exception as error:  # noqa: BLE001
            errors.append(" ".join(str(error).split()))
    if (version := _keras_version(path)).startswith("2."):
        why = f"it is a .keras file of Keras {version}, which Keras 3 cannot read"
        hint = f"with Keras {version}: model.save('my_model.h5')"
        raise DataError(f"Keras cannot load {path.name}", why=why, hint=hint)
    # Only the program of its author has them.
    if unknown := UNKNOWN.search(errors[0]):
        why = f"it contains {unknown[1]}, which is no part of Keras"
        raise DataError(f"Keras cannot load {path.name}", why=why, hint=EXPORT_HINT)
    raise DataError(f"Keras cannot load {path.name}", why=errors[0][:200], hint=EXPORT_HINT if trust else HINT)


def _keras_version(path: Path) -> str:
    """Return the version of Keras that wrote a .keras file, or an empty string."""
    if describe_kind(path) != KERAS:
        return ""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("metadata.json") as file:
            return str(json.loads(file.read(MAX_CONFIG_BYTES))["keras_version"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, RecursionError, zipfile.BadZipFile, zlib.error):
        return ""


def _loaders(keras: Any, path: Path, *, trust: bool) -> Iterator[Callable[[], Any]]:
    yield lambda: keras.saving.load_model(path, compile=False, safe_mode=not trust)
    if describe_kind(path) == HDF5:
        # Keras 3 cannot read every file of Keras 2.
        import tf_keras

        yield lambda: tf_keras.models.load_model(path, compile=False, safe_mode=not trust)


def _in_float32(model: Any, path: Path, *, trust: bool) -> tuple[Any, tuple[str, ...]]:
    """Return the model with float32 layers and a note about the change; the model itself if it has only such layers.

    TensorFlow Lite has no operators in float16 or bfloat16, which networks with a policy such as mixed_float16 need.
    """
    policies: set[str] = set()
    _with_float32(_read_config(path), policies)
    if not policies:
        return model, ()
    saving = framework_of(model).saving
    config = _with_float32(saving.serialize_keras_object(model), policies)
    rebuilt = saving.deserialize_keras_object(config, safe_mode=not trust)
    rebuilt.set_weights(model.get_weights())
    names = ", ".join(sorted(policies))
    return rebuilt, (f"The dtype policy of its layers is {names}; edgefer computes them in float32.",)


def _with_float32(value: Any, replaced: set[str]) -> Any:
    """Return a configuration with the policy float32 instead of OTHER_POLICIES; add those to a set."""
    if isinstance(value, (list, tuple)):
        return [_with_float32(item, replaced) for item in value]
    if isinstance(value, dict):
        if value.get("class_name") in POLICIES and value.get("config", {}).get("name") in OTHER_POLICIES:
            replaced.add(value["config"]["name"])
            return "float32"
        if value.get("dtype") in OTHER_POLICIES and "keras_history" not in value:  # a layer, not a tensor
            replaced.add(value["dtype"])
            value = {**value, "dtype": "float32"}
        return {key: _with_float32(item, replaced) for key, item in value.items()}
    return value


def _without_activation(model: Any) -> tuple[Any, str]:
    """Return the model without the softmax or sigmoid at its end, and the name of that activation, empty if none.

    A model that cannot be cut is returned as it is. The argument must not be used afterwards.
    """
    framework = framework_of(model)
    last, name = final_operation(model), final_activation(framework, model)
    # The activation of a layer with several uses belongs to all of them.
    if not name or isinstance(last, framework.Model) or len(last._inbound_nodes) > 1:
        return model, ""
    has_weights = isinstance(last, framework.layers.Layer) and last.weights
    if not has_weights:
        return framework.Model(model.inputs[0], last.input), name
    last.activation = framework.activations.linear
    return framework.Model(model.inputs[0], last(last.input)), name


def _read_config(path: Path) -> Any:
    """Return the architecture in a file as JSON values, without loading the model."""
    try:
        if describe_kind(path) == KERAS:
            with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
                text = file.read(MAX_CONFIG_BYTES)
        else:
            import h5py

            with h5py.File(path, "r") as file:
                attribute = file.attrs.get("model_config")
            if attribute is None:
                why = "it contains weights without an architecture"
                raise DataError(f"{path.name} is not a whole model", why=why, hint=HINT)
            text = attribute if isinstance(attribute, bytes) else str(attribute).encode()
        return json.loads(text)
    except (OSError, ValueError, KeyError, RuntimeError, RecursionError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the architecture in {path.name}", why=str(error), hint=HINT) from error


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every JSON object that names a class or a function."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _describe_code(entry: Mapping[str, Any]) -> str:
    """Return a description of the code that an object could run, or an empty string."""
    name = str(entry["class_name"])
    module = entry.get("module")
    if name in CODE_LAYERS:
        return f"a {name} layer"
    if isinstance(module, str) and not any(module == own or module.startswith(f"{own}.") for own in KERAS_MODULES):
        return f"the class {module}.{name}"
    registered = entry.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        return f"the registered class {registered}"
    return ""
