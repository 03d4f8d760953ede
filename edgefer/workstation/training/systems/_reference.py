"""REFERENCE_DEFAULTS: common settings of the reference systems, so each system states only its published settings.

    SYSTEM = replace(
        REFERENCE_DEFAULTS, system="three_block", architecture="vgg", augment=replace(NO_AUGMENT, flip=True)
    )

Adam at its default learning rate, cross-entropy on hard labels, raw weights, no augmentation.
"""

from edgefer.workstation.training.settings import NO_AUGMENT, TrainSettings

__all__ = ["REFERENCE_DEFAULTS"]

REFERENCE_DEFAULTS = TrainSettings(
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    warmup_epochs=0,
    label_smoothing=0.0,
    ferplus_weight=0.0,
    ema_epochs=0.0,
    augment=NO_AUGMENT,
)
