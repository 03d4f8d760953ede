"""three_block: the "lightweight custom CNN" of 2.1 M parameters, three blocks of two convolutions.

The authors claim 66.17 % on the validation split, 2.1 M parameters and 2.3 ms per image. With "same" padding
everywhere, the network has 3.5 M parameters. The authors do not specify the padding; without padding in the second
convolution of each block it has 2.2 M, so this system uses that variant. The authors do not specify the patience and
the factor of the learning-rate reduction.
"""

from dataclasses import replace

from edgefer.workstation.training.settings import NO_AUGMENT
from edgefer.workstation.training.systems._reference import REFERENCE_DEFAULTS

CLAIM = "66.17 % on the validation split"
SYSTEM = replace(
    REFERENCE_DEFAULTS,
    system="three_block",
    architecture="vgg",
    model={"width": 64, "blocks": 3, "padded": False, "dropout": 0.3, "dropout_growth": 0.1, "dense": 256},
    epochs=50,
    batch_size=32,
    schedule="plateau",
    plateau_patience=4,
    factor=0.5,
    early_stopping=12,
    goal=66.17,
    augment=replace(NO_AUGMENT, flip=True, rotation_degrees=15.0, zoom=0.1, shift=0.1, brightness=0.2),
)
