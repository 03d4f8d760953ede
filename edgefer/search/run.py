"""Run a search from its request to its record: the steps of ``edgefer search``.

    record = run_search(SearchFolder(Path("runs/search-nano")), request, open_dataset=..., resources=Resources(cpus=8))
    record = read_record(SearchFolder(Path("runs/search-nano")))        # at any time, also while it runs
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import edgefer
from edgefer import files
from edgefer.results import schema
from edgefer.results.architecture_search import PENDING, ArchitectureSearch, Trial
from edgefer.search.director import Budget, Director
from edgefer.search.journal import SearchFolder, replay
from edgefer.search.judge import Judge, open_judge
from edgefer.search.sampler import Sampler, importance
from edgefer.search.space import Space, parse_space
from edgefer.search.stopping import StoppingRule
from edgefer.search.trial import TrialPlan
from edgefer.search.tuning import Resources, builder, ray_session, tune_trials
from edgefer.workstation.training.settings_toml import to_toml

if TYPE_CHECKING:
    from edgefer.contract.preprocessing import InputSpec
    from edgefer.data.dataset import Dataset

__all__ = ["SearchRequest", "read_record", "read_request", "run_search"]

PACKAGES = ("ray", "optuna", "keras", "tensorflow")
# A record of a thousand trials takes milliseconds to write, and an epoch of a tiny trial not much more.
RECORD_INTERVAL_S = 1.0
# Variables that select what a worker computes with, besides those that its machine sets.
PASSED_ON = ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS")


@dataclass(frozen=True)
class SearchRequest:
    """Complete definition of a search, besides the cluster that runs it.

    Attributes:
        space: the search space.
        judge: name of the judge.
        budget: limits of the networks.
        target: number of trials to train.
        labels: class names.
        data: name and digest of the data set, and name of the validation split.
        opened_with: options that opened the data set.
        unit, description: unit of the judge, and what it measures, in words.
        options: options of the judge.
        devices: devices of the judge.
        seed: seed of the sampler.
        grace_epochs: epochs before a trial can be stopped early; 0 runs all trials to the end.
        scale: options on cores, GPUs and memory, by name, for a continuation.
    """

    space: Space
    judge: str
    budget: Budget
    target: int
    labels: tuple[str, ...]
    data: Mapping[str, Any]
    opened_with: Mapping[str, Any]
    unit: str
    description: str
    options: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    seed: int = 0
    grace_epochs: int = 1
    scale: Mapping[str, float] = field(default_factory=dict)

    def open_judge(self) -> Judge:
        """Create the judge; raise UsageError for an invalid option."""
        return open_judge(self.judge, options=self.options, devices=self.devices)

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON-compatible values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("space", "budget")}
        return {**values, "space": self.space.text, **asdict(self.budget)}


def read_request(folder: SearchFolder) -> SearchRequest:
    """Read the request of a search.

    Raises:
        DataError: the file is missing or damaged.
        UsageError: the search space is not valid for this version of edgefer.
    """
    record = folder.request()
    options, scale = record.object("options"), record.optional(record.object, "scale")
    return SearchRequest(
        space=parse_space(record.text("space")),
        judge=record.text("judge"),
        budget=Budget(record.optional(record.amount, "max_cost"), record.optional(record.count, "max_bytes")),
        target=record.count("target"),
        labels=record.texts("labels"),
        data=record.plain("data"),
        opened_with=record.plain("opened_with"),
        unit=record.text("unit"),
        description=record.text("description"),
        options={name: options.text(name) for name in options},
        devices=record.texts("devices"),
        seed=record.count("seed"),
        grace_epochs=record.count("grace_epochs"),
        scale={} if scale is None else {name: scale.amount(name) for name in scale},
    )


def read_record(folder: SearchFolder, request: SearchRequest | None = None) -> ArchitectureSearch:
    """Return the record of a search as of now, with the importance of the settings that was computed last."""
    request = request or read_request(folder)
    last: Mapping[str, Mapping[str, float]] = {}
    if folder.record.exists():
        last = ArchitectureSearch.from_json(schema.parse_json(folder.record.read_bytes())).importance
    return _make_record(folder, request, replay(folder.events()).values(), last)


def run_search(
    folder: SearchFolder,
    request: SearchRequest,
    *,
    open_dataset: Callable[[InputSpec], Dataset],
    resources: Resources,
    address: str | None = None,
    on_change: Callable[[ArchitectureSearch], None] = lambda record: None,
) -> ArchitectureSearch:
    """Run a search, or continue one, until its number of trials is trained.

    Args:
        folder: folder of the search; on a cluster, all machines reach it by the same path.
        request: the search.
        open_dataset: opens the data set in a worker; it can be pickled.
        resources: cores, GPUs and memory.
        address: address of a Ray cluster, or None for this machine.
        on_change: called with the state of the search, at most once a second and after each trial.

    Raises:
        UsageError: no cluster answers, or no machine has the resources of a trial.
        DataError: another process searches in the folder.
        DeviceUnreachable: the judge cannot measure.
        EdgeferError: no network can be measured, or none is within the budget.
    """
    judge = request.open_judge()
    with folder.locked():
        judge.check()
        journal = folder.open_journal()
        plan = TrialPlan(
            folder=folder.trials.resolve(), open_dataset=open_dataset, opened_with=request.opened_with,
            faces=request.space.faces, search=folder.name, variables=_variables(resources),
        )  # fmt: skip
        folder.trials.mkdir(exist_ok=True)
        try:
            with ray_session(address, resources):
                # After the check of the resources, so that a start with too many can be repeated with fewer.
                folder.write_request(request.to_json())
                director, notify = _direct(folder, request, judge, journal.append, plan.variables, on_change)
                try:
                    director.restore(folder.events())
                    tune_trials(director, plan, resources, storage=folder.path.resolve() / "ray")
                finally:
                    director.close()
                    notify(finished=True)
        finally:
            journal.close()
        trials = list(director.trials.values())
        record = _make_record(folder, request, trials, importance(request.space, trials, seed=request.seed))
        _write(folder, record)
    return record


def _direct(
    folder: SearchFolder, request: SearchRequest, judge: Judge, append: Callable[[Mapping[str, Any]], None],
    variables: Mapping[str, str], on_change: Callable[[ArchitectureSearch], None],
) -> tuple[Director, Callable[..., None]]:  # fmt: skip
    """Return the director, and the function that writes and shows the record after a change."""
    build = builder(request.labels, variables)
    last_s, ended = -RECORD_INTERVAL_S, -1

    def notify(*, finished: bool = False) -> None:
        nonlocal last_s, ended
        now_s, count = time.monotonic(), sum(trial.state != PENDING for trial in director.trials.values())
        if count == ended and now_s - last_s < RECORD_INTERVAL_S and not finished:
            return
        record = _make_record(folder, request, director.trials.values(), {})
        if count != ended or finished:
            _write(folder, record)
        last_s, ended = now_s, count
        on_change(record)

    director = Director(
        request.space, request.budget, target=request.target, sampler=Sampler(request.space, seed=request.seed),
        rule=StoppingRule(request.space.epochs, request.grace_epochs), judge=judge,
        build=lambda drawn: build(to_toml(request.space.settings(drawn))),
        folder=folder.path / "candidates", append=append, on_change=notify,
    )  # fmt: skip
    return director, notify


def _make_record(
    folder: SearchFolder, request: SearchRequest, trials: Iterable[Trial], shares: Mapping[str, Mapping[str, float]]
) -> ArchitectureSearch:
    versions = {"edgefer": edgefer.__version__}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ArchitectureSearch(
        name=folder.name, space=request.space.to_json(), unit=request.unit, judge=request.description,
        max_cost=request.budget.max_cost, max_bytes=request.budget.max_bytes, data=request.data, target=request.target,
        trials=tuple(trials), importance=shares, versions=versions,
    )  # fmt: skip


def _write(folder: SearchFolder, record: ArchitectureSearch) -> None:
    files.write_text(folder.record, json.dumps(record.to_json(), indent=1, allow_nan=False) + "\n")


def _variables(resources: Resources) -> dict[str, str]:
    """Return the environment variables of the workers: kernels use the cores of one trial."""
    threads = max(1, int(resources.cpus_per_trial))
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")}
    return {**limits, **{name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}}
