"""plateau: light augmentation, a fifth of Training held out, and a learning rate that drops when the loss stagnates.

The authors claim 67.04 % and a loss of 0.945 on the test images, which are both test splits of FER2013. They do not
specify the layers or the batch size. This system uses four blocks of 64, 128, 256 and 512 channels, and weight
averaging.
"""

from dataclasses import replace

from edgefer.workstation.training.settings import NO_AUGMENT
from edgefer.workstation.training.systems._reference import REFERENCE_DEFAULTS

CLAIM = "67.04 % on both test splits"
SYSTEM = replace(
    REFERENCE_DEFAULTS,
    system="plateau",
    architecture="vgg",
    model={"width": 64, "blocks": 4, "dropout": 0.25, "dropout_growth": 0.05, "dense": 256},
    epochs=50,
    batch_size=64,
    ema_epochs=2.0,
    schedule="plateau",
    plateau_patience=4,
    factor=0.2,
    early_stopping=8,
    monitor="loss",
    selection="training",
    selection_share=0.2,
    goal=67.04,
    augment=replace(NO_AUGMENT, flip=True, rotation_degrees=20.0, zoom=0.2),
)
