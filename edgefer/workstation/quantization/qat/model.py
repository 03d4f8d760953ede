"""Rebuild a trained network in tf_keras in the form that quantization-aware training needs.

    check_supported(build_network(tf_keras, settings, classes=7))   # UsageError lists unsupported layers with reasons
    base = qat_base(network, settings, faces)                       # same outputs, verified on faces

tensorflow-model-optimization (tfmot) supports tf_keras but not Keras 3. The rebuilt network has the weights of the
trained one, with each batch normalization folded into the layer before it. Training then updates only parameters that
exist at inference, and no batch statistics differ between training and inference (Nagel et al., "A White Paper on
Neural Network Quantization", arXiv:2106.08295, section 4.2). Each ReLU is fused into its convolution, because tfmot
0.8.1 leaves the weights of a convolution without normalization unquantized if a ReLU layer follows. Dropout is removed:
its scaling would widen the ranges of the following layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import EdgeferError, UsageError
from edgefer.workstation.training.keras_inference import keras_logits
from edgefer.workstation.training.model import build_network
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["KNOWN", "check_supported", "folded", "not_supported", "qat_base"]

TOLERANCE = 1e-4
WEIGHTED = ("Conv2D", "DepthwiseConv2D", "Dense")
DROPOUTS = ("Dropout", "SpatialDropout2D")
# In a small converted network, each of these runs in int8 and matches its fake-quantized form.
SUPPORTED = (
    *WEIGHTED, "ReLU", "LeakyReLU", "Add", "Concatenate", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D",
    "GlobalMaxPooling2D", "Flatten", "Reshape", "ZeroPadding2D",
)  # fmt: skip
KNOWN = (*SUPPORTED, *DROPOUTS, "Activation", "BatchNormalization", "InputLayer")


class _Graph:
    """An editable configuration of a functional model, with layers by name."""

    def __init__(self, model: Any) -> None:
        self.config: dict[str, Any] = model.get_config()
        self.layers: dict[str, dict[str, Any]] = {layer["config"]["name"]: layer for layer in self.config["layers"]}

    def kind(self, name: str) -> str:
        return str(self.layers[name]["class_name"])

    def options(self, name: str) -> dict[str, Any]:
        options: dict[str, Any] = self.layers[name]["config"]
        return options

    def _connections(self, name: str) -> list[list[Any]]:
        return [connection for node in self.layers[name]["inbound_nodes"] for connection in node]

    def sources(self, name: str) -> list[str]:
        return [connection[0] for connection in self._connections(name)]

    def consumers(self, name: str) -> list[str]:
        return [other for other in self.layers for source in self.sources(other) if source == name]

    def calls(self, name: str) -> int:
        return len(self.layers[name]["inbound_nodes"])

    def bypass(self, name: str) -> None:
        """Remove a layer with one input and connect its consumers to its source."""
        (source,) = self.sources(name)
        del self.layers[name]
        feeds = [connection for other in self.layers for connection in self._connections(other)]
        for connection in (*feeds, *self.config["output_layers"]):
            if connection[0] == name:
                connection[0] = source

    def built(self, model: Any) -> Any:
        return type(model).from_config({**self.config, "layers": list(self.layers.values())})


def check_supported(network: Any) -> None:
    """Raise UsageError with the layer and the reason if quantization-aware training does not support the network."""
    if type(network).__name__ != "Functional":
        raise not_supported(network.name, type(network).__name__, "expected a functional model of built-in layers")
    graph = _Graph(network)
    for find_problem in (_unsupported_kind, _unsupported_place):
        for name in graph.layers:
            why = find_problem(graph, name)
            if why:
                raise not_supported(name, graph.kind(name), why)


def not_supported(name: str, kind: str, why: str) -> UsageError:
    """Return the error about a layer that quantization-aware training does not support."""
    what = f"quantization-aware training does not support {name} ({kind})"
    return UsageError(what, why=why, hint="edgefer quantize --int8")


def _unsupported_kind(graph: _Graph, name: str) -> str | None:
    kind, options = graph.kind(name), graph.options(name)
    activation = options.get("activation", "linear")
    if kind not in KNOWN:
        return f"expected one of {', '.join(SUPPORTED)}"
    if activation not in ("linear", "relu"):
        described = activation if isinstance(activation, str) else "a custom function"
        return f"its activation is {described}; expected linear or relu"
    if kind == "ReLU" and not (_is_plain_relu(graph, name) or _is_relu6(graph, name)):
        return "its limits are not supported; expected a plain ReLU or max_value=6"
    return None


def _unsupported_place(graph: _Graph, name: str) -> str | None:
    if graph.calls(name) > 1:
        return "the network calls it more than once; expected one call, because each call needs its own ranges"
    if graph.kind(name) != "BatchNormalization":
        return None
    (source,) = graph.sources(name)
    before = f"{source} ({graph.kind(source)})"
    if graph.kind(source) not in WEIGHTED:
        return f"it follows {before}; expected a Conv2D, DepthwiseConv2D or Dense, into which it can be folded"
    if graph.options(source)["activation"] != "linear":
        return f"it follows the {graph.options(source)['activation']} of {before}; expected no activation between them"
    if graph.consumers(source) != [name]:
        return f"other layers read the output of {before}; expected the normalization to be the only one"
    return None


def _is_plain_relu(graph: _Graph, name: str) -> bool:
    kind, options = graph.kind(name), graph.options(name)
    if kind == "Activation":
        return bool(options["activation"] == "relu")
    return kind == "ReLU" and _bounds(options) == (None, 0, 0)


def _is_relu6(graph: _Graph, name: str) -> bool:
    return graph.kind(name) == "ReLU" and _bounds(graph.options(name)) == (6, 0, 0)


def _bounds(options: dict[str, Any]) -> tuple[Any, ...]:
    return options["max_value"], options["negative_slope"], options["threshold"]


def qat_base(
    network: Any, settings: TrainSettings, faces: npt.NDArray[np.uint8], *, plain: Any | None = None
) -> Any:
    """Rebuild a Keras network in tf_keras with folded normalization: float32 (n, h, w, channels) to (n, classes).

    Args:
        network: trained Keras network of ``settings``.
        settings: training settings of the network.
        faces: prepared faces, uint8 (n, *input.shape), on which the logits of both networks must agree within 1e-4.
        plain: the network in tf_keras with its weights; None builds the architecture of ``settings``.

    Raises:
        UsageError: quantization-aware training does not support a layer.
        EdgeferError: the logits differ.
    """
    import tf_keras

    if plain is None:
        plain = build_network(tf_keras, settings, classes=network.output_shape[-1])
        check_supported(plain)
        plain.set_weights(network.get_weights())
    check_supported(plain)
    base, spec = folded(plain), settings.input
    expected = keras_logits(network, faces, spec)
    difference = float(np.abs(expected - keras_logits(base, faces, spec)).max())
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()) / 10)
    # Written so that NaN counts as a difference.
    if not difference <= limit:
        raise EdgeferError(
            f"{settings.architecture} in tf_keras differs from the trained network",
            why=f"the logits of {len(faces)} faces differ by up to {difference:.2g}, expected at most {limit:g}",
            hint="edgefer quantize --int8",
        )
    return base


def folded(model: Any) -> Any:
    """Copy a supported tf_keras network with normalization folded, ReLU fused and dropout removed."""
    graph = _Graph(model)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    # Layers are in order of execution, so BatchNormalization and then ReLU merge into the Conv2D before them.
    for name in list(graph.layers):
        if graph.kind(name) == "BatchNormalization":
            (source,) = graph.sources(name)
            weights[source] = _with_normalization(weights[source], model.get_layer(name), kind=graph.kind(source))
            graph.options(source)["use_bias"] = True
            graph.bypass(name)
        elif graph.kind(name) in DROPOUTS:
            graph.bypass(name)
        elif _is_plain_relu(graph, name):
            _fuse(graph, name)
        elif graph.kind(name) == "ReLU":
            # tfmot quantizes the weights before this activation, and the converter fuses it.
            options = {"name": name, "activation": "relu6"}
            graph.layers[name].update(class_name="Activation", config=options)
            graph.layers[name].pop("build_config", None)
    result = graph.built(model)
    for layer in result.layers:
        layer.set_weights(weights[layer.name])
    return result


def _fuse(graph: _Graph, name: str) -> None:
    (source,) = graph.sources(name)
    can_fuse = graph.kind(source) in WEIGHTED and graph.options(source)["activation"] == "linear"
    if can_fuse and graph.consumers(source) == [name]:
        graph.options(source)["activation"] = "relu"
        graph.bypass(name)


def _with_normalization(weights: list[npt.NDArray[Any]], normalization: Any, *, kind: str) -> list[npt.NDArray[Any]]:
    """Fold a normalization into [kernel] or [kernel, bias] of the layer before it; return [kernel, bias]."""
    kernel, bias = weights[0].astype(np.float64), weights[1] if len(weights) > 1 else 0.0
    factor = 1 / np.sqrt(np.asarray(normalization.moving_variance, np.float64) + normalization.epsilon)
    if normalization.scale:
        factor *= np.asarray(normalization.gamma)
    beta = np.asarray(normalization.beta) if normalization.center else 0.0
    bias = (bias - np.asarray(normalization.moving_mean, np.float64)) * factor + beta
    # Output channels are the last two axes of a depthwise kernel, and the last axis of any other.
    per_output = factor.reshape(kernel.shape[2:]) if kind == "DepthwiseConv2D" else factor
    return [(kernel * per_output).astype(np.float32), np.asarray(bias, np.float32)]
