"""compact_base: the largest model of the compact family, about 0.7 M parameters."""

from edgefer.workstation.training.settings import TrainSettings

SYSTEM = TrainSettings(
    system="compact_base",
    architecture="compact",
    model={"stem": 16, "width": 32, "depth": 2},
)
