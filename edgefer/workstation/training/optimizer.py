"""Create the optimizer of a training, with its weight average, layer-wise learning rates and loss scaling.

    optimizer = create_optimizer(keras, settings, network, steps_per_epoch=224)
    model.compile(optimizer=optimizer, ...)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgefer.workstation.training.model import last_layer
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["create_optimizer"]


def create_optimizer(keras: Any, settings: TrainSettings, network: Any, *, steps_per_epoch: int) -> Any:
    """Create the optimizer that ``settings`` describes.

    Args:
        keras: the Keras module.
        settings: training settings.
        network: network to train; its last layer keeps the full learning rate.
        steps_per_epoch: batches per epoch, for the time constant of the weight average.
    """
    options: dict[str, Any] = {"learning_rate": settings.learning_rate}
    if settings.weight_decay or settings.optimizer == "adamw":  # whose own default is not 0
        options["weight_decay"] = settings.weight_decay
    if settings.ema_epochs:
        steps = settings.ema_epochs * steps_per_epoch
        options.update(use_ema=True, ema_momentum=max(0.0, 1 - 1 / steps), ema_overwrite_frequency=None)
    if settings.optimizer == "sgd":
        options.update(momentum=0.9, nesterov=True)
    optimizer_class = {
        "sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW,
    }[settings.optimizer]  # fmt: skip
    if settings.backbone_lr_factor != 1:
        optimizer_class = _layerwise(optimizer_class, last_layer(network), settings.backbone_lr_factor)
    optimizer = optimizer_class(**options)
    if settings.weight_decay:
        # Decay of a normalization scale or a bias shrinks the output without regularizing.
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    # Small gradients would round to zero in float16. A step with an overflow is skipped and halves the factor.
    return keras.optimizers.LossScaleOptimizer(optimizer) if settings.precision == "float16" else optimizer


def _layerwise(optimizer_class: Any, head: Any, factor: float) -> Any:
    """Return a subclass of a Keras optimizer that multiplies the learning rate of all variables outside ``head``.

    Weight decay is multiplied too, as in the parameter groups of other frameworks.
    """
    full_rate = {id(variable) for variable in head.trainable_variables}

    def groups(variables: Sequence[Any]) -> Iterator[tuple[float, list[int]]]:
        """Yield a factor and the positions of its variables, for each factor that has any."""
        for share, is_head in ((1.0, True), (factor, False)):
            chosen = [index for index, variable in enumerate(variables) if (id(variable) in full_rate) == is_head]
            if chosen:
                yield share, chosen

    class LayerwiseOptimizer(optimizer_class):  # type: ignore[misc]
        weight_decay: float | None

        # Keras has no public method with a learning rate that all backends call.
        def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
            for share, chosen in groups(trainable_variables):
                some_grads, variables = ([values[index] for index in chosen] for values in (grads, trainable_variables))
                super()._backend_update_step(some_grads, variables, learning_rate * share)

        def _apply_weight_decay(self, variables: Any) -> None:
            decay = self.weight_decay
            if decay is None:
                return
            for share, chosen in groups(variables):
                self.weight_decay = decay * share
                super()._apply_weight_decay([variables[index] for index in chosen])
            self.weight_decay = decay

    return LayerwiseOptimizer
