"""The decisions of a search, on networks that are stood in for by one shipped graph of known size."""

import time
from concurrent.futures import Future
from dataclasses import replace

import pytest

from edgefer.errors import (
    DataError,
    DeviceUnreachable,
    EdgeferError,
    IncompatibleError,
    MeasurementInvalid,
    UsageError,
)
from edgefer.results.architecture_search import FINISHED, INVALID, OVER_BUDGET, STOPPED
from edgefer.search.candidate import Candidate
from edgefer.search.director import DONE, Budget, Director
from edgefer.search.judge import Cost
from edgefer.search.sampler import Sampler
from edgefer.search.space import parse_space
from edgefer.search.stopping import StoppingRule

RESULT = {
    "accuracy": 0.5, "float_accuracy": 0.5, "epochs": 2, "file_bytes": 1, "duration_s": 1.0, "run": "trials/0000",
}  # fmt: skip


def done(width):
    """Return the future of a candidate that costs ``width``."""
    future = Future()
    future.set_result(Candidate(width, width.encode()))
    return future


class WidthJudge:
    """A judge for which the graph of a network of width w costs w."""

    unit, description, places = "width", "the width", 1

    def __init__(self):
        self.measured = []

    def measure(self, model, *, place, stop):
        self.measured.append(float(model.read_bytes()))
        return Cost(self.measured[-1], "here")


class Search:
    """A director with its journal."""

    def __init__(self, space, folder, *, budget, target=6, rule=None, build=None, judge=None):
        self.events, self.judge = [], judge or WidthJudge()
        self.sampler = Sampler(space, seed=1)
        self.director = Director(
            space, budget, target=target, rule=rule or StoppingRule(2, 0), sampler=self.sampler, judge=self.judge,
            build=build or self.build, folder=folder, append=self.events.append,
        )  # fmt: skip

    @staticmethod
    def build(drawn):
        return done(str(drawn["model.width"]))

    def next(self):
        while (number := self.director.next_trial()) is None:
            time.sleep(0.01)
        return number

    def run(self, count=None):
        numbers = []
        while (count is None or len(numbers) < count) and (number := self.next()) != DONE:
            numbers.append(number)
            width = self.director.trials[number].drawn["model.width"]
            self.director.finish(number, {**RESULT, "accuracy": width / 40})
        return numbers


@pytest.fixture
def search(space, tmp_path):
    opened = []

    def make(**options):
        opened.append(Search(space, tmp_path, **options))
        return opened[-1]

    yield make
    for item in opened:
        item.director.close()


def test_a_network_over_the_budget_is_never_handed_out(search):
    made = search(budget=Budget(max_cost=7.0), target=12)
    numbers = made.run()
    trials = made.director.trials
    assert len(numbers) == 12
    assert all(trials[number].cost <= 7 and trials[number].state == FINISHED for number in numbers)
    over = [trial for trial in trials.values() if trial.state == OVER_BUDGET]
    assert over
    assert all(trial.cost > 7 and "at most 7 allowed" in trial.reason for trial in over)


def test_a_file_over_the_limit_is_not_measured(search):
    made = search(budget=Budget(max_bytes=1), target=2)  # the candidate of width 32 has two bytes
    made.run()
    assert 32.0 not in made.judge.measured


def test_a_graph_is_measured_once(search):
    made = search(budget=Budget(), target=12)
    made.run()
    assert len(made.judge.measured) == len(set(made.judge.measured)) <= 4


CHOICES = """
system = "two_conv"
epochs = 1
[drawn]
learning_rate = { choice = [0.01, 0.02, 0.03, 0.04] }
batch_size = { low = 32, high = 96, step = 32 }
"""


def test_every_network_of_a_small_space_is_trained_before_one_repeats(tmp_path):
    made = Search(parse_space(CHOICES), tmp_path, budget=Budget(), target=12, build=lambda drawn: done("1"))
    numbers = []
    while (number := made.next()) != DONE:
        numbers.append(number)
        rate = made.director.trials[number].drawn["learning_rate"]
        made.director.finish(number, {**RESULT, "accuracy": rate})
    made.director.close()
    assert numbers == list(range(12))
    assert all(trial.state == FINISHED for trial in made.director.trials.values())
    assert len({tuple(trial.drawn.items()) for trial in made.director.trials.values()}) == 12


def test_a_search_with_replaced_draws_continues_as_if_it_had_not_been_interrupted(tmp_path):
    def make():
        space = parse_space(CHOICES)
        return Search(space, tmp_path, budget=Budget(), target=12, build=lambda drawn: done("1"))

    def run(made, count=None):
        numbers = []
        while (count is None or len(numbers) < count) and (number := made.next()) != DONE:
            numbers.append(number)
            made.director.finish(number, RESULT)
        made.director.close()

    whole = make()
    run(whole)
    for interrupted_after in range(1, 12):
        first, second = make(), make()
        run(first, interrupted_after)
        second.director.restore(first.events)
        run(second)
        assert [*first.events, *second.events] == whole.events


def test_an_interrupted_search_draws_and_decides_what_an_uninterrupted_one_does(search):
    whole = search(budget=Budget(max_cost=10.0), target=25)
    whole.run()
    for interrupted_after in (1, 7, 20):
        first = search(budget=Budget(max_cost=10.0), target=25)
        first.run(interrupted_after)
        second = search(budget=Budget(max_cost=10.0), target=25)
        second.director.restore(first.events)
        second.run()
        assert [*first.events, *second.events] == whole.events


