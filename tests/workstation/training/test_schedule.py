"""Learning rates, the best epoch, early stopping and the phases of a training history."""

import itertools
from dataclasses import replace

import pytest

from edgefer.workstation.training.schedule import (
    Epoch,
    ValidationScore,
    best_epoch,
    has_stalled,
    learning_rate,
    phases,
    rate_drops,
)
from edgefer.workstation.training.settings import TrainSettings

SETTINGS = TrainSettings(learning_rate=1.0, warmup_epochs=0, floor=0.0, factor=0.5)
PHASE_SETTINGS = TrainSettings(learning_rate=0.1, warmup_epochs=0, factor=0.1)


def make_history(accuracies, *, losses=None, rates=None):
    """Make epochs with these validation results and learning rates; training accuracy is 10 points higher."""
    losses = losses or [1.0] * len(accuracies)
    rates = rates or [0.1] * len(accuracies)
    return [
        Epoch(number, rate, 1.0, accuracy + 0.1, loss, accuracy, 1.0)
        for number, (accuracy, loss, rate) in enumerate(zip(accuracies, losses, rates), start=1)
    ]


def history_of_rates(rates, accuracies=None):
    return make_history(accuracies or [0.2] * len(rates), rates=rates)


def scheduled_rates(settings, accuracies):
    """Compute the rate of each epoch with these validation accuracies, and of the epoch after them."""
    history = make_history(accuracies)
    return [learning_rate(history[:count], settings) for count in range(len(history) + 1)]


def scheduled_history(settings, epochs):
    """Make a history with the rates of the schedule, in which no epoch exceeds the first."""
    history = []
    for number in range(1, epochs + 1):
        history.append(Epoch(number, learning_rate(history, settings), 1.0, 0.3, 1.0, 0.2, 1.0))
    return history


def spans(phases_):
    return [(phase.name, phase.first.epoch, phase.last.epoch) for phase in phases_]


def test_the_best_epoch_is_the_earliest_in_a_tie():
    assert best_epoch(make_history([0.1, 0.3, 0.2, 0.3]), SETTINGS) == 1
    assert best_epoch([], SETTINGS) == -1


def test_an_epoch_must_exceed_the_baseline():
    history = make_history([0.1, 0.3, 0.2], losses=[3.0, 2.0, 1.0])
    assert best_epoch(history, SETTINGS, baseline=ValidationScore(9.0, 0.29)) == 1
    assert best_epoch(history, SETTINGS, baseline=ValidationScore(9.0, 0.3)) == -1
    by_loss = replace(SETTINGS, monitor="loss")
    assert best_epoch(history, by_loss, baseline=ValidationScore(1.5, 0.9)) == 2
    assert best_epoch(history, by_loss, baseline=ValidationScore(1.0, 0.0)) == -1


def test_the_best_epoch_by_loss_has_the_lowest_loss():
    history = make_history([0.9, 0.1, 0.1], losses=[2.0, 1.0, 1.0])
    assert best_epoch(history, replace(SETTINGS, monitor="loss")) == 1
    assert best_epoch(history, SETTINGS) == 0


@pytest.mark.parametrize(
    ("accuracies", "stalled"),
    [
        ([], False),
        ([0.3], False),
        ([0.3, 0.2], False),
        ([0.3, 0.2, 0.3], True),
        ([0.3, 0.2, 0.4], False),
        ([0.1, 0.3, 0.2, 0.2], True),
    ],
)
def test_early_stopping_counts_epochs_without_a_new_best(accuracies, stalled):
    assert has_stalled(make_history(accuracies), replace(SETTINGS, early_stopping=2)) is stalled


def test_without_early_stopping_training_never_stalls():
    assert not has_stalled(make_history([0.5, *[0.1] * 99]), SETTINGS)


def test_a_constant_schedule_keeps_the_peak():
    assert scheduled_rates(replace(SETTINGS, schedule="constant"), [0.1] * 5) == [1.0] * 6


