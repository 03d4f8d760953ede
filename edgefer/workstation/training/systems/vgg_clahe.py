"""vgg_clahe: local contrast equalized, rare classes shown more often, a VGG-like net with BN and dropout.

Claimed by its authors: 64.78 % on a test split, disgust with a recall of 0.585. CLAHE is part of the input, so a board
does it too. They name no layer: here are four blocks of 48, 96, 192 and 384 channels. "Conservative oversampling" is
taken as: a class is raised to a quarter of the largest one's images, each shown three times at most; "dynamic class
weighting" as weights that follow the root of what the net still misses of a class. Averaged weights and smoothed
labels are not named either; half as wide and without them the net ended at 61.2 % of PublicTest.
"""

from dataclasses import replace

from edgefer.contract.preprocessing import Clahe, InputSpec
from edgefer.workstation.training.settings import NO_AUGMENT
from edgefer.workstation.training.systems._reference import REFERENCE_DEFAULTS

CLAIM = "64.78 % on a test split"
SYSTEM = replace(
    REFERENCE_DEFAULTS,
    system="vgg_clahe",
    architecture="vgg",
    model={"width": 48, "blocks": 4, "dropout": 0.2, "dropout_growth": 0.05, "dense": 256, "dense_dropout": 0.5},
    input=InputSpec(clahe=Clahe()),
    epochs=50,
    batch_size=64,
    schedule="plateau",
    plateau_patience=4,
    factor=0.5,
    early_stopping=10,
    label_smoothing=0.1,
    ema_epochs=2.0,
    class_weights="dynamic",
    dynamic_tau=0.5,
    oversampling=0.25,
    oversampling_cap=3.0,
    goal=64.78,
    augment=replace(NO_AUGMENT, flip=True, rotation_degrees=10.0, zoom=0.1, shift=0.08),
)
