"""teacher: a wide residual network for distillation, about 2.8 M parameters; intended for GPU training."""

from edgefer.workstation.training.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="teacher",
    architecture="residual",
    model={"stem": 32, "widths": [32, 64, 128, 256], "depths": [2, 2, 2, 2], "dropout": 0.4},
    epochs=60,
    batch_size=256,
    learning_rate=0.2,
    warmup_epochs=3,
    ferplus_weight=0.25,
    precision="bfloat16",
    augment=Augment(rotation_degrees=15.0, shift=0.1, zoom=0.15, contrast=0.3, erasing=0.5, mixup=0.2),
)
