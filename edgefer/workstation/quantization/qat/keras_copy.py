"""Copy an imported network to tf_keras, in which quantization-aware training works.

    plain = copy_to_tf_keras(network)               # a functional model with the same outputs
    check_supported(plain)

The copy is flat: layers of nested models become its own, and a SeparableConv2D becomes its two convolutions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from edgefer.workstation.quantization.qat.model import KNOWN, not_supported

__all__ = ["copy_to_tf_keras"]

NESTED = ("Functional", "Sequential")
SEPARABLE = "SeparableConv2D"
# Options of KNOWN layers that determine their outputs. Keras 3 and tf_keras describe all others differently.
OPTIONS = (
    "filters", "units", "kernel_size", "strides", "padding", "dilation_rate", "groups", "depth_multiplier", "use_bias",
    "activation", "axis", "momentum", "epsilon", "center", "scale", "pool_size", "rate", "max_value", "negative_slope",
    "threshold", "target_shape", "keepdims",
)  # fmt: skip


def copy_to_tf_keras(network: Any) -> Any:
    """Return a functional tf_keras model with the layers and the weights of a Keras network of either version.

    Args:
        network: a functional or Sequential model.

    Raises:
        UsageError: a layer is not supported; the message names it.
    """
    import tf_keras

    if type(network).__name__ not in NESTED:
        raise not_supported(network.name, type(network).__name__, "expected a functional model of built-in layers")
    image = tf_keras.Input(tuple(network.input_shape[1:]), name="image")
    copier = _Copier(tf_keras)
    model = tf_keras.Model(image, copier.copy(network, [image]), name="imported")
    for layer, weights in copier.weights:
        layer.set_weights(weights)
    return model


class _Copier:
    """A copy in progress.

    Attributes:
        weights: new layers with their weights, which exist only after the whole model is built.
    """

    def __init__(self, tf_keras: Any) -> None:
        self._tf_keras = tf_keras
        self._names = {"image"}
        self.weights: list[tuple[Any, list[Any]]] = []

    def copy(self, network: Any, inputs: list[Any]) -> Any:
        """Apply copies of all layers of a model to tensors, and return its output."""
        if len(inputs) != 1 or len(network.outputs) != 1:
            raise not_supported(network.name, type(network).__name__, "expected one input and one output")
        config = network.get_config()
        if type(network).__name__ == "Sequential":
            x = inputs[0]
            for layer in network.layers:
                x = self._apply(layer, [x])
            return x
        nodes = {entry["config"]["name"]: entry for entry in config["layers"]}
        layers = {layer.name: layer for layer in network.layers}
        tensors: dict[str, Any] = {}
        # Layers may be listed before their sources.
        pending = list(nodes)
        while pending:
            ready = [name for name in pending if all(source in tensors for source in _sources(nodes[name]))]
            if not ready:
                raise not_supported(pending[0], nodes[pending[0]]["class_name"], "its inputs are not layers")
            for name in ready:
                kind, calls = nodes[name]["class_name"], len(nodes[name]["inbound_nodes"])
                if calls > 1:
                    raise not_supported(name, kind, "the network calls it more than once; expected one call")
                sources = [tensors[source] for source in _sources(nodes[name])]
                tensors[name] = inputs[0] if kind == "InputLayer" else self._apply(layers[name], sources)
            pending = [name for name in pending if name not in tensors]
        return tensors[next(_names(config["output_layers"]))]

    def _apply(self, layer: Any, sources: list[Any]) -> Any:
        kind = type(layer).__name__
        if kind == "InputLayer":
            return sources[0]
        if kind in NESTED:
            return self.copy(layer, sources)
        if kind == SEPARABLE:
            return self._apply_separable(layer, sources)
        options = layer.get_config()
        if kind not in KNOWN or not type(layer).__module__.startswith(("keras.", "tf_keras.")):
            raise not_supported(layer.name, kind, f"expected one of {', '.join(sorted({*KNOWN, SEPARABLE}))}")
        if options.get("data_format") == "channels_first":
            raise not_supported(layer.name, kind, "its channels come first; expected channels_last")
        if not isinstance(options.get("activation", "linear"), str):
            raise not_supported(layer.name, kind, "its activation is a custom function; expected linear or relu")
        chosen = {name: options[name] for name in OPTIONS if name in options}
        if kind == "LeakyReLU":
            chosen = {"alpha": options.get("negative_slope", options.get("alpha"))}
        return self._add(kind, layer.name, chosen, layer.get_weights(), sources)

    def _apply_separable(self, layer: Any, sources: list[Any]) -> Any:
        options, (depthwise, *others) = layer.get_config(), layer.get_weights()
        spatial = ("kernel_size", "strides", "padding", "dilation_rate", "depth_multiplier")
        first = {**{name: options[name] for name in spatial}, "use_bias": False}
        x = self._add("DepthwiseConv2D", f"{layer.name}_depthwise", first, [depthwise], sources)
        second = {name: options[name] for name in ("filters", "use_bias", "activation")}
        return self._add("Conv2D", layer.name, {**second, "kernel_size": 1}, others, [x])

    def _add(self, kind: str, name: str, options: dict[str, Any], weights: list[Any], sources: list[Any]) -> Any:
        names = itertools.chain([name], (f"{name}_{count}" for count in itertools.count(2)))
        unique = next(candidate for candidate in names if candidate not in self._names)
        self._names.add(unique)
        layer = getattr(self._tf_keras.layers, kind)(name=unique, **options)
        self.weights.append((layer, weights))
        return layer(sources[0] if len(sources) == 1 else sources)


def _sources(entry: dict[str, Any]) -> list[str]:
    """Return the names of the layers that a layer reads, in the configuration of either version of Keras."""
    return [name for node in entry["inbound_nodes"][:1] for name in _names(node)]


def _names(value: Any) -> Iterator[str]:
    """Yield the layer of each tensor in a nested value: ["name", 0, 0, ...], or an object with a keras_history."""
    if isinstance(value, dict):
        is_tensor = value.get("class_name") == "__keras_tensor__"
        for item in [value["config"]["keras_history"]] if is_tensor else value.values():
            yield from _names(item)
    elif isinstance(value, (list, tuple)):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            yield value[0]
        else:
            for item in value:
                yield from _names(item)
