"""Make an imported Keras network trainable: write its architecture as a Python file, with any number of classes.

    source = architecture_source(network, name="my_model.keras")
    build_network(keras, settings, classes=3)       # settings.architecture is the name of that source
"""

from __future__ import annotations

import json
from typing import Any

from edgefer.errors import UsageError
from edgefer.workstation.training.model import final_operation

__all__ = ["architecture_source"]

TEMPLATE = '''"""The network of {name}, which edgefer imported; its last layer has one output for each class."""

import json

SHAPE = {shape}
HEAD = {head!r}
CONFIG = {config!r}


def build(keras, *, input_shape, classes):
    """Build the network with fresh weights."""
    if tuple(input_shape) != SHAPE:
        raise ValueError(f"the network takes images of {{SHAPE}}, not {{tuple(input_shape)}}")
    config = json.loads(CONFIG)
    for layer in config["config"]["layers"]:
        if layer["config"].get("name") == HEAD:
            layer["config"]["units"] = classes
    return keras.saving.deserialize_keras_object(config)
'''


def architecture_source(network: Any, *, name: str) -> bytes:
    """Return a Python file whose function build() creates the architecture of a network.

    Args:
        network: functional or Sequential Keras 3 model of built-in layers.
        name: name of the imported file, for the error and the comment.

    Raises:
        UsageError: the network has another type, or does not end in a Dense layer.
    """
    what = f"the network of {name} cannot be trained further"
    if type(network).__module__.startswith("tf_keras"):
        why = "only Keras 2 can load it; expected a network that Keras 3 can load"
        raise UsageError(what, why=why, hint="save it with Keras 3: model.save('my_model.keras')")
    head = final_operation(network)
    if type(network).__name__ not in ("Functional", "Sequential") or type(head).__name__ != "Dense":
        why = f"it ends in {head.name} ({type(head).__name__}); expected a functional model that ends in a Dense layer"
        raise UsageError(what, why=why, hint="--teacher with the run of the network")
    import keras

    config = keras.saving.serialize_keras_object(network)
    config.pop("compile_config", None)
    text = TEMPLATE.format(
        name=json.dumps(name)[1:-1].replace('"', "'"), shape=tuple(network.input_shape[1:]), head=head.name,
        config=json.dumps(config),
    )  # fmt: skip
    return text.encode()
