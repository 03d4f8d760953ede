"""Record of a search for architectures and hyperparameters: trials, Pareto front, and importance of each setting.

    search = ArchitectureSearch.from_json(json.loads(Path("runs/search-nano/search.json").read_text()))
    search.front()                                  # finished trials that no other one beats in accuracy and cost

``edgefer search`` writes the output of to_json() to search.json after each trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from edgefer.contract.split_names import split_phrase
from edgefer.results import schema

__all__ = [
    "FAILED", "FINISHED", "INVALID", "OVER_BUDGET", "PENDING", "STOPPED", "ArchitectureSearch", "Trial", "front",
]  # fmt: skip

KIND = "architecture_search"
SCHEMA_VERSION = 1

PENDING, FINISHED, STOPPED, FAILED, OVER_BUDGET, INVALID = STATES = (
    "pending", "finished", "stopped", "failed", "over budget", "invalid"
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """A candidate of the search; values that are not known, or not known yet, are None.

    Attributes:
        number: number, counted from 0.
        drawn: values of the drawn settings, by dotted name.
        state: "pending": waiting, or in training; "finished": trained and quantized; "stopped": ended early, because
            other trials of similar cost were more accurate after as many epochs; "failed": its training failed; "over
            budget": its network costs too much, so it was not trained; "invalid": its network cannot be built or
            measured, or its drawn values repeat those of another trial.
        epochs: completed epochs.
        accuracy: accuracy of the int8 model on the validation split, in 0..1.
        float_accuracy: accuracy of the float network there, in 0..1: with its best weights, or, without an int8 model,
            after its last epoch.
        cost: cost of one inference, in the unit of the search.
        device: what measured the cost.
        warnings: reasons against quoting the cost, such as a throttled processor.
        file_bytes: size of the .tflite, with its contract; before the training, of that of random weights.
        graph: digest of the structure of the int8 graph.
        duration_s: seconds of training and quantization.
        run: run folder, relative to the folder of the search.
        reason: explanation of the states "failed", "over budget" and "invalid".
    """

    number: int
    drawn: Mapping[str, Any]
    state: str = PENDING
    epochs: int = 0
    accuracy: float | None = None
    float_accuracy: float | None = None
    cost: float | None = None
    device: str | None = None
    file_bytes: int | None = None
    graph: str | None = None
    duration_s: float | None = None
    run: str | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def was_trained(self) -> bool:
        """True if the training has ended; the file of a trained network can still turn out to exceed the budget."""
        return self.state in (FINISHED, STOPPED, FAILED) or (self.state == OVER_BUDGET and self.accuracy is not None)

    @classmethod
    def from_json(cls, record: schema.Fields) -> Trial:
        """Read the values of asdict().

        Raises:
            DataError: a field is missing or has another type, or a finished trial has no accuracy or no cost.
        """
        state = record.text("state")
        if state not in STATES:
            raise record.invalid("state", f"one of {', '.join(STATES)}")
        return cls(
            number=record.count("number"),
            drawn=record.plain("drawn"),
            state=state,
            epochs=record.count("epochs"),
            accuracy=record.share("accuracy") if state == FINISHED else record.optional(record.share, "accuracy"),
            float_accuracy=record.optional(record.share, "float_accuracy"),
            cost=record.amount("cost") if state == FINISHED else record.optional(record.amount, "cost"),
            device=record.optional(record.text, "device"),
            file_bytes=record.optional(record.count, "file_bytes"),
            graph=record.optional(record.text, "graph"),
            duration_s=record.optional(record.amount, "duration_s"),
            run=record.optional(record.text, "run"),
            reason=record.text("reason"),
            warnings=record.optional(record.texts, "warnings") or (),
        )


@dataclass(frozen=True)
class ArchitectureSearch:
    """A search, complete or in progress.

    Attributes:
        name: name of the search.
        space: the search space: system, epochs, faces, and the fixed and drawn settings.
        unit: unit of the costs, such as "us" or "instructions".
        judge: what measures the costs, in words.
        max_cost, max_bytes: budget; None for no limit.
        data: name and digest of the data set, and the validation split.
        target: number of trials to train.
        trials: all candidates, in order.
        importance: for "accuracy" and "cost", the share of the variance that each drawn setting explains, in 0..1.
        versions: versions of edgefer, Ray and Optuna.
    """

    name: str
    space: Mapping[str, Any]
    unit: str
    judge: str
    max_cost: float | None
    max_bytes: int | None
    data: Mapping[str, Any]
    target: int
    trials: tuple[Trial, ...]
    importance: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def front(self) -> tuple[Trial, ...]:
        """Return the Pareto front, from the least to the most expensive trial; of equal trials the first."""
        return front(self.trials)

    @property
    def split_phrase(self) -> str:
        """Name of the validation split as a noun, such as "PublicTest" or "the validation split"."""
        split = str(self.data.get("split", "the validation split"))
        return split_phrase(split, data=str(self.data.get("layout")))

    def count(self, *states: str) -> int:
        """Return the number of trials in one of ``states``."""
        return sum(trial.state in states for trial in self.trials)

    @property
    def trained(self) -> int:
        """Number of trials that were trained to the end, stopped early or failed."""
        return sum(trial.was_trained for trial in self.trials)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-compatible values; from_json() is the inverse."""
        names = [item.name for item in fields(self) if item.name not in ("trials", "importance")]
        return {
            **schema.header(KIND, SCHEMA_VERSION),
            **{name: getattr(self, name) for name in names},
            "front": [trial.number for trial in self.front()],
            "importance": {name: dict(shares) for name, shares in self.importance.items()},
            "trials": [asdict(trial) for trial in self.trials],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ArchitectureSearch:
        """Create a record from the output of to_json().

        Raises:
            DataError: not a record of a search, or a field is missing or has another type.
            IncompatibleError: a later schema version.
        """
        record = schema.read(values, KIND, SCHEMA_VERSION)
        space, importance = record.object("space"), record.object("importance")
        space.object("drawn")
        return cls(
            name=record.text("name"),
            space=space.to_plain(),
            unit=record.text("unit"),
            judge=record.text("judge"),
            max_cost=record.optional(record.amount, "max_cost"),
            max_bytes=record.optional(record.count, "max_bytes"),
            data=record.plain("data"),
            target=record.count("target"),
            trials=tuple(map(Trial.from_json, record.objects("trials"))),
            importance={
                name: {setting: importance.object(name).share(setting) for setting in importance.object(name)}
                for name in importance
            },
            versions={name: record.object("versions").text(name) for name in record.object("versions")},
        )


def front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the finished trials that no other one beats in accuracy or cost without being worse in the other.

    Args:
        trials: the trials.

    Returns:
        The Pareto front, from the least to the most expensive trial; of equal trials the first.
    """
    finished = [trial for trial in trials if trial.state == FINISHED]
    best: list[Trial] = []
    for trial in sorted(finished, key=lambda trial: (trial.cost, -(trial.accuracy or 0.0), trial.number)):
        if not best or (trial.accuracy or 0.0) > (best[-1].accuracy or 0.0):
            best.append(trial)
    return tuple(best)
