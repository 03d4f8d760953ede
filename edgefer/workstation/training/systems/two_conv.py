"""two_conv: the classic compact net of many tutorials: two convolutions, a Dense of 128, dropout.

Claimed by its authors: 61.87 % on a test split. How far the transformations go, the number of epochs, the batch and the
course of the rate are not named. With 100 epochs and nothing else it ended at 57.4 % of PublicTest; the net overfits
little and learns slowly, so here are 300 epochs, averaged weights and smoothed labels.
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
