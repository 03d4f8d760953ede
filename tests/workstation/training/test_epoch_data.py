from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefer.data.dataset import Split
from edgefer.data.pixel_files import StoredPixels, save_pixels
from edgefer.workstation.training.epoch_data import class_weights, epoch_loader, make_epoch, steps_per_epoch
from edgefer.workstation.training.settings import NO_AUGMENT, TrainSettings

NO_MIXING = TrainSettings(batch_size=1, label_smoothing=0.0, augment=NO_AUGMENT)


def split_of(counts: list[int]) -> Split:
    """Make a split with ``counts`` images per class; the pixels of each image equal its index."""
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.broadcast_to(np.arange(len(labels), dtype=np.uint8)[:, None, None], (len(labels), 8, 8))
    return Split(np.ascontiguousarray(pixels), labels.astype(np.int64), np.arange(len(labels)))


def test_each_epoch_has_every_image_once_in_its_own_order() -> None:
    training = split_of([3, 4, 5])
    first, again, other = (make_epoch(training, NO_MIXING, epoch=epoch).arrays() for epoch in (0, 0, 1))
    indices = first[0][:, 0, 0, 0]
    assert sorted(indices) == list(range(12))
    assert np.array_equal(indices, again[0][:, 0, 0, 0])
    assert not np.array_equal(indices, other[0][:, 0, 0, 0])
    assert np.array_equal(first[1].argmax(axis=1), training.labels[indices])


def test_oversampling_repeats_rare_classes_up_to_the_cap() -> None:
    training = split_of([40, 4, 15, 30])
    settings = replace(NO_MIXING, oversampling=0.5, oversampling_cap=3.0)
    pixels, targets, _ = make_epoch(training, settings, epoch=0).arrays()
    counts = np.bincount(targets.argmax(axis=1), minlength=7)
    # Half of the largest class is 20. The cap limits four images to twelve; larger classes stay unchanged.
    assert counts.tolist() == [40, 12, 20, 30, 0, 0, 0]
    repeats = np.bincount(pixels[:, 0, 0, 0], minlength=89)
    assert repeats.min() == 1
    assert repeats.max() == 3


def test_class_weights_have_a_mean_of_one_over_all_images() -> None:
    training = split_of([80, 10, 10])
    for kind in ("none", "balanced", "effective", "dynamic"):
        settings = replace(NO_MIXING, class_weights=kind)
        weights = class_weights(training, settings, per_class_recall=np.array([0.9, 0.5, 0.0, 0, 0, 0, 0]))
        assert weights[training.labels].mean() == pytest.approx(1, rel=1e-5)
        assert not weights[3:].any()


def test_each_kind_of_class_weights_follows_its_formula() -> None:
    training = split_of([80, 10, 10])
    balanced = class_weights(training, replace(NO_MIXING, class_weights="balanced"))
    assert balanced[1] / balanced[0] == pytest.approx(8)
    effective = class_weights(training, replace(NO_MIXING, class_weights="effective", effective_beta=0.99))
    assert effective[1] / effective[0] == pytest.approx((1 - 0.99**80) / (1 - 0.99**10))
    recall = np.array([0.9, 0.5, 1.0, 0, 0, 0, 0])
    dynamic = class_weights(training, replace(NO_MIXING, class_weights="dynamic"), per_class_recall=recall)
    assert dynamic[1] / dynamic[0] == pytest.approx(5)
    assert dynamic[2] / dynamic[0] == pytest.approx(0.5)  # full recall leaves the minimum weight
    settings = replace(NO_MIXING, class_weights="dynamic", dynamic_tau=0.5)
    milder = class_weights(training, settings, per_class_recall=recall)
    assert milder[1] / milder[0] == pytest.approx(5**0.5)
    before = class_weights(training, replace(NO_MIXING, class_weights="dynamic"))
    assert before[:3].tolist() == [1, 1, 1]


