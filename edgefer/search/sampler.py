"""Draw the settings of each trial with Optuna's multi-objective sampler, and compute what each setting is worth.

    sampler = Sampler(space, seed=0)
    number, drawn = sampler.ask()
    sampler.tell_result(number, accuracy=0.61, cost=812.0)
    sampler.ask_again({"learning_rate": 0.05})      # repeats the draw of a recorded trial
    importance(space, trials)["accuracy"]           # {"learning_rate": 0.75, ...}

The draw of trial n depends on the seed, n and the earlier calls alone, so a search that continues with the recorded
calls draws what it would have drawn without an interruption.

The sampler of Optuna repeats itself where most settings are choices. A random draw that is new replaces a repeated one,
as long as there is one.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgefer.results.architecture_search import FINISHED, Trial
from edgefer.search.space import Choice, Distribution, FloatRange, Space

__all__ = ["Sampler", "importance"]

STARTUP_TRIALS = 10
# Random draws to replace a repeated one; after as many, the space is almost exhausted.
MAX_REDRAWS = 1000
# The importance of several settings cannot be estimated from fewer trials.
MIN_TRIALS = 5


def _optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Sampler:
    """An Optuna study that maximizes the accuracy and minimizes the cost."""

    def __init__(self, space: Space, *, seed: int) -> None:
        self._optuna = _optuna()
        self._space, self._seed = space, seed
        self._distributions = _distributions(self._optuna, space)
        # Relative excess over the budget, by number in the study; at most 0 within it.
        self._excess: dict[int, float] = {}
        self._study = self._optuna.create_study(directions=["maximize", "minimize"])
        # Draws by number, and the numbers of their trials in the study, which also has the repeated draws.
        self._drawn: list[dict[str, Any]] = []
        self._studied: list[int] = []

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Draw the settings of the next trial; return its number and its values by dotted name.

        The values are new, unless the space is almost exhausted.
        """
        number = len(self._drawn)
        studied, drawn = self._suggest(number)
        if drawn not in self._drawn:
            return self._add(studied, drawn)
        self._study.tell(studied, state=self._optuna.trial.TrialState.FAIL)
        generator = np.random.default_rng([self._seed, number])
        for _ in range(MAX_REDRAWS):
            drawn = {name: item.draw(generator) for name, item in self._space.drawn.items()}
            if drawn not in self._drawn:
                break
        return self.ask_again(drawn), drawn

    def ask_again(self, drawn: Mapping[str, Any]) -> int:
        """Repeat a recorded draw, and return the number of the trial."""
        self._study.enqueue_trial(_encode(self._space, drawn))
        number, _ = self._add(*self._suggest(len(self._drawn)))
        return number

    def tell_result(self, number: int, *, accuracy: float, cost: float, excess: float = 0.0) -> None:
        """Record the accuracy, in 0..1, and the cost of a trial that was trained; ``excess`` as in tell_over_budget."""
        self._tell(number, accuracy, cost, excess)

    def tell_over_budget(self, number: int, *, cost: float | None, excess: float) -> None:
        """Record a trial that was not trained, because it exceeds the budget by a fraction ``excess``."""
        self._tell(number, 0.0, math.inf if cost is None else cost, excess)

    def tell_failure(self, number: int) -> None:
        """Record a trial without a result, which the sampler then ignores."""
        self._study.tell(self._studied[number], state=self._optuna.trial.TrialState.FAIL)

    def _suggest(self, number: int) -> tuple[int, dict[str, Any]]:
        """Return the number of a new trial in the study, and its values."""
        with warnings.catch_warnings():
            # The constraints, and the treatment of trials that run, are marked as experimental.
            warnings.simplefilter("ignore")
            self._study.sampler = self._optuna.samplers.TPESampler(
                n_startup_trials=STARTUP_TRIALS,
                seed=int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0]),
                constraints_func=lambda trial: (self._excess.get(trial.number, 0.0),),
            )
            trial = self._study.ask(self._distributions)
        return trial.number, _decode(self._space, trial.params)

    def _add(self, studied: int, drawn: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self._drawn.append(drawn)
        self._studied.append(studied)
        return len(self._drawn) - 1, drawn

    def _tell(self, number: int, accuracy: float, cost: float, excess: float) -> None:
        studied = self._studied[number]
        self._excess[studied] = excess
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study.tell(studied, [accuracy, cost])


def importance(space: Space, trials: Sequence[Trial], *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return the share of the variance of "accuracy" and "cost" that each drawn setting explains (fANOVA).

    Args:
        space: the search space.
        trials: accuracies are those of finished trials, costs those of all trials that have one.
        seed: seed of the random forest.

    Returns:
        Shares in 0..1 by setting; no entry for a quantity that is constant or known for fewer than five trials.
    """
    accuracies = [(trial.drawn, trial.accuracy) for trial in trials if trial.state == FINISHED]
    costs = [(trial.drawn, trial.cost) for trial in trials]
    shares = {}
    for quantity, pairs in (("accuracy", accuracies), ("cost", costs)):
        known = [(drawn, value) for drawn, value in pairs if value is not None]
        if len(known) >= MIN_TRIALS and len({value for _, value in known}) > 1:
            shares[quantity] = _explained_shares(space, known, seed=seed)
    return shares


def _explained_shares(space: Space, known: Sequence[tuple[Mapping[str, Any], float]], *, seed: int) -> dict[str, float]:
    """Return the share of the variance of a quantity that each setting explains, from pairs of settings and value."""
    optuna = _optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study, distributions = optuna.create_study(), _distributions(optuna, space)
        for drawn, value in known:
            params = _encode(space, drawn)
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: min(1.0, max(0.0, float(share))) for name, share in shares.items()}


def _encode(space: Space, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Return drawn values as Optuna stores them: it compares choices, and keeps only plain ones, so lists are JSON."""
    return {name: json.dumps(value) if _is_choice(space, name) else value for name, value in drawn.items()}


def _decode(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return drawn values from those of Optuna."""
    return {name: json.loads(value) if _is_choice(space, name) else value for name, value in params.items()}


def _is_choice(space: Space, name: str) -> bool:
    return isinstance(space.drawn[name], Choice)


def _distributions(optuna: Any, space: Space) -> dict[str, Any]:
    return {name: _distribution(optuna, item) for name, item in space.drawn.items()}


def _distribution(optuna: Any, item: Distribution) -> Any:
    if isinstance(item, Choice):
        return optuna.distributions.CategoricalDistribution([json.dumps(value) for value in item.values])
    if isinstance(item, FloatRange):
        return optuna.distributions.FloatDistribution(item.low, item.high, log=item.log)
    high = item.low + (item.high - item.low) // item.step * item.step
    return optuna.distributions.IntDistribution(item.low, high, log=item.log, step=item.step)