def test_warm_up_rises_linearly_to_the_peak():
    settings = replace(SETTINGS, schedule="constant", warmup_epochs=3)
    assert scheduled_rates(settings, [0.1] * 5) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_cosine_falls_from_the_peak_to_zero():
    settings = replace(SETTINGS, schedule="cosine", epochs=4)
    assert scheduled_rates(settings, [0.1] * 4) == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


def test_cosine_spans_the_epochs_after_the_warm_up():
    settings = replace(SETTINGS, schedule="cosine", epochs=6, warmup_epochs=2)
    assert scheduled_rates(settings, [0.1] * 6)[2:] == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (1, 1), (1, 5), (3, 3), (2, 9)])
def test_cosine_of_short_trainings_stays_positive_and_finite(epochs, warmup):
    settings = replace(SETTINGS, schedule="cosine", epochs=epochs, warmup_epochs=warmup, floor=0.001)
    assert all(0 < rate <= 1 for rate in scheduled_rates(settings, [0.1] * (epochs - 1)))


def test_cosine_stays_at_zero_after_the_last_epoch():
    assert scheduled_rates(replace(SETTINGS, schedule="cosine", epochs=2), [0.1] * 4)[2:] == pytest.approx([0.0] * 3)


def test_step_drops_at_fixed_intervals():
    settings = replace(SETTINGS, schedule="step", step_epochs=2)
    assert scheduled_rates(settings, [0.1] * 5) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_step_counts_from_the_end_of_the_warm_up():
    settings = replace(SETTINGS, schedule="step", step_epochs=2, warmup_epochs=1)
    assert scheduled_rates(settings, [0.1] * 4) == [0.5, 1.0, 1.0, 0.5, 0.5]


def test_plateau_drops_each_time_the_patience_runs_out():
    settings = replace(SETTINGS, schedule="plateau", plateau_patience=2)
    assert scheduled_rates(settings, [0.3, 0.3, 0.2, 0.2, 0.2]) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "plateau"])
@pytest.mark.parametrize("completed", [1, 3])
def test_the_rate_after_an_epoch_without_improvement_is_known_in_advance(schedule, completed):
    settings = replace(SETTINGS, schedule=schedule, epochs=6, step_epochs=2, plateau_patience=1)
    history = make_history([0.3] * (completed + 1))
    assert learning_rate(history[:-1], settings, ahead=1) == learning_rate(history, settings)


def test_a_new_best_resets_the_patience():
    settings = replace(SETTINGS, schedule="plateau", plateau_patience=2)
    assert scheduled_rates(settings, [0.3, 0.2, 0.4, 0.3, 0.4]) == [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]


def test_plateau_can_monitor_the_loss():
    settings = replace(SETTINGS, schedule="plateau", plateau_patience=1, monitor="loss")
    history = make_history([0.1, 0.9, 0.9], losses=[1.0, 0.9, 0.9])
    assert [learning_rate(history[:count], settings) for count in range(4)] == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("schedule", ["cosine", "plateau", "step"])
def test_no_schedule_falls_below_the_floor(schedule):
    settings = replace(SETTINGS, schedule=schedule, floor=0.1, epochs=20, plateau_patience=1, step_epochs=1)
    assert min(scheduled_rates(settings, [0.1] * 20)) == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["cosine", "plateau", "step", "constant"])
def test_rates_scale_with_the_peak_and_never_rise_after_the_warm_up(schedule):
    settings = replace(SETTINGS, schedule=schedule, epochs=12, warmup_epochs=2, learning_rate=0.3)
    rates = scheduled_rates(settings, [0.5, 0.4] * 6)
    assert max(rates) == pytest.approx(0.3)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[2:]))


def test_drops_are_the_first_epochs_at_a_lower_rate():
    assert rate_drops(history_of_rates([1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01])) == [3, 5]
    assert rate_drops(history_of_rates([0.5, 1, 1, 1, 0.1])) == [4]


