"""PLAIN: what the reference systems start from, so that each of them states only what its authors say.

    SYSTEM = replace(PLAIN, system="three_block", architecture="vgg", augment=replace(NO_AUGMENT, flip=True))

Adam at its usual rate, cross-entropy on hard labels, raw weights; nothing that their descriptions do not name.
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
