"""Recover a trainable float network from a .tflite that edgefer converted.

    network = build_network(keras, settings, classes=7)
    assign_weights(network, read_weights(artifact.model))
    restore_normalization(keras, network, images)   # images: float32 (n, h, w, channels)

The converter folds each batch normalization into the layer before it, and stores the result in a few bits. The
recovered layer computes the dequantized, folded product. Its normalization gets the moments of that product on training
images as moving statistics, and the scale and offset that undo them. The network therefore computes what the .tflite
computes, up to the rounding of activations, and a batch statistic in training hardly differs from the moving one.

A normalization makes the scale of the kernel before it arbitrary, but the effective learning rate depends on it (van
Laarhoven, "L2 Regularization versus Batch and Weight Normalization", arXiv:1706.05350). Each output channel of such a
kernel gets the norm 1, about that of a freshly initialized layer.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError, IncompatibleError
from edgefer.workstation.quantization.bit_exact import is_mean
from edgefer.workstation.quantization.flatbuffer_editor import WEIGHTED, Flatbuffer, Op

__all__ = ["FoldedLayer", "assign_weights", "read_weights", "restore_normalization"]

BATCH = 256
# A kernel of a channel that is always zero has no direction.
LEAST_NORM = 1e-6
# What the reader raises for invalid offsets, sizes and indices.
READ_ERRORS = (struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError)


@dataclass(frozen=True, eq=False)
class FoldedLayer:
    """Weights of a layer with its normalization folded in.

    Attributes:
        name: name of the Keras layer, or of the normalization behind it.
        kind: operator type.
        kernel: float64, in the layout of Keras.
        bias: float64 (channels,).
    """

    name: str
    kind: str
    kernel: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


def read_weights(model: bytes) -> list[FoldedLayer]:
    """Read the dequantized weights of a .tflite in the order of its operators.

    Args:
        model: flatbuffer of any scheme that edgefer writes.

    Raises:
        DataError: the flatbuffer is damaged.
    """
    try:
        graph = Flatbuffer(model)
        sources = {op.outputs[0]: op.inputs[0] for op in graph.ops if op.kind == "DEQUANTIZE"}
        return [_folded(graph, op, sources) for op in graph.ops if op.kind in WEIGHTED and not is_mean(graph, op)]
    except READ_ERRORS as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError("the weights of the model cannot be read", why=why, hint="copy the file again") from error


def _folded(graph: Flatbuffer, op: Op, sources: Mapping[int, int]) -> FoldedLayer:
    kernel = _values(graph, sources.get(op.inputs[1], op.inputs[1]), axis=3 if op.kind == "DEPTHWISE_CONV_2D" else 0)
    if op.kind == "CONV_2D":
        kernel = kernel.transpose(1, 2, 3, 0)
    elif op.kind == "FULLY_CONNECTED":
        kernel = kernel.T
    bias = np.zeros(kernel.shape[-1])
    if op.has_bias:
        bias = _values(graph, sources.get(op.inputs[2], op.inputs[2]), axis=0)
    return FoldedLayer(op.layer, op.kind, kernel, bias)


def _values(graph: Flatbuffer, tensor: int, *, axis: int) -> npt.NDArray[np.float64]:
    """Return the dequantized values of a constant; ``axis`` has its channels."""
    values = graph.values(tensor).astype(np.float64)
    scales, zero_points = graph.scales(tensor)
    if not scales.size:
        return values
    shape = [1] * values.ndim
    shape[axis] = scales.size
    dequantized: npt.NDArray[np.float64] = (values - zero_points.reshape(shape)) * scales.reshape(shape)
    return dequantized


def assign_weights(network: Any, layers: Sequence[FoldedLayer]) -> None:
    """Assign folded weights to a fresh network; each normalization becomes the identity plus the bias.

    Args:
        network: Keras network of the architecture from which the weights were converted.
        layers: result of read_weights().

    Raises:
        IncompatibleError: a layer differs, or cannot be recovered; the network may have changed.
    """
    normalizations = _normalizations(network)
    weighted = [layer for layer in network.layers if layer.weights and layer not in normalizations]
    followers = {source.name: layer for layer, source in normalizations.items()}
    for layer, folded in _matched(weighted, layers):
        name, shapes = layer.name, [tuple(variable.shape) for variable in layer.weights]
        kernel = folded.kernel
        if folded.kind == "DEPTHWISE_CONV_2D" and kernel.size == np.prod(shapes[0]):
            kernel = kernel.reshape(shapes[0])
        values = [kernel, folded.bias][: len(shapes)]
        if shapes != [value.shape for value in values] or (len(shapes) < 2 and name not in followers):
            raise _other_network(f"{name} has the weights {shapes}, the model {[value.shape for value in values]}")
        follower = followers.get(name)
        if follower is None:
            layer.set_weights(values)
            continue
        layer.set_weights([kernel, np.zeros_like(folded.bias)][: len(shapes)])
        ones = np.ones_like(folded.bias)
        _set_normalization(follower, gamma=ones, beta=folded.bias, mean=0 * ones, variance=ones - follower.epsilon)


def _matched(weighted: Sequence[Any], layers: Sequence[FoldedLayer]) -> list[tuple[Any, FoldedLayer]]:
    """Pair the layers of a network with those of a model by name, and the others in their order.

    The converter names some folded weights after the normalization, or after the output of the model.
    """
    if len(weighted) != len(layers):
        raise _other_network(f"it has {len(weighted)} layers with weights, the model {len(layers)}")
    names = [folded.name for folded in layers]
    by_name = {folded.name: folded for folded in layers if names.count(folded.name) == 1}
    known = {layer.name for layer in weighted}
    others = iter([folded for folded in layers if folded.name not in known or folded.name not in by_name])
    return [(layer, by_name.get(layer.name) or next(others)) for layer in weighted]


def _normalizations(network: Any) -> dict[Any, Any]:
    """Return each batch normalization with the layer before it.

    Raises:
        IncompatibleError: a normalization follows no layer with weights, or has no scale or offset.
    """
    producers = {id(layer.output): layer for layer in network.layers}
    found = {}
    for layer in network.layers:
        if type(layer).__name__ != "BatchNormalization":
            continue
        source = producers[id(layer.input)]
        if not source.weights or not (layer.scale and layer.center):
            why = f"{layer.name} follows {source.name} ({type(source).__name__})"
            raise IncompatibleError("the converter does not fold a normalization of this network", why=why)
        found[layer] = source
    return found


def _set_normalization(layer: Any, *, gamma: Any, beta: Any, mean: Any, variance: Any) -> None:
    for variable, value in (
        (layer.gamma, gamma), (layer.beta, beta), (layer.moving_mean, mean), (layer.moving_variance, variance),
    ):  # fmt: skip
        variable.assign(np.asarray(value, np.float32))


def _other_network(why: str) -> IncompatibleError:
    hint = "--init-from with the run folder of the model"
    return IncompatibleError("the weights of the model do not fit the architecture in its contract", why=why, hint=hint)


def restore_normalization(keras: Any, network: Any, images: npt.NDArray[np.float32]) -> None:
    """Give each normalization the statistics of training images; the outputs of the network stay the same.

    Args:
        keras: the Keras module.
        network: network after assign_weights().
        images: encoded training images, float32 (n, h, w, channels), n >= 1.
    """
    normalizations = _normalizations(network)
    if not normalizations:
        return
    probe = keras.Model(network.inputs[0], [layer.input for layer in normalizations])
    for (layer, source), (mean, variance) in zip(normalizations.items(), _moments(probe, images)):
        kernel, *bias = source.get_weights()
        channels = tuple(mean.shape)
        # Output channels are the last two axes of a depthwise kernel, and the last axis of any other.
        flat = kernel.reshape(-1, *channels) if kernel.shape[-1] == channels[0] else kernel.reshape(-1, channels[0])
        norm = np.maximum(np.sqrt(np.square(flat, dtype=np.float64).sum(axis=0)), LEAST_NORM)
        source.set_weights([(flat / norm).astype(np.float32).reshape(kernel.shape), *bias])
        mean, variance, offset = mean / norm, variance / norm**2, np.asarray(keras.ops.convert_to_numpy(layer.beta))
        gamma = norm * np.sqrt(variance + layer.epsilon)
        _set_normalization(layer, gamma=gamma, beta=offset + mean * norm, mean=mean, variance=variance)


def _moments(probe: Any, images: npt.NDArray[np.float32]) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Return mean and variance, float64 (channels,), of each output of ``probe``."""
    sums: list[Any] = []
    for start in range(0, len(images), BATCH):
        outputs = probe.predict_on_batch(images[start : start + BATCH])
        flat = [
            np.asarray(values, np.float64).reshape(-1, values.shape[-1])
            for values in (outputs if isinstance(outputs, list) else [outputs])
        ]
        batch = [np.stack([values.sum(axis=0), np.square(values).sum(axis=0), 0 * values[0] + len(values)])
                 for values in flat]  # fmt: skip
        sums = batch if not sums else [total + part for total, part in zip(sums, batch)]
    return [(total / count, np.maximum(squares / count - (total / count) ** 2, 0)) for total, squares, count in sums]
