import itertools
from dataclasses import replace

import pytest

from edgefer.workstation.training.schedule import Epoch, best_epoch, has_stalled, learning_rate
from edgefer.workstation.training.settings import TrainSettings

BASE = TrainSettings(learning_rate=1.0, warmup_epochs=0, floor=0.0, factor=0.5)


def history(*accuracies, losses=None):
    losses = losses or [1.0] * len(accuracies)
    return [
        Epoch(index + 1, 0.1, 1.0, 0.5, loss, accuracy, 1.0)
        for index, (accuracy, loss) in enumerate(zip(accuracies, losses))
    ]


def rates(settings, accuracies):
    """The rate of each epoch of a training whose selection accuracies are these, and of the one after."""
    epochs = history(*accuracies)
    return [learning_rate(epochs[:count], settings) for count in range(len(epochs) + 1)]


def test_the_best_epoch_is_the_earliest_of_equals():
    assert best_epoch(history(0.1, 0.3, 0.2, 0.3), BASE) == 1
    assert best_epoch([], BASE) == -1


def test_the_best_epoch_by_loss_is_the_lowest():
    epochs = history(0.9, 0.1, 0.1, losses=[2.0, 1.0, 1.0])
    assert best_epoch(epochs, replace(BASE, monitor="loss")) == 1
    assert best_epoch(epochs, BASE) == 0


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
    assert has_stalled(history(*accuracies), replace(BASE, early_stopping=2)) is stalled


def test_without_early_stopping_nothing_stalls():
    assert not has_stalled(history(*[0.5, *[0.1] * 99]), BASE)


def test_constant():
    assert rates(replace(BASE, schedule="constant"), [0.1] * 5) == [1.0] * 6


def test_warm_up_grows_linearly_to_the_peak():
    settings = replace(BASE, schedule="constant", warmup_epochs=3)
    assert rates(settings, [0.1] * 5) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_cosine_falls_from_the_peak_to_zero():
    settings = replace(BASE, schedule="cosine", epochs=4)
    assert rates(settings, [0.1] * 4) == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


def test_cosine_is_laid_out_over_what_follows_the_warm_up():
    settings = replace(BASE, schedule="cosine", epochs=6, warmup_epochs=2)
    assert rates(settings, [0.1] * 6)[2:] == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (1, 1), (1, 5), (3, 3), (2, 9)])
def test_cosine_of_short_trainings_stays_positive_and_finite(epochs, warmup):
    settings = replace(BASE, schedule="cosine", epochs=epochs, warmup_epochs=warmup, floor=0.001)
    assert all(0 < rate <= 1 for rate in rates(settings, [0.1] * (epochs - 1)))


def test_beyond_its_end_the_cosine_does_not_rise_again():
    assert rates(replace(BASE, schedule="cosine", epochs=2), [0.1] * 4)[2:] == pytest.approx([0.0] * 3)


def test_step():
    settings = replace(BASE, schedule="step", step_epochs=2)
    assert rates(settings, [0.1] * 5) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_step_counts_from_the_end_of_the_warm_up():
    settings = replace(BASE, schedule="step", step_epochs=2, warmup_epochs=1)
    assert rates(settings, [0.1] * 4) == [0.5, 1.0, 1.0, 0.5, 0.5]


def test_plateau_drops_after_patience_and_waits_anew():
    settings = replace(BASE, schedule="plateau", plateau_patience=2)
    assert rates(settings, [0.3, 0.3, 0.2, 0.2, 0.2]) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]


def test_a_new_best_resets_the_patience():
    settings = replace(BASE, schedule="plateau", plateau_patience=2)
    assert rates(settings, [0.3, 0.2, 0.4, 0.3, 0.4]) == [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]


def test_plateau_by_loss():
    settings = replace(BASE, schedule="plateau", plateau_patience=1, monitor="loss")
    epochs = history(0.1, 0.9, 0.9, losses=[1.0, 0.9, 0.9])
    assert [learning_rate(epochs[:count], settings) for count in range(4)] == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("schedule", ["cosine", "plateau", "step"])
def test_no_schedule_falls_below_the_floor(schedule):
    settings = replace(BASE, schedule=schedule, floor=0.1, epochs=20, plateau_patience=1, step_epochs=1)
    assert min(rates(settings, [0.1] * 20)) == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["cosine", "plateau", "step", "constant"])
def test_rates_scale_with_the_peak_and_never_rise_after_the_warm_up(schedule):
    settings = replace(BASE, schedule=schedule, epochs=12, warmup_epochs=2, learning_rate=0.3)
    found = rates(settings, [0.5, 0.4] * 6)
    assert max(found) == pytest.approx(0.3)
    assert all(later <= earlier for earlier, later in itertools.pairwise(found[2:]))
