"""nano: the shipped model for microcontrollers and the smallest boards, 79 k parameters in under 100 KiB.

The size in bytes limits this model, not the latency: its stages run at 48, 24 and 12 pixels. It is trained with
distillation.
"""

from edgefer.workstation.training.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="nano",
    architecture="residual",
    model={"stem": 16, "widths": [16, 24, 40], "depths": [1, 2, 2], "dropout": 0.0},
    epochs=180,
    weight_decay=2e-4,
    warmup_epochs=3,
    label_smoothing=0.05,
    precision="bfloat16",
    augment=Augment(erasing=0.15),
)
