"""base: the most accurate shipped model, 0.95 M parameters in under 1 MiB.

Its stages run at 48, 24, 12 and 6 pixels. It is trained with distillation.
"""

from edgefer.workstation.training.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="base",
    architecture="residual",
    model={"stem": 24, "widths": [24, 48, 96, 160], "depths": [2, 2, 3, 1], "dropout": 0.2},
    epochs=87,
    weight_decay=5e-4,
    warmup_epochs=3,
    label_smoothing=0.05,
    precision="bfloat16",
    augment=Augment(rotation_degrees=12.0, zoom=0.12, erasing=0.25),
)
