"""demo: the smallest network on synthetic faces, for ``make demo``; trains in about a minute on two cores."""

from edgefer.workstation.training.settings import Augment, TrainSettings

SYSTEM = TrainSettings(
    system="demo",
    architecture="compact",
    model={"stem": 8, "width": 16, "depth": 1},
    epochs=10,
    batch_size=64,
    optimizer="adam",
    learning_rate=4e-3,
    weight_decay=0.0,
    label_smoothing=0.0,
    ema_epochs=0.5,
    # Synthetic faces vary enough; stronger augmentation would only require more epochs.
    augment=Augment(rotation_degrees=5.0, shift=0.04, zoom=0.05, brightness=0.0, contrast=0.0, erasing=0.0),
)
