"""nano: the shipped model for microcontrollers and the smallest boards, 83 k parameters in under 100 KiB.

A stem with stride 2 halves the side length, so the stages run at 24, 12 and 6 pixels. At the same size in bytes, this
takes about half the instructions of stages at 48, 24 and 12 pixels on a processor without int8 dot products. The
shipped weights were distilled on 24 shared views (``--views 24``), then on others with weaker augmentation.
"""

from edgefer.workstation.training.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="nano",
    architecture="residual",
    model={"stem": 16, "stem_stride": 2, "widths": [24, 32, 40], "depths": [2, 2, 1], "dropout": 0.0},
    epochs=144,
    weight_decay=2e-4,
    warmup_epochs=3,
    label_smoothing=0.05,
    precision="bfloat16",
    augment=Augment(erasing=0.15),
)
