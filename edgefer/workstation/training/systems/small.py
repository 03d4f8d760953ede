"""small: the shipped model for a Raspberry Pi, 0.3 M parameters in under 350 KiB.

A stem with stride 2 halves the side length, so the stages run at 24, 12 and 6 pixels. The shipped weights were
distilled on 24 shared views (``--views 24``), then on others with weaker augmentation.
"""

from edgefer.workstation.training.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="small",
    architecture="residual",
    model={"stem": 32, "stem_stride": 2, "widths": [32, 64, 96], "depths": [2, 2, 1], "dropout": 0.0},
    epochs=144,
    weight_decay=4e-4,
    warmup_epochs=3,
    label_smoothing=0.05,
    precision="bfloat16",
    augment=Augment(erasing=0.15),
)
