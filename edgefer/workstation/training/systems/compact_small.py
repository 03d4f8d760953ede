"""compact_small: the medium model of the compact family, about 0.3 M parameters."""

from edgefer.workstation.training.settings import TrainSettings

SYSTEM = TrainSettings(
    system="compact_small",
    architecture="compact",
    model={"stem": 16, "width": 32, "depth": 1},
    goal=63.0,
)