@pytest.mark.parametrize("rates", [[], [1], [1, 1, 1, 1], [0.1, 0.5, 1.0], [1, 0.9, 0.7, 0.4, 0.1], [0.5, 1, 0.7, 0.1]])
def test_a_smooth_rising_or_constant_rate_has_no_drops(rates):
    assert rate_drops(history_of_rates(rates)) == []


@pytest.mark.parametrize(
    ("schedule", "drops"),
    [("cosine", []), ("constant", []), ("step", [5, 10, 15]), ("plateau", [4, 7, 10, 13, 16, 19])],
)
def test_the_drops_of_each_schedule(schedule, drops):
    settings = replace(PHASE_SETTINGS, schedule=schedule, epochs=20, step_epochs=5, plateau_patience=3, floor=0.0)
    assert rate_drops(scheduled_history(settings, 20)) == drops


def test_each_drop_starts_a_phase():
    accuracies = [0.2, 0.4, 0.5, 0.45, 0.6, 0.55, 0.61, 0.61]
    result = phases(history_of_rates([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01], accuracies), PHASE_SETTINGS)
    assert spans(result) == [("full rate", 1, 4), ("after drop 1", 5, 6), ("after drop 2", 7, 8)]
    assert [phase.best.epoch for phase in result] == [3, 5, 7]
    assert (result[0].first.selection_accuracy, result[0].last.selection_accuracy) == (0.2, 0.45)


def test_the_warm_up_is_a_phase():
    result = phases(history_of_rates([0.3, 0.6, 1, 1, 1, 1, 0.1]), PHASE_SETTINGS)
    assert spans(result) == [("warm-up", 1, 2), ("full rate", 3, 6), ("after drop 1", 7, 7)]


def test_the_best_epoch_of_a_phase_follows_the_monitored_metric():
    epochs = history_of_rates([1, 1, 1, 1], [0.2, 0.5, 0.4, 0.3])
    epochs[3] = replace(epochs[3], selection_loss=0.01)
    by_accuracy, by_loss = (phases(epochs, replace(PHASE_SETTINGS, monitor=metric)) for metric in ("accuracy", "loss"))
    assert by_accuracy[-1].best.epoch == 3
    assert by_loss[-1].best.epoch == 4


def test_without_drops_phases_end_at_shares_of_the_total_gain():
    # From 0.2 to 0.6, 70 % of the gain is 0.48 and 95 % is 0.58.
    accuracies = [0.2, 0.3, 0.48, 0.4, 0.55, 0.58, 0.57, 0.6, 0.59]
    cosine = [1, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.0]
    for rates in (cosine, [1] * 9):
        result = phases(history_of_rates(rates, accuracies), PHASE_SETTINGS)
        assert spans(result) == [("initial learning", 1, 3), ("steady improvement", 4, 6), ("plateau", 7, 9)]


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.2], [("initial learning", 1, 1)]),
        ([0.6, 0.5, 0.4], [("initial learning", 1, 1), ("plateau", 2, 3)]),
        ([0.2, 0.6], [("initial learning", 1, 2)]),
        ([0.2, 0.6, 0.6], [("initial learning", 1, 2), ("plateau", 3, 3)]),
    ],
)
def test_a_phase_without_epochs_is_omitted(accuracies, expected):
    assert spans(phases(history_of_rates([1] * len(accuracies), accuracies), PHASE_SETTINGS)) == expected


@pytest.mark.parametrize("schedule", ["cosine", "constant", "step", "plateau"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 30])
def test_phases_are_contiguous(schedule, epochs):
    settings = replace(PHASE_SETTINGS, schedule=schedule, epochs=epochs, warmup_epochs=1, step_epochs=2)
    result = phases(scheduled_history(settings, epochs), settings)
    numbers = [number for phase in result for number in range(phase.first.epoch, phase.last.epoch + 1)]
    assert numbers == list(range(1, epochs + 1))


def test_an_empty_history_has_no_phases():
    assert phases([], PHASE_SETTINGS) == ()