def test_mixup_blends_images_and_targets_in_the_same_ratio() -> None:
    training = split_of([100, 100])
    settings = replace(NO_MIXING, augment=replace(NO_AUGMENT, mixup=1.0))
    plain, mixed = (make_epoch(training, chosen, epoch=0).arrays() for chosen in (NO_MIXING, settings))
    own, other = plain[0][:, 0, 0, 0].astype(float), np.roll(plain[0][:, 0, 0, 0], 1).astype(float)
    labels = plain[1].argmax(axis=1)
    differ = (labels != np.roll(labels, 1)) & (np.abs(own - other) > 50)
    share = mixed[1][np.arange(200), labels]
    blended = share * own + (1 - share) * other
    assert differ.sum() > 20
    np.testing.assert_allclose(mixed[0][differ, 0, 0, 0], blended[differ], atol=0.51)
    assert share[differ].std() > 0.05
    np.testing.assert_allclose(mixed[1].sum(axis=1), 1, rtol=1e-5)


def test_cutmix_mixes_targets_by_the_area_of_the_rectangle() -> None:
    training = split_of([100, 100])
    settings = replace(NO_MIXING, augment=replace(NO_AUGMENT, cutmix=1.0))
    plain, mixed = (make_epoch(training, chosen, epoch=0).arrays() for chosen in (NO_MIXING, settings))
    labels = plain[1].argmax(axis=1)
    differ = labels != np.roll(labels, 1)
    unchanged = (mixed[0][..., 0] == plain[0][..., 0]).mean(axis=(1, 2))
    np.testing.assert_allclose(mixed[1][np.arange(200), labels][differ], unchanged[differ], atol=1e-6)
    for image, own in zip(mixed[0][differ, :, :, 0], plain[0][differ, :, :, 0]):
        pasted = image != own
        rows, columns = pasted.any(axis=1), pasted.any(axis=0)
        assert np.array_equal(pasted, rows[:, None] & columns[None, :])


def test_with_mixup_and_cutmix_each_applies_to_half_of_the_images() -> None:
    training = split_of([100, 100])
    settings = replace(NO_MIXING, augment=replace(NO_AUGMENT, mixup=1.0, cutmix=1.0))
    pixels = make_epoch(training, settings, epoch=0).arrays()[0][..., 0]
    flat = (pixels == pixels[:, :1, :1]).all(axis=(1, 2))
    # CutMix makes two gray levels, unless the rectangle is empty or covers the image.
    assert 70 < flat.sum() < 160


def test_teacher_probabilities_follow_the_label_targets() -> None:
    training = split_of([5, 5])
    soft_targets = np.random.default_rng(0).random((10, 7)).astype(np.float32)
    pixels, targets, _ = make_epoch(training, NO_MIXING, epoch=0, soft_targets=soft_targets).arrays()
    assert targets.shape == (10, 14)
    assert np.array_equal(targets[:, 7:], soft_targets[pixels[:, 0, 0, 0]])


@pytest.mark.parametrize("kind", ["none", "dynamic"])
def test_the_loader_returns_the_epochs_that_make_epoch_builds(kind: str) -> None:
    training, augment = split_of([30, 4, 6]), replace(NO_AUGMENT, mixup=1.0)
    settings = replace(NO_MIXING, class_weights=kind, epochs=3, augment=augment)
    recall = np.linspace(0.1, 0.7, 7)
    with epoch_loader(training, settings) as loader:
        for epoch in range(3):
            expected = make_epoch(training, settings, epoch=epoch, per_class_recall=recall)
            for loaded, built in zip(loader.load(epoch, per_class_recall=recall).arrays(), expected.arrays()):
                np.testing.assert_array_equal(loaded, built)


