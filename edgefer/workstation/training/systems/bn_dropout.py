"""bn_dropout: a custom CNN against overfitting: batch normalization, dropout, transformations, weight decay, Adam.

Claimed by its authors: 61 %, called training accuracy. They name the techniques and no layer, so the net here is the
smallest of the ``vgg`` plan that reaches the claim: four blocks of 16, 32, 64 and 128 channels. Their scheduler is not
named; here the rate follows a cosine.
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
