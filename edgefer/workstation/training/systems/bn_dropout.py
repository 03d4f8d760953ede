"""bn_dropout: a custom CNN regularized by batch normalization, dropout, augmentation and weight decay, with Adam.

The authors claim 61 % "training accuracy". They list the techniques but not the layers. This network is therefore the
smallest ``vgg`` network that reaches the claim: four blocks of 16, 32, 64 and 128 channels. The authors do not specify
their schedule; this system uses a cosine schedule.
"""

from dataclasses import replace

from edgefer.workstation.training.settings import NO_AUGMENT
from edgefer.workstation.training.systems._reference import REFERENCE_DEFAULTS

CLAIM = '61 %, "training accuracy"'
SYSTEM = replace(
    REFERENCE_DEFAULTS,
    system="bn_dropout",
    architecture="vgg",
    model={"width": 16, "blocks": 4, "dropout": 0.1, "dropout_growth": 0.05, "dense": 128, "dense_dropout": 0.4},
    epochs=60,
    batch_size=64,
    optimizer="adamw",
    weight_decay=0.01,
    goal=61.0,
    augment=replace(NO_AUGMENT, flip=True, rotation_degrees=10.0, zoom=0.1, shift=0.08),
)
