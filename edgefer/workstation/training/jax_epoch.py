"""Run an epoch as one compiled JAX program on a GPU, where step launches take longer than the computation.

    if compiles_epochs(keras):                      # Keras on JAX, and JAX on an accelerator
        logs = run_compiled_epoch(model, [(pixels, targets, weights)], batch_size=128)
        refresh_statistics(net, layers, batches)

On a CPU such a program runs its steps on a single core, so the Keras training loop is faster there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.networks.data_parallel import DataParallel

__all__ = ["compiles_epochs", "predict_locally", "refresh_statistics", "run_compiled_epoch"]

STATE = ("trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables")


def compiles_epochs(keras: Any) -> bool:
    """Return True if the Keras backend is JAX on an accelerator."""
    if keras.backend.backend() != "jax":
        return False
    import jax

    return bool(jax.default_backend() != "cpu")


def run_compiled_epoch(
    model: Any,
    segments: Iterable[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]],
    *,
    batch_size: int,
    parallel: DataParallel | None = None,
) -> dict[str, float]:
    """Run one epoch like ``model.fit(shuffle=False)``, but keep the raw weights instead of the averaged ones.

    Args:
        model: compiled Keras model on JAX with a built optimizer.
        segments: parts of the epoch in their order, each with pixels uint8 (n, h, w, channels), targets float32
            (n, classes) and weights float32 (n,); n is a multiple of the batch size, or smaller than it. Each is one
            call of the program, whose input must fit into the memory of the device.
        batch_size: images per step.
        parallel: devices that share each batch; None for one device.

    Returns:
        The means of the loss and the metrics.
    """
    variables: list[list[Any]] = []
    state: Any = None
    for pixels, targets, weights in segments:
        if not variables:
            # The first update creates the metric variables.
            zero_logits = np.zeros((1, *model.output_shape[1:]), np.float32)
            model.compute_metrics(pixels[:1], targets[:1], zero_logits, weights[:1])
            model.reset_metrics()
            variables = [_variables(model, name) for name in STATE]
            state = [[variable.value for variable in group] for group in variables]
        batches: list[Any] = [_split_batches(array, batch_size) for array in (pixels, targets, weights)]
        if parallel is not None:
            batches = [parallel.place(array) for array in batches]
        state = _compile_epoch(model)(state, batches)
    for group, values in zip(variables, state):
        for variable, value in zip(group, values):
            variable.assign(value)
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _split_batches(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    size = min(size, len(array))
    return array.reshape(len(array) // size, size, *array.shape[1:])


def _variables(model: Any, name: str) -> list[Any]:
    return list(model.optimizer.variables if name == "optimizer_variables" else getattr(model, name))


def _compile_epoch(model: Any) -> Any:
    """Compile the epoch function of ``model`` and cache it on the model; compilation takes a minute."""
    import jax

    if not hasattr(model, "compiled_epoch"):

        def step(state: Any, batch: Any) -> Any:
            _, state = model.train_step(tuple(state), tuple(batch))
            return [list(group) for group in state], None

        # Donate the input state, so that the output state can reuse its memory.
        model.compiled_epoch = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches)[0], donate_argnums=0)
    return model.compiled_epoch


def refresh_statistics(net: Any, layers: Sequence[Any], batches: npt.NDArray[np.float32]) -> None:
    """Set the batch-normalization statistics to their mean over ``batches``, float32 (k, n, h, w, 1)."""
    import jax

    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # the moving statistics then equal those of the batch
    try:
        if not hasattr(net, "compiled_statistics"):
            net.compiled_statistics = jax.jit(partial(_statistics, net))
        measured = net.compiled_statistics(*_local_values(net), batches)
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
    moving = {id(variable) for layer in layers for variable in (layer.moving_mean, layer.moving_variance)}
    for variable, values in zip(net.non_trainable_variables, measured):
        if id(variable) in moving:
            variable.assign(values.mean(axis=0))


def predict_locally(model: Any, pixels: npt.NDArray[np.uint8], *, batch_size: int) -> npt.NDArray[np.float32]:
    """Compute the outputs of a model on one device of this process, for a model that is replicated on several.

    Args:
        model: Keras model on JAX.
        pixels: uint8 (n, h, w, channels).
        batch_size: images per call.

    Returns:
        float32 (n, outputs).
    """
    import jax

    if not hasattr(model, "compiled_prediction"):
        model.compiled_prediction = jax.jit(lambda *values: model.stateless_call(*values, training=False)[0])
    values = _local_values(model)
    starts = range(0, len(pixels), batch_size)
    outputs = [np.asarray(model.compiled_prediction(*values, pixels[start : start + batch_size])) for start in starts]
    return np.concatenate(outputs).astype(np.float32, copy=False)


def _local_values(model: Any) -> tuple[list[Any], list[Any]]:
    """Copy the trainable and the other variables from the devices, so that a program with them runs on one device."""
    trainable, others = model.trainable_variables, model.non_trainable_variables
    return [np.asarray(variable.value) for variable in trainable], [np.asarray(variable.value) for variable in others]


def _statistics(net: Any, trainable: Any, non_trainable: Any, batches: Any) -> Any:
    import jax

    return jax.lax.map(lambda batch: net.stateless_call(trainable, non_trainable, batch, training=True)[1], batches)
