"""Decide which trials a search runs: draw settings, judge their networks, and record every event in the journal.

    director = Director(space, budget, journal=journal, sampler=sampler, ...)
    director.restore(folder.events())               # an interrupted search
    number = director.next_trial()                  # None while the next network is judged, DONE after the last
    director.epoch(number, 1, accuracy=0.41)
    director.finish(number, result)

A network that exceeds the budget is never trained. The cost of a graph is measured once. No method blocks for long: the
build of a network and its measurement run elsewhere, and next_trial() collects their results.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from edgefer import files
from edgefer.errors import (
    DataError,
    DeviceUnreachable,
    EdgeferError,
    IncompatibleError,
    MeasurementInvalid,
    UsageError,
)
from edgefer.results.architecture_search import INVALID, OVER_BUDGET, PENDING, Trial
from edgefer.search.candidate import Candidate
from edgefer.search.journal import TRIALS, apply_event
from edgefer.search.judge import Cost, Judge
from edgefer.search.sampler import Sampler
from edgefer.search.space import Space, trial_name
from edgefer.search.stopping import CostBands, StoppingRule

__all__ = ["DONE", "Budget", "Director"]

DONE: Final = -1
# Consecutive candidates without one to train, after which the search ends: the space is exhausted, or too expensive.
MAX_REJECTED = 200
# Errors of one candidate; the search continues with the next one.
CANDIDATE_ERRORS = (DataError, IncompatibleError, MeasurementInvalid, UsageError)


@dataclass(frozen=True)
class Budget:
    """Limits of the networks to train; None for no limit.

    Attributes:
        max_cost: cost of one inference, in the unit of the judge.
        max_bytes: size of the .tflite with its contract.
    """

    max_cost: float | None = None
    max_bytes: int | None = None

    def excess(self, *, cost: float | None, file_bytes: int) -> float:
        """Return the largest relative excess over a limit; at most 0 within the budget."""
        shares = [file_bytes / self.max_bytes] if self.max_bytes else []
        shares += [cost / self.max_cost] if self.max_cost and cost is not None else []
        return max(shares, default=1.0) - 1.0

    def describe_excess(self, *, cost: float | None, file_bytes: int, unit: str) -> str:
        """Return the limits that a network exceeds, in words."""
        parts = []
        if self.max_bytes and file_bytes > self.max_bytes:
            parts.append(f"{file_bytes:,} bytes, at most {self.max_bytes:,} allowed")
        if self.max_cost and cost is not None and cost > self.max_cost:
            parts.append(f"{cost:,.15g} {unit}, at most {self.max_cost:,.15g} allowed")
        return "; ".join(parts)


class Director:
    """The state of a search, and its decisions.

    Attributes:
        trials: all candidates by number.
    """

    def __init__(
        self,
        space: Space,
        budget: Budget,
        *,
        target: int,
        rule: StoppingRule,
        sampler: Sampler,
        judge: Judge,
        build: Callable[[Mapping[str, Any]], Future[Candidate]],
        folder: Path,
        append: Callable[[Mapping[str, Any]], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a search without trials.

        Args:
            space: the search space.
            budget: limits of the networks.
            target: number of trials to train.
            rule: ends trials early.
            sampler: draws the settings.
            judge: measures the costs.
            build: starts the build of a candidate of these drawn values.
            folder: folder for the files that are measured.
            append: writes an event to the journal.
            on_change: called after each event.
        """
        self.trials: dict[int, Trial] = {}
        self._space, self._budget, self._target = space, budget, target
        self._sampler, self._judge, self._build = sampler, judge, build
        self._folder, self._append, self._on_change = folder, append, on_change
        self._bands = CostBands(rule)
        self._costs: dict[str, Cost] = {}
        self._waiting: list[int] = []
        # In the order of their numbers, so that the decisions do not depend on which measurement ends first.
        self._judging: deque[tuple[int, Future[tuple[str, int, Cost | None]]]] = deque()
        self._rejected = 0
        self._stop = threading.Event()
        self._places: SimpleQueue[int] = SimpleQueue()
        for place in range(judge.places):
            self._places.put(place)
        self._pool = ThreadPoolExecutor(max_workers=judge.places + 1, thread_name_prefix="judge")

    @property
    def accepted(self) -> int:
        """Number of trials that were trained, are trained or wait for it."""
        return sum(trial.was_trained or self._is_accepted(trial) for trial in self.trials.values())

    def restore(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Repeat recorded events; trials without an end are run first, in their order."""
        kept: dict[int, bool] = {}
        for event in events:
            apply_event(self.trials, event)
            if event["event"] == "suggested":
                self._sampler.ask_again(event["drawn"])
            else:
                self._tell(event)
            if event["event"] == "epoch":
                kept[event["trial"]] = self._keeps(event["trial"])
        for number, is_kept in kept.items():
            if not is_kept and self.trials[number].state == PENDING:
                self.stop(number)
        unfinished = [trial for trial in self.trials.values() if trial.state == PENDING]
        self._waiting = [trial.number for trial in unfinished if self._is_accepted(trial)]
        for trial in unfinished:
            if not self._is_accepted(trial):
                self._start_judging(trial.number)

    def next_trial(self) -> int | None:
        """Return the number of the next trial to train, DONE after the last one, or None if it is not known yet.

        Raises:
            DeviceUnreachable: the judge cannot measure.
            EdgeferError: no candidate can be built, or too many in a row are invalid or exceed the budget.
        """
        if self._waiting:
            return self._waiting.pop(0)
        while True:
            self._fill()
            if not self._judging:
                return DONE if self.accepted >= self._target else self._give_up()
            number, future = self._judging[0]
            if not future.done():
                return None
            self._judging.popleft()
            if self._is_allowed(number, future):
                self._rejected = 0
                return number
            self._rejected += 1

    def epoch(self, number: int, epoch: int, *, accuracy: float) -> bool:
        """Record the accuracy after an epoch, and return False if the trial is to be stopped.

        A worker that replaces a lost one may report epochs that are recorded already; they change nothing.
        """
        if epoch <= self.trials[number].epochs:
            return True
        self._record({"event": "epoch", "trial": number, "epochs": epoch, "float_accuracy": accuracy})
        return self._keeps(number)

    def _keeps(self, number: int) -> bool:
        trial = self.trials[number]
        return self._bands.keeps(
            number=number, cost=trial.cost or 0.0, epoch=trial.epochs, accuracy=trial.float_accuracy or 0.0
        )

    def finish(self, number: int, result: Mapping[str, Any]) -> None:
        """Record the result of run_trial(); Ray Tune repeats the last result of a trial, which changes nothing."""
        if self.trials[number].state != PENDING:
            return
        if "reason" in result:
            self._record({"event": "failed", "trial": number, "reason": result["reason"]})
            return
        names = ("accuracy", "float_accuracy", "epochs", "file_bytes", "duration_s", "run")
        facts = {name: result[name] for name in names}
        size, cost = facts["file_bytes"], self.trials[number].cost
        kind = "over_budget" if self._budget.excess(cost=cost, file_bytes=size) > 0 else "finished"
        reason = self._budget.describe_excess(cost=cost, file_bytes=size, unit=self._judge.unit)
        self._record({"event": kind, "trial": number, **facts, "reason": reason})

    def stop(self, number: int) -> None:
        """Record that a trial was stopped early."""
        self._record({"event": "stopped", "trial": number, "run": f"{TRIALS}/{trial_name(number)}"})

    def fail(self, number: int, reason: str) -> None:
        """Record that a trial failed."""
        self._record({"event": "failed", "trial": number, "reason": reason})

    def settings_toml(self, number: int) -> str:
        """Return the settings of a trial as TOML."""
        from edgefer.workstation.training.settings_toml import to_toml

        return to_toml(self._space.settings(self.trials[number].drawn, number=number))

    def teacher(self, number: int) -> str:
        """Return the teachers of a trial, separated by commas."""
        return self._space.teacher(self.trials[number].drawn)

    def close(self) -> None:
        """End the measurements."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _is_accepted(self, trial: Trial) -> bool:
        return trial.state == PENDING and trial.cost is not None

    def _record(self, event: Mapping[str, Any]) -> None:
        self._append(event)
        apply_event(self.trials, event)
        self._tell(event)
        self._on_change()

    def _tell(self, event: Mapping[str, Any]) -> None:
        """Pass the outcome of an event to the sampler, and keep the cost of a graph."""
        number, kind = event["trial"], event["event"]
        trial = self.trials[number]
        if event.get("graph") and trial.cost is not None:
            self._costs[event["graph"]] = Cost(trial.cost, trial.device or "", trial.warnings)
        excess = self._budget.excess(cost=trial.cost, file_bytes=trial.file_bytes or 0)
        if kind == "over_budget":
            self._sampler.tell_over_budget(number, cost=trial.cost, excess=excess)
        elif kind in ("failed", "invalid"):
            self._sampler.tell_failure(number)
        elif kind in ("finished", "stopped"):
            # A trial that was stopped early counts with what its network had reached.
            accuracy = trial.float_accuracy if trial.accuracy is None else trial.accuracy
            self._sampler.tell_result(number, accuracy=accuracy or 0.0, cost=trial.cost or 0.0, excess=excess)

    def _fill(self) -> None:
        """Draw candidates until each place of the judge has one."""
        while (
            len(self._judging) < self._judge.places
            and self.accepted + len(self._judging) < self._target
            and self._rejected < MAX_REJECTED
        ):
            self._suggest()

    def _suggest(self) -> None:
        number, drawn = self._sampler.ask()
        self._record({"event": "suggested", "trial": number, "drawn": drawn})
        equal = [trial for trial in self.trials.values() if trial.number != number and trial.drawn == drawn]
        if equal:
            self._record({"event": "invalid", "trial": number, "reason": f"equal to trial {equal[0].number}"})
            self._rejected += 1
        else:
            self._start_judging(number)

    def _start_judging(self, number: int) -> None:
        self._judging.append((number, self._pool.submit(self._measure, number, self.trials[number].drawn)))

    def _measure(self, number: int, drawn: Mapping[str, Any]) -> tuple[str, int, Cost | None]:
        """Build a candidate and measure its cost; return graph, bytes and cost, which is None above max_bytes."""
        candidate = self._build(drawn).result()
        size, cost = len(candidate.artifact), self._costs.get(candidate.graph)
        if cost is None and not (self._budget.max_bytes and size > self._budget.max_bytes):
            path, place = self._folder / f"{trial_name(number)}.tflite", self._places.get()
            try:
                files.write_bytes(path, candidate.artifact)
                cost = self._judge.measure(path, place=place, stop=self._stop)
            except (DeviceUnreachable, *CANDIDATE_ERRORS):
                raise
            except EdgeferError as error:
                # Such as a crash of the runtime, or a lack of memory.
                raise MeasurementInvalid(error.what, why=error.why, hint=error.hint) from error
            finally:
                self._places.put(place)
                path.unlink(missing_ok=True)
        return candidate.graph, size, cost

    def _is_allowed(self, number: int, future: Future[tuple[str, int, Cost | None]]) -> bool:
        """Record the cost of a candidate, and return True if it is within the budget."""
        try:
            graph, size, cost = future.result()
        except CANDIDATE_ERRORS as error:
            self._record({"event": "invalid", "trial": number, "reason": str(error).partition("\n")[0]})
            return False
        value = None if cost is None else cost.value
        facts = {
            "graph": graph, "file_bytes": size, "cost": value, "device": cost.device if cost else None,
            "warnings": list(cost.warnings) if cost else [],
        }  # fmt: skip
        reason = self._budget.describe_excess(cost=value, file_bytes=size, unit=self._judge.unit)
        kind = "over_budget" if reason else "judged"
        self._record({"event": kind, "trial": number, **facts, "reason": reason})
        return not reason

    def _give_up(self) -> int:
        if self.accepted:
            return DONE
        states = [trial.state for trial in self.trials.values()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in (OVER_BUDGET, INVALID) if state in states)
        last = next(reversed(self.trials.values()))
        raise EdgeferError(
            f"no network to train among {len(states)} candidates",
            why=f"{counts}; the last one: {last.reason}",
            hint="a larger budget, or a space with smaller networks",
        )