def test_a_trial_without_an_end_runs_first_after_an_interruption(search):
    first = search(budget=Budget())
    first.run(2)
    number = first.next()
    first.director.epoch(number, 1, accuracy=0.3)
    second = search(budget=Budget())
    second.director.restore(first.events)
    assert second.next() == number
    assert second.director.trials[number].epochs == 1


def test_epochs_that_a_replaced_worker_repeats_change_nothing(search):
    made = search(budget=Budget())
    number = made.next()
    made.director.epoch(number, 2, accuracy=0.4)
    before = list(made.events)
    assert made.director.epoch(number, 1, accuracy=0.1)
    assert made.events == before


def test_a_trial_that_falls_behind_trials_of_similar_cost_is_stopped(search, space):
    made = search(budget=Budget(), target=8, rule=StoppingRule(9, 1))
    numbers = [made.next() for _ in range(8)]
    kept = {number: made.director.epoch(number, 1, accuracy=0.9 - 0.1 * rank) for rank, number in enumerate(numbers)}
    bands = {}
    for number in numbers:
        bands.setdefault(made.director.trials[number].cost.hex()[-3:], []).append(kept[number])
    # The first trial of a cost has no rival; a later and worse one falls behind.
    assert all(band[0] for band in bands.values())
    assert not all(kept.values())
    made.director.stop(numbers[-1])
    assert made.director.trials[numbers[-1]].state == STOPPED


def test_a_network_that_cannot_be_built_is_skipped(search):
    def build(drawn):
        if drawn["model.width"] == 4:
            future = Future()
            future.set_exception(UsageError("compact cannot be built", why="too small"))
            return future
        return Search.build(drawn)

    made = search(budget=Budget(), target=8, build=build)
    made.run()
    invalid = [trial for trial in made.director.trials.values() if trial.state == INVALID]
    assert {trial.drawn["model.width"] for trial in invalid} == {4}
    assert "too small" in invalid[0].reason


class HotJudge(WidthJudge):
    """A judge on a throttled board."""

    def measure(self, model, *, place, stop):
        return replace(super().measure(model, place=place, stop=stop), warnings=("the device was throttled",))


def test_the_warnings_of_a_measurement_are_recorded_for_each_trial_with_its_graph(search):
    made = search(budget=Budget(), target=8, judge=HotJudge())
    made.run()
    assert len(made.judge.measured) < 8
    assert {trial.warnings for trial in made.director.trials.values()} == {("the device was throttled",)}
    resumed = search(budget=Budget(), target=12, judge=WidthJudge())
    resumed.director.restore(made.events)
    assert resumed.director.trials == made.director.trials


class FailingJudge(WidthJudge):
    """A judge that cannot measure networks of one width."""

    def __init__(self, width, error):
        super().__init__()
        self.width, self.error = width, error

    def measure(self, model, *, place, stop):
        if float(model.read_bytes()) == self.width:
            raise self.error
        return super().measure(model, place=place, stop=stop)


@pytest.mark.parametrize("kind", [DataError, IncompatibleError, MeasurementInvalid, EdgeferError])
def test_a_network_that_cannot_be_measured_is_skipped(search, kind):
    judge = FailingJudge(4.0, kind("no formula for the MACs of ELU", hint="--judge local"))
    made = search(budget=Budget(), target=8, judge=judge)
    assert len(made.run()) == 8
    invalid = [trial for trial in made.director.trials.values() if trial.state == INVALID]
    assert {trial.drawn["model.width"] for trial in invalid} == {4}
    assert invalid[0].reason == "no formula for the MACs of ELU"


def test_a_pending_network_that_cannot_be_measured_does_not_end_a_resumed_search(search):
    suggested = {"event": "suggested", "trial": 0, "drawn": {"learning_rate": 0.1, "model.width": 4}}
    made = search(budget=Budget(), judge=FailingJudge(4.0, IncompatibleError("no formula")))
    made.director.restore([suggested])
    assert len(made.run()) == 6
    assert made.director.trials[0].state == INVALID


def test_a_board_that_does_not_answer_ends_the_search(search):
    made = search(budget=Budget(), target=8, judge=FailingJudge(4.0, DeviceUnreachable("pi4 does not answer")))
    with pytest.raises(DeviceUnreachable, match="pi4 does not answer"):
        made.run()


def test_a_budget_that_no_network_meets_ends_the_search_with_an_error(search):
    made = search(budget=Budget(max_cost=1.0))
    with pytest.raises(EdgeferError, match="no network to train") as raised:
        made.run()
    assert "at most 1 allowed" in str(raised.value)


def test_a_failed_training_counts_and_is_recorded(search):
    made = search(budget=Budget(), target=1)
    made.director.finish(made.next(), {"reason": "the training has diverged"})
    assert made.next() == DONE
    assert made.director.trials[0].reason == "the training has diverged"


def test_a_cost_above_the_budget_never_looks_equal_to_it():
    budget = Budget(max_cost=1500.0)
    assert budget.describe_excess(cost=1500.3, file_bytes=1, unit="us") == "1,500.3 us, at most 1,500 allowed"
    assert budget.describe_excess(cost=1500.0, file_bytes=1, unit="us") == ""
    macs = Budget(max_cost=2e6).describe_excess(cost=17_320_888_123.0, file_bytes=1, unit="MACs")
    assert macs == "17,320,888,123 MACs, at most 2,000,000 allowed"
