"""compact_nano: the smallest compact model, under 0.1 M parameters, for microcontrollers and the smallest boards."""

from edgefer.workstation.training.settings import TrainSettings

SYSTEM = TrainSettings(
    system="compact_nano",
    architecture="compact",
    model={"stem": 8, "width": 16, "depth": 1},
)
