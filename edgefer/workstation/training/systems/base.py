"""base: the most accurate shipped model, 0.95 M parameters in under 1 MiB.

A stem with stride 2 halves the side length, so the stages run at 24, 12 and 6 pixels. The shipped weights were
distilled on 24 shared views (``--views 24``), then on others with weaker augmentation.
"""

from edgefer.workstation.training.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="base",
    architecture="residual",
    model={"stem": 32, "stem_stride": 2, "widths": [48, 96, 160], "depths": [2, 3, 1], "dropout": 0.0},
    epochs=96,
    weight_decay=4e-4,
    warmup_epochs=3,
    label_smoothing=0.05,
    precision="bfloat16",
    augment=Augment(erasing=0.15),
)
