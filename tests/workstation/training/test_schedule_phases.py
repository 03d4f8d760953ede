from dataclasses import replace

import pytest

from edgefer.workstation.training.schedule import Epoch, learning_rate, phases, phases_text, rate_drops
from edgefer.workstation.training.settings import TrainSettings

SETTINGS = TrainSettings(learning_rate=0.1, warmup_epochs=0, factor=0.1)


def history(rates, accuracies=None):
    accuracies = accuracies or [0.2] * len(rates)
    return [
        Epoch(number, rate, 1.0, accuracy + 0.1, 1.0 - accuracy, accuracy, 1.0)
        for number, (rate, accuracy) in enumerate(zip(rates, accuracies), start=1)
    ]


def scheduled(settings, epochs):
    """A history whose rates are those of the schedule; nothing is ever better than the first epoch."""
    found = []
    for number in range(1, epochs + 1):
        found.append(Epoch(number, learning_rate(found, settings), 1.0, 0.3, 1.0, 0.2, 1.0))
    return found


def spans(found):
    return [(phase.name, phase.first.epoch, phase.last.epoch) for phase in found]


def test_drops_are_the_first_epochs_of_a_lower_rate():
    assert rate_drops(history([1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01])) == [3, 5]
    assert rate_drops(history([0.5, 1, 1, 1, 0.1])) == [4]


@pytest.mark.parametrize("rates", [[], [1], [1, 1, 1, 1], [0.1, 0.5, 1.0], [1, 0.9, 0.7, 0.4, 0.1], [0.5, 1, 0.7, 0.1]])
def test_a_rate_that_glides_grows_or_stays_has_no_drop(rates):
    assert rate_drops(history(rates)) == []


@pytest.mark.parametrize(
    ("schedule", "drops"),
    [("cosine", []), ("constant", []), ("step", [5, 10, 15]), ("plateau", [4, 7, 10, 13, 16, 19])],
)
def test_the_drops_of_each_schedule(schedule, drops):
    settings = replace(SETTINGS, schedule=schedule, epochs=20, step_epochs=5, plateau_patience=3, floor=0.0)
    assert rate_drops(scheduled(settings, 20)) == drops


def test_a_drop_begins_a_phase():
    accuracies = [0.2, 0.4, 0.5, 0.45, 0.6, 0.55, 0.61, 0.61]
    found = phases(history([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01], accuracies), SETTINGS)
    assert spans(found) == [("full rate", 1, 4), ("after drop 1", 5, 6), ("after drop 2", 7, 8)]
    assert [phase.best.epoch for phase in found] == [3, 5, 7]
    assert (found[0].first.selection_accuracy, found[0].last.selection_accuracy) == (0.2, 0.45)


def test_a_warm_up_is_a_phase_of_its_own():
    found = phases(history([0.3, 0.6, 1, 1, 1, 1, 0.1]), SETTINGS)
    assert spans(found) == [("warm-up", 1, 2), ("full rate", 3, 6), ("after drop 1", 7, 7)]


def test_the_best_of_a_phase_is_what_the_training_monitors():
    epochs = history([1, 1, 1, 1], [0.2, 0.5, 0.4, 0.3])
    epochs[3] = replace(epochs[3], selection_loss=0.01)
    by_accuracy, by_loss = (phases(epochs, replace(SETTINGS, monitor=each)) for each in ("accuracy", "loss"))
    assert by_accuracy[-1].best.epoch == 3
    assert by_loss[-1].best.epoch == 4


def test_without_drops_a_phase_ends_when_its_part_of_the_gain_is_there():
    # 0.2 to 0.6: 70 % of the way is 0.48, 95 % is 0.58.
    accuracies = [0.2, 0.3, 0.48, 0.4, 0.55, 0.58, 0.57, 0.6, 0.59]
    cosine = [1, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2, 0.1, 0.0]
    for rates in (cosine, [1] * 9):
        found = phases(history(rates, accuracies), SETTINGS)
        assert spans(found) == [("initial learning", 1, 3), ("steady improvement", 4, 6), ("plateau", 7, 9)]


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.2], [("initial learning", 1, 1)]),
        ([0.6, 0.5, 0.4], [("initial learning", 1, 1), ("plateau", 2, 3)]),
        ([0.2, 0.6], [("initial learning", 1, 2)]),
        ([0.2, 0.6, 0.6], [("initial learning", 1, 2), ("plateau", 3, 3)]),
    ],
)
def test_a_phase_without_epochs_is_left_out(accuracies, expected):
    assert spans(phases(history([1] * len(accuracies), accuracies), SETTINGS)) == expected


@pytest.mark.parametrize("schedule", ["cosine", "constant", "step", "plateau"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 30])
def test_phases_leave_no_gap(schedule, epochs):
    settings = replace(SETTINGS, schedule=schedule, epochs=epochs, warmup_epochs=1, step_epochs=2)
    found = phases(scheduled(settings, epochs), settings)
    numbers = [number for phase in found for number in range(phase.first.epoch, phase.last.epoch + 1)]
    assert numbers == list(range(1, epochs + 1))


def test_no_epoch_has_no_phase():
    assert phases([], SETTINGS) == ()


def test_the_text_has_a_row_a_phase_within_80_columns():
    accuracies = [0.2 + 0.001 * number for number in range(120)]
    text = phases_text(phases(history([0.00096] * 60 + [0.00047] * 60, accuracies), SETTINGS))
    header, _, first, second, note = text.splitlines()
    assert header.split() == ["phase", "epochs", "rate", "training", "selection", "best"]
    assert "accuracy in %" in note
    assert first.split() == ["full", "rate", "1-60", "0.00096", "30.0→35.9", "20.0→25.9", "60", "(25.9)"]
    assert second.split()[:3] == ["after", "drop", "1"]


def test_the_widest_row_is_not_folded():
    rates = [0.00096 - 0.00001 * number for number in range(90)] + [0.000012] * 30
    accuracies = [0.2 + 0.003 * number for number in range(120)]
    lines = phases_text(phases(history(rates, accuracies), SETTINGS)).splitlines()
    assert [line[:18].strip() for line in lines[2:-1]] == ["initial learning", "steady improvement", "plateau"]
    assert max(map(len, lines)) <= 80
