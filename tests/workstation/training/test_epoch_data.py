from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefer.data.dataset import Split
from edgefer.workstation.training.epoch_data import class_weights, epoch_loader, make_epoch
from edgefer.workstation.training.settings import NO_AUGMENT, TrainSettings

PLAIN = TrainSettings(batch_size=1, label_smoothing=0.0, augment=NO_AUGMENT)


def split_of(counts: list[int]) -> Split:
    """Each image is filled with its own number."""
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.broadcast_to(np.arange(len(labels), dtype=np.uint8)[:, None, None], (len(labels), 8, 8))
    return Split(np.ascontiguousarray(pixels), labels.astype(np.int64), np.arange(len(labels)))


def test_each_image_is_learned_once_in_an_order_of_the_epochs_own() -> None:
    learn = split_of([3, 4, 5])
    first, again, other = (make_epoch(learn, PLAIN, epoch=epoch) for epoch in (0, 0, 1))
    seen = first[0][:, 0, 0, 0]
    assert sorted(seen) == list(range(12))
    assert np.array_equal(seen, again[0][:, 0, 0, 0])
    assert not np.array_equal(seen, other[0][:, 0, 0, 0])
    assert np.array_equal(first[1].argmax(axis=1), learn.labels[seen])


def test_oversampling_raises_rare_classes_as_far_as_the_cap() -> None:
    learn = split_of([40, 4, 15, 30])
    pixels, targets, _ = make_epoch(learn, replace(PLAIN, oversampling=0.5, oversampling_cap=3.0), epoch=0)
    drawn = np.bincount(targets.argmax(axis=1), minlength=7)
    # Half of 40 are 20; four images are shown three times at most; what is above that is left alone.
    assert drawn.tolist() == [40, 12, 20, 30, 0, 0, 0]
    times = np.bincount(pixels[:, 0, 0, 0], minlength=89)
    assert times.min() == 1
    assert times.max() == 3


def test_class_weights_have_a_mean_of_one_over_the_images() -> None:
    learn = split_of([80, 10, 10])
    for kind in ("none", "balanced", "effective", "dynamic"):
        settings = replace(PLAIN, class_weights=kind)
        weights = class_weights(learn.labels, settings, recalls=np.array([0.9, 0.5, 0.0, 0, 0, 0, 0]))
        assert weights[learn.labels].mean() == pytest.approx(1, rel=1e-5)
        assert not weights[3:].any()


def test_what_the_kinds_of_class_weights_weigh() -> None:
    labels = split_of([80, 10, 10]).labels
    balanced = class_weights(labels, replace(PLAIN, class_weights="balanced"))
    assert balanced[1] / balanced[0] == pytest.approx(8)
    effective = class_weights(labels, replace(PLAIN, class_weights="effective", effective_beta=0.99))
    assert effective[1] / effective[0] == pytest.approx((1 - 0.99**80) / (1 - 0.99**10))
    recalls = np.array([0.9, 0.5, 1.0, 0, 0, 0, 0])
    dynamic = class_weights(labels, replace(PLAIN, class_weights="dynamic"), recalls=recalls)
    assert dynamic[1] / dynamic[0] == pytest.approx(5)
    assert dynamic[2] / dynamic[0] == pytest.approx(0.5)  # all of it is found, and it keeps some weight
    milder = class_weights(labels, replace(PLAIN, class_weights="dynamic", dynamic_tau=0.5), recalls=recalls)
    assert milder[1] / milder[0] == pytest.approx(5**0.5)
    before = class_weights(labels, replace(PLAIN, class_weights="dynamic"))
    assert before[:3].tolist() == [1, 1, 1]


def test_mixup_blends_images_and_targets_in_the_same_shares() -> None:
    learn = split_of([100, 100])
    settings = replace(PLAIN, augment=replace(NO_AUGMENT, mixup=1.0))
    plain, mixed = make_epoch(learn, PLAIN, epoch=0), make_epoch(learn, settings, epoch=0)
    own, other = plain[0][:, 0, 0, 0].astype(float), np.roll(plain[0][:, 0, 0, 0], 1).astype(float)
    labels = plain[1].argmax(axis=1)
    differ = (labels != np.roll(labels, 1)) & (np.abs(own - other) > 50)
    share = mixed[1][np.arange(200), labels]
    blended = share * own + (1 - share) * other
    assert differ.sum() > 20
    np.testing.assert_allclose(mixed[0][differ, 0, 0, 0], blended[differ], atol=0.51)
    assert share[differ].std() > 0.05
    np.testing.assert_allclose(mixed[1].sum(axis=1), 1, rtol=1e-5)


def test_cutmix_pastes_a_rectangle_and_counts_its_area() -> None:
    learn = split_of([100, 100])
    settings = replace(PLAIN, augment=replace(NO_AUGMENT, cutmix=1.0))
    plain, mixed = make_epoch(learn, PLAIN, epoch=0), make_epoch(learn, settings, epoch=0)
    labels = plain[1].argmax(axis=1)
    differ = labels != np.roll(labels, 1)
    kept = (mixed[0][..., 0] == plain[0][..., 0]).mean(axis=(1, 2))
    np.testing.assert_allclose(mixed[1][np.arange(200), labels][differ], kept[differ], atol=1e-6)
    for image, own in zip(mixed[0][differ, :, :, 0], plain[0][differ, :, :, 0]):
        pasted = image != own
        rows, columns = pasted.any(axis=1), pasted.any(axis=0)
        assert np.array_equal(pasted, rows[:, None] & columns[None, :])


def test_where_both_are_on_half_of_the_images_get_each() -> None:
    learn = split_of([100, 100])
    settings = replace(PLAIN, augment=replace(NO_AUGMENT, mixup=1.0, cutmix=1.0))
    pixels = make_epoch(learn, settings, epoch=0)[0][..., 0]
    flat = (pixels == pixels[:, :1, :1]).all(axis=(1, 2))
    # A cut picture is of two greys; one whose rectangle is empty or whole is flat too.
    assert 70 < flat.sum() < 160


def test_teachers_answers_stand_behind_the_labels() -> None:
    learn = split_of([5, 5])
    soft = np.random.default_rng(0).random((10, 7)).astype(np.float32)
    pixels, targets, _ = make_epoch(learn, PLAIN, epoch=0, soft=soft)
    assert targets.shape == (10, 14)
    assert np.array_equal(targets[:, 7:], soft[pixels[:, 0, 0, 0]])


@pytest.mark.parametrize("kind", ["none", "dynamic"])
def test_lessons_made_ahead_are_those_that_are_made_when_they_are_asked_for(kind: str) -> None:
    learn, augment = split_of([30, 4, 6]), replace(NO_AUGMENT, mixup=1.0)
    settings = replace(PLAIN, class_weights=kind, epochs=3, augment=augment)
    recalls = np.linspace(0.1, 0.7, 7)
    with epoch_loader(learn, settings) as lessons:
        for epoch in range(3):
            asked = make_epoch(learn, settings, epoch=epoch, recalls=recalls)
            for ahead, now in zip(lessons.of(epoch, recalls=recalls), asked):
                np.testing.assert_array_equal(ahead, now)
