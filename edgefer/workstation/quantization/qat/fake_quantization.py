"""Simulate int8 arithmetic in a float network, so that training includes the rounding.

    model = fake_quantize(base, faces)              # ranges from faces; the input has the range of the pixels
    model(images, training=True)                    # updates the ranges of the activations
    sync_ranges(model)                              # before evaluation, saving or conversion

tensorflow-model-optimization (tfmot) rounds the output of each layer and each kernel, as in Jacob et al., "Quantization
and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018. Kernels are symmetric, with
one scale per output channel of a convolution and one per Dense layer, as in the converter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder, with_channels
from edgefer.processes import suppress_native_output

__all__ = ["fake_quantize", "sync_ranges"]

BATCH = 64
KERNELS = ("kernel", "depthwise_kernel")
OUTPUTS = ("post_activation", "output")
# An empty range has no scale. A kernel channel of zeros needs a scale large enough that its bias does not overflow.
LEAST_RANGE = 1e-6
LEAST_SHARE = 1e-3


def fake_quantize(base: Any, faces: npt.NDArray[np.uint8], spec: InputSpec = InputSpec()) -> Any:
    """Return a tf_keras model with fake quantization and a copy of the weights of ``base``.

    Args:
        base: tf_keras model from qat_base().
        faces: prepared faces, uint8 (n, *spec.shape); the activations of ``base`` on them initialize the ranges.
        spec: input of the network.
    """
    with suppress_native_output():
        import tensorflow_model_optimization as tfmot
        import tf_keras

        # tfmot numbers its layers per process; their names become part of the flatbuffer.
        tf_keras.backend.reset_uids()
        per_channel = _per_channel_config(tfmot)
        library = tfmot.quantization.keras

        def annotate(layer: Any) -> Any:
            is_depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
            return library.quantize_annotate_layer(layer, per_channel() if is_depthwise else None)

        with library.quantize_scope({"PerChannelConfig": per_channel}):
            annotated = tf_keras.models.clone_model(base, clone_function=annotate)
            annotated.set_weights(base.get_weights())
            model = library.quantize_apply(annotated)
    ranges = _ranges(tf_keras, base, faces, spec)
    for layer in _wrappers(model):
        variables = _variables(layer)
        for prefix in OUTPUTS:
            if f"{prefix}_min" in variables:
                low, high = ranges[layer.layer.name]
                variables[f"{prefix}_min"].assign(low)
                variables[f"{prefix}_max"].assign(high)
    sync_ranges(model, spec.range)
    return model


def sync_ranges(model: Any, input_range: tuple[float, float] = (0.0, 1.0)) -> None:
    """Update the kernel ranges to the current weights, and set the input range, so that one step is one pixel value.

    tfmot stores the range of a kernel in the forward pass, before the optimizer changes the kernel.
    """
    for layer in model.layers:
        variables = _variables(layer)
        if f"{layer.name}_min" in variables:
            variables[f"{layer.name}_min"].assign(input_range[0])
            variables[f"{layer.name}_max"].assign(input_range[1])
    for layer in _wrappers(model):
        variables = _variables(layer)
        for name in KERNELS:
            if f"{name}_max" in variables:
                _sync_kernel(variables[name], variables[f"{name}_min"], variables[f"{name}_max"])


def _sync_kernel(kernel: Any, low: Any, high: Any) -> None:
    # Output channels are the last axis; a per-tensor range is a scalar.
    channels = np.abs(kernel.numpy()).reshape(-1, max(1, high.shape.num_elements())).max(axis=0)
    limit = np.maximum(channels, max(LEAST_SHARE * float(channels.max()), LEAST_RANGE)).reshape(high.shape)
    low.assign(-limit)
    high.assign(limit)


def _ranges(tf_keras: Any, base: Any, faces: npt.NDArray[np.uint8], spec: InputSpec) -> dict[str, tuple[float, float]]:
    """Return (min, max) of each layer's output over all faces; the range includes zero."""
    outputs = tf_keras.Model(base.input, [layer.output for layer in base.layers])
    table = encoder(FLOAT32, spec)
    lows, highs = [], []
    for start in range(0, len(faces), BATCH):
        batch = encode(table, with_channels(faces[start : start + BATCH]))
        values = [np.asarray(value) for value in outputs(batch, training=False)]
        lows.append([value.min() for value in values])
        highs.append([value.max() for value in values])
    low = np.minimum(np.min(lows, axis=0), 0.0)
    high = np.maximum(np.max(highs, axis=0), LEAST_RANGE)
    return {layer.name: (float(low[index]), float(high[index])) for index, layer in enumerate(base.layers)}


def _wrappers(model: Any) -> list[Any]:
    """Return the layers that tfmot has wrapped."""
    return [layer for layer in model.layers if type(layer).__name__ == "QuantizeWrapperV2"]


def _variables(layer: Any) -> dict[str, Any]:
    """Return the variables of a layer by the last part of their name, such as "kernel_min" or "output_max"."""
    return {variable.name.rpartition("/")[2].partition(":")[0]: variable for variable in layer.weights}


def _per_channel_config(tfmot: Any) -> Any:
    """Return the tfmot configuration that quantizes a depthwise kernel with one scale per output channel.

    tfmot's default uses the last axis of (h, w, in, multiplier), usually one scale for all channels, whose ranges
    differ by orders of magnitude after normalization is folded in.
    """
    import tensorflow as tf

    library = tfmot.quantization.keras
    eight_bits = {"num_bits": 8, "per_axis": False, "symmetric": False, "narrow_range": False}

    class PerChannelQuantizer(library.quantizers.LastValueQuantizer):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(num_bits=8, per_axis=True, symmetric=True, narrow_range=True)

        def build(self, tensor_shape: Any, name: str, layer: Any) -> Any:
            shape = (tensor_shape[-2] * tensor_shape[-1],)
            names = {"min_var": f"{name}_min", "max_var": f"{name}_max"}
            return {key: layer.add_weight(variable, shape=shape, trainable=False) for key, variable in names.items()}

        def __call__(self, inputs: Any, training: Any, weights: Any, **options: Any) -> Any:
            height, width, channels, multiplier = inputs.shape
            flat = tf.reshape(inputs, (height, width, 1, channels * multiplier))
            return tf.reshape(super().__call__(flat, training, weights, **options), inputs.shape)

    class PerChannelConfig(library.QuantizeConfig):  # type: ignore[misc, name-defined]
        def get_weights_and_quantizers(self, layer: Any) -> Any:
            return [(layer.depthwise_kernel, PerChannelQuantizer())]

        def get_activations_and_quantizers(self, layer: Any) -> Any:
            return [(layer.activation, library.quantizers.MovingAverageQuantizer(**eight_bits))]

        def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
            (layer.depthwise_kernel,) = quantize_weights

        def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
            (layer.activation,) = quantize_activations

        def get_output_quantizers(self, layer: Any) -> Any:
            return []

        def get_config(self) -> dict[str, Any]:
            return {}

    return PerChannelConfig
