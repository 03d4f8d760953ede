"""End trials early: asynchronous successive halving (ASHA) among trials of similar cost.

    bands = CostBands(StoppingRule(max_epochs=12, grace_epochs=1))
    bands.keeps(number=7, cost=812.0, epoch=3, accuracy=0.41)       # False: stop trial 7 after epoch 3

Paper: Li et al., A System for Massively Parallel Hyperparameter Tuning, https://arxiv.org/abs/1810.05934
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

__all__ = ["CostBands", "StoppingRule"]

REDUCTION_FACTOR = 3


@dataclass(frozen=True)
class StoppingRule:
    """A rule that ends trials early.

    After ``grace_epochs``, and three, nine, ... times as many, a trial continues if its accuracy is in the best third
    of the trials whose cost is in the same octave. Without the octaves, inexpensive networks would all be stopped.

    Attributes:
        max_epochs: epochs of a complete trial.
        grace_epochs: epochs of every trial; 0 disables the rule.
    """

    max_epochs: int
    grace_epochs: int


class CostBands:
    """One ASHA scheduler of Ray Tune for each octave of cost."""

    def __init__(self, rule: StoppingRule) -> None:
        self._rule = rule
        self._bands: dict[int, Any] = {}
        self._added: set[int] = set()

    def keeps(self, *, number: int, cost: float, epoch: int, accuracy: float) -> bool:
        """Record an accuracy, and return True if the trial continues.

        Args:
            number: number of the trial.
            cost: cost of its network.
            epoch: completed epochs.
            accuracy: accuracy on the validation split, in 0..1.
        """
        if not 0 < self._rule.grace_epochs < self._rule.max_epochs or epoch >= self._rule.max_epochs:
            return True
        from ray.tune.schedulers import ASHAScheduler, TrialScheduler

        band = math.floor(math.log2(cost)) if cost > 0 else 0
        if band not in self._bands:
            self._bands[band] = ASHAScheduler(
                time_attr="epoch", metric="accuracy", mode="max", max_t=self._rule.max_epochs,
                grace_period=self._rule.grace_epochs, reduction_factor=REDUCTION_FACTOR, stop_last_trials=False,
            )  # fmt: skip
        # The scheduler reads nothing of a trial but its ID.
        trial = SimpleNamespace(trial_id=str(number))
        if number not in self._added:
            self._added.add(number)
            self._bands[band].on_trial_add(None, trial)
        decision = self._bands[band].on_trial_result(None, trial, {"epoch": epoch, "accuracy": accuracy})
        return bool(decision != TrialScheduler.STOP)
