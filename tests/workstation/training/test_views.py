import dataclasses

import cv2
import numpy as np
import pytest

from edgefer.workstation.training.settings import NO_AUGMENT, Augment
from edgefer.workstation.training.views import make_view


@pytest.fixture(scope="module")
def images():
    noise = np.random.default_rng(0).integers(0, 256, (60, 24, 24), np.uint8)
    return np.stack([cv2.GaussianBlur(image, (5, 5), 2) for image in noise])


def test_seed_and_number_determine_a_view(images):
    first, again = (make_view(images, Augment(), seed=3, view=5)[:] for _ in range(2))
    assert np.array_equal(first, again)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, make_view(images, Augment(), seed=3, view=6)[:])
    assert not np.array_equal(first, make_view(images, Augment(), seed=4, view=5)[:])


def test_without_augmentation_a_view_is_the_images(images):
    assert np.array_equal(make_view(images, NO_AUGMENT, seed=0, view=0)[:], images)


def test_a_flip_mirrors_about_half_of_the_images(images):
    view = make_view(images, dataclasses.replace(NO_AUGMENT, flip=True), seed=0, view=0)[:]
    mirrored = [np.array_equal(one, image[:, ::-1]) for one, image in zip(view, images)]
    same = [np.array_equal(one, image) for one, image in zip(view, images)]
    assert all(a != b for a, b in zip(mirrored, same))
    assert 15 <= sum(mirrored) <= 45


def test_a_rotation_turns_around_the_center_by_at_most_the_given_angle():
    image = np.zeros((200, 41, 41), np.uint8)
    image[:, 18:23, 34:39] = 255
    view = make_view(image, dataclasses.replace(NO_AUGMENT, rotation_degrees=20.0), seed=0, view=0)[:]
    rows, columns = np.mgrid[:41, :41] - 20
    centers = [(np.average(rows, weights=one), np.average(columns, weights=one)) for one in view]
    angles = np.degrees([np.arctan2(y, x) for y, x in centers])
    assert np.abs(angles).max() <= 20.5
    assert angles.min() < -15 < 15 < angles.max()
    assert np.hypot(*np.transpose(centers)) == pytest.approx(16, abs=0.3)


def test_a_shift_moves_by_a_fraction_of_the_side():
    image = np.zeros((200, 40, 40), np.uint8)
    image[:, 19:21, 19:21] = 255
    view = make_view(image, dataclasses.replace(NO_AUGMENT, shift=0.2), seed=0, view=0)[:]
    rows = np.array([np.average(np.arange(40), weights=one.sum(axis=1)) for one in view]) - 19.5
    assert 7 < rows.max() <= 8.1
    assert -8.1 <= rows.min() < -7


def test_erasing_fills_one_rectangle_with_one_gray(images):
    settings = dataclasses.replace(NO_AUGMENT, erasing=0.5, erasing_side=0.5)
    view = make_view(images, settings, seed=0, view=0)[:]
    changed = view != images
    erased = changed.any(axis=(1, 2))
    assert 15 <= erased.sum() <= 45
    for one, mask in zip(view[erased], changed[erased]):
        assert len(np.unique(one[mask])) == 1
        assert np.ptp(np.flatnonzero(mask.any(axis=1))) < 12 > np.ptp(np.flatnonzero(mask.any(axis=0)))


def test_brightness_and_contrast_stay_within_their_limits():
    gray = np.full((300, 8, 8), 100, np.uint8)
    view = make_view(gray, dataclasses.replace(NO_AUGMENT, brightness=0.1), seed=0, view=0)[:].astype(int)
    assert view.min() >= 74
    assert view.max() <= 126
    assert np.ptp(view[:, 0, 0]) > 40


def test_mixup_blends_each_image_of_a_view_with_another_one_of_it(images):
    plain = make_view(images, Augment(), seed=0, view=1)[:].astype(float)
    view = make_view(images, Augment(mixup=1.0), seed=0, view=1)
    share, partner = view.mixing.ratio[:, None, None], view.mixing.partner
    np.testing.assert_allclose(view[:], share * plain + (1 - share) * plain[partner], atol=0.51)
    assert sorted(partner.tolist()) == list(range(60))
    assert (partner != np.arange(60)).all()
    assert view.mixing.ratio.std() > 0.2


def test_cutmix_pastes_a_rectangle_of_another_image_of_the_view(images):
    plain = make_view(images, Augment(), seed=0, view=1)[:]
    view = make_view(images, Augment(cutmix=1.0), seed=0, view=1)
    for mixed, own, other, share in zip(view[:], plain, plain[view.mixing.partner], view.mixing.ratio):
        assert ((mixed == own) | (mixed == other)).all()
        changed = mixed != own
        box = changed.any(axis=1)[:, None] & changed.any(axis=0)
        assert np.array_equal(mixed[box], other[box])
        assert box.mean() <= 1 - share + 1e-9
    assert (view[:] != plain).any(axis=(1, 2)).sum() > 40


@pytest.mark.parametrize("shape", [(60, 24, 24), (20, 24, 24, 3)])
def test_some_images_of_a_mixed_view_are_those_of_the_whole(images, shape):
    mixed = Augment(mixup=0.4, cutmix=1.0)
    view = make_view(images.reshape(-1)[: np.prod(shape)].reshape(shape), mixed, seed=0, view=0)
    positions = np.array([7, 3, 11])
    assert np.array_equal(view[positions], view[:][positions])
