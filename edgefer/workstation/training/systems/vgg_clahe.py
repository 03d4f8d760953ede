"""vgg_clahe: local contrast equalization, oversampled rare classes, and a VGG-like network with BN and dropout.

The authors claim 64.78 % on a test split and a recall of 0.585 for disgust. CLAHE is part of the input specification,
so devices apply it too. The authors do not describe the layers; this system uses four blocks of 48, 96, 192 and 384
channels. It interprets "conservative oversampling" as a quarter of the largest class, with each image repeated at most
three times. It interprets "dynamic class weighting" as weights proportional to the square root of each class's error
rate. The authors do not mention weight averaging or label smoothing. At half the width and without these two, training
reached 61.2 % on PublicTest.
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