def whole_epoch(training, settings, *, epoch, soft_targets):
    """Build an epoch from arrays of all images, independently of EpochBatches; mixing.py describes the mixtures."""
    generator, augment = np.random.default_rng([settings.seed, 0, epoch]), settings.augment
    drawn = len(training)
    if settings.oversampling:
        counts, parts = np.bincount(training.labels, minlength=7), []
        for label, count in enumerate(counts):
            draws = max(count, int(min(settings.oversampling * counts.max(), settings.oversampling_cap * count)))
            members = np.flatnonzero(training.labels == label)
            parts += [np.tile(members, draws // max(1, count)), generator.permutation(members)[: draws % max(1, count)]]
        drawn = np.concatenate(parts)
    order = generator.permutation(drawn)
    order = order[: max(1, len(order) // settings.batch_size) * settings.batch_size]
    pixels = training.pixels[order].reshape(len(order), *training.pixels.shape[1:3], -1)
    smoothing = settings.label_smoothing
    targets = np.eye(7, dtype=np.float32)[training.labels] * np.float32(1 - smoothing) + np.float32(smoothing / 7)
    targets = np.concatenate([targets, soft_targets], axis=1)[order]
    weights = class_weights(training, settings)[training.labels[order]]
    if not (augment.mixup or augment.cutmix):
        return pixels, targets, weights
    count, height, width, _ = pixels.shape
    cut = generator.random(count) < (0.5 if augment.mixup and augment.cutmix else float(augment.cutmix > 0))
    ratio = np.ones(count)
    ratio[~cut] = generator.beta(augment.mixup or 1, augment.mixup or 1, (~cut).sum())
    ratio[cut] = generator.beta(augment.cutmix or 1, augment.cutmix or 1, cut.sum())
    center_y, center_x = generator.random((2, count)) * [[height], [width]]
    mixed = pixels.copy()
    for index in range(count):
        own, other = pixels[index], pixels[index - 1]
        if not cut[index]:
            share = np.float32(ratio[index])
            mixed[index] = np.rint(share * own + (1 - share) * other)
            continue
        y, x = (np.arange(height) + 0.5 - center_y[index]) / height, (np.arange(width) + 0.5 - center_x[index]) / width
        box = np.maximum(np.abs(y)[:, None], np.abs(x)[None]) < np.sqrt(1 - ratio[index]) / 2
        mixed[index] = np.where(box[..., None], other, own)
        ratio[index] = 1 - box.mean()
    share = ratio.astype(np.float32)
    return (
        mixed,
        share[:, None] * targets + (1 - share[:, None]) * np.roll(targets, 1, axis=0),
        share * weights + (1 - share) * np.roll(weights, 1),
    )


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.3}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 0.7}])
@pytest.mark.parametrize(
    "changes", [{}, {"oversampling": 0.5}, {"class_weights": "balanced"}, {"batch_size": 7}, {"batch_size": 500}]
)
def test_batches_equal_an_epoch_that_is_built_at_once(changes, mixing, color, stored, tmp_path) -> None:
    plain = split_of([40, 4, 15, 0, 30])
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (len(plain), 9, 12, *([3] if color else [])), np.uint8)
    settings = replace(NO_MIXING, batch_size=16, label_smoothing=0.1, augment=replace(NO_AUGMENT, **mixing))
    settings, training = replace(settings, **changes), replace(plain, pixels=pixels)
    soft_targets = generator.random((len(plain), 7)).astype(np.float32)
    expected = whole_epoch(training, settings, epoch=2, soft_targets=soft_targets)
    if stored:
        save_pixels(tmp_path / "faces.npy", pixels)
        training = replace(training, pixels=StoredPixels(tmp_path / "faces.npy", pixels.shape))
    batches = make_epoch(training, settings, epoch=2, soft_targets=soft_targets)
    segments = list(batches.segments(3 * 16 * pixels[0].nbytes))
    for built in (list(batches), segments, [batches.arrays()], list(batches.in_memory())):
        for whole, parts in zip(expected, zip(*built)):
            assert np.concatenate(parts).dtype == whole.dtype
            np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(batches) == max(1, len(expected[0]) // settings.batch_size)
    with pytest.raises(IndexError):
        batches[len(batches)]


@pytest.mark.parametrize("oversampling", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("batch_size", [1, 7, 32, 1000])
def test_steps_are_counted_without_building_the_epoch(oversampling: float, batch_size: int) -> None:
    training = split_of([40, 4, 15, 0, 30])
    settings = replace(NO_MIXING, oversampling=oversampling, batch_size=batch_size)
    images = len(make_epoch(training, settings, epoch=0).arrays()[0])
    assert steps_per_epoch(training, settings) == max(1, images // batch_size)
    assert images % batch_size == 0 or images < batch_size
