"""two_conv: the classic compact net of many tutorials: two convolutions, a Dense of 128, dropout.

Claimed by its authors: 61.87 % on a test split. How far the transformations go, the number of epochs and the course of
the rate are not named: here they are light, many, and a cosine.
"""

from dataclasses import replace

from edgefer.workstation.plain import PLAIN
from edgefer.workstation.settings import NO_AUGMENT

CLAIM = "61.87 % on a test split"
SYSTEM = replace(
    PLAIN,
    system="two_conv",
    architecture="two_conv",
    epochs=100,
    batch_size=64,
    goal=61.87,
    augment=replace(NO_AUGMENT, flip=True, rotation_degrees=10.0, zoom=0.1, shift=0.08),
)
