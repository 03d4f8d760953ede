"""two_conv: the classic compact net with Adam, light augmentation and nothing else."""

from edgefer.workstation.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="two_conv",
    architecture="two_conv",
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    label_smoothing=0.0,
    ema_epochs=0.0,
    augment=Augment(brightness=0.0, contrast=0.0, erasing=0.0),
)
