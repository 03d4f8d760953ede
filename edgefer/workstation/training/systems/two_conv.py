"""two_conv: the classic compact network of many tutorials: two convolutions, a Dense layer of 128 features, dropout.

The authors claim 61.87 % on a test split. They do not specify the augmentation ranges, the number of epochs, the batch
size or the learning-rate schedule. With 100 epochs and no other change, training reached 57.4 % on PublicTest. The
network overfits little and converges slowly, so this system uses 300 epochs, weight averaging and label smoothing.
"""

from dataclasses import replace

from edgefer.workstation.training.settings import NO_AUGMENT
from edgefer.workstation.training.systems._reference import REFERENCE_DEFAULTS

CLAIM = "61.87 % on a test split"
SYSTEM = replace(
    REFERENCE_DEFAULTS,
    system="two_conv",
    architecture="two_conv",
    model={"dropout": 0.4},
    epochs=300,
    batch_size=128,
    label_smoothing=0.1,
    ema_epochs=2.0,
    goal=61.87,
    augment=replace(NO_AUGMENT, flip=True, rotation_degrees=8.0, zoom=0.1, shift=0.06),
)
