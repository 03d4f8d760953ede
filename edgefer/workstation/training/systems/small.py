"""small: the shipped model for a Raspberry Pi, 0.3 M parameters in under 350 KiB.

Its stages run at 48, 24 and 12 pixels, with most of the weights in the last stage. It is trained with distillation.
The shipped weights were trained for 28 more epochs with ``base`` as the teacher.
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
