"""small: the model that ships for a Raspberry Pi, 0.3 M parameters in under 350 KiB.

Stages at 48, 24 and 12 pixels, most of the weights in the last. It learns from teachers, and what ships has learned for
28 more epochs from ``base``.
"""

from edgefer.workstation.training.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="small",
    architecture="residual",
    model={"stem": 16, "widths": [16, 32, 72], "depths": [2, 2, 3], "dropout": 0.1},
    epochs=124,
    weight_decay=4e-4,
    warmup_epochs=3,
    label_smoothing=0.05,
    precision="bfloat16",
    augment=Augment(rotation_degrees=12.0, zoom=0.12, erasing=0.2),
)
