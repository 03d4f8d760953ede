from dataclasses import replace

import numpy as np
import pytest

from edgefer.contract.preprocessing import InputSpec, encoder
from edgefer.contract.quantization_params import QuantParams
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.augmentation import augmentation_layer
from edgefer.workstation.training.settings import Augment

OFF = Augment(
    flip=False, rotation_degrees=0.0, shift=0.0, zoom=0.0, brightness=0.0, contrast=0.0, erasing=0.0, erasing_side=0.5
)


def layer_with(**options):
    return augmentation_layer(load_keras(), replace(OFF, **options), InputSpec())


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (64, 48, 48, 1), np.uint8)


def run(layer, pixels, training=True):
    return np.asarray(layer(pixels, training=training))


def test_outside_training_the_output_equals_the_input_of_a_float_model(pixels):
    table = encoder(QuantParams(0.0, 0, "float32"))
    assert np.array_equal(run(layer_with(flip=True, rotation_degrees=30.0, erasing=1.0), pixels, False), table[pixels])


def test_without_augmentations_training_changes_nothing(pixels):
    assert np.array_equal(run(layer_with(), pixels), run(layer_with(), pixels, False))


def test_flip_mirrors_half_of_the_images_horizontally(pixels):
    plain, flipped = pixels.astype(np.float32) / 255, run(layer_with(flip=True), pixels)
    same = np.isclose(flipped, plain, atol=1e-4).all(axis=(1, 2, 3))
    mirrored = np.isclose(flipped, plain[:, :, ::-1], atol=1e-4).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 16 < mirrored.sum() < 48


def dot_at(row, column):
    image = np.zeros((256, 48, 48, 1), np.uint8)
    image[:, row - 1 : row + 2, column - 1 : column + 2] = 255
    return image


def centroids(images):
    rows, columns = np.mgrid[:48, :48]
    weight = images[..., 0].sum(axis=(1, 2))
    return np.stack([(images[..., 0] * axis).sum(axis=(1, 2)) / weight for axis in (rows, columns)], axis=1)


def test_shift_moves_images_in_both_directions_up_to_its_limit():
    moved = centroids(run(layer_with(shift=0.1), dot_at(24, 24))) - 24
    assert np.abs(moved).max() <= 4.81
    assert (moved.min(axis=0) < -3.5).all()
    assert (moved.max(axis=0) > 3.5).all()


def test_rotation_turns_around_the_center():
    moved = centroids(run(layer_with(rotation_degrees=20.0), dot_at(24, 40))) - 23.5
    angles = np.degrees(np.arctan2(moved[:, 0], moved[:, 1])) - np.degrees(np.arctan2(0.5, 16.5))
    assert np.abs(angles).max() < 21
    assert angles.min() < -15
    assert angles.max() > 15
    assert np.allclose(np.hypot(*moved.T), np.hypot(0.5, 16.5), atol=0.5)


def test_zoom_scales_around_the_center():
    distance = centroids(run(layer_with(zoom=0.2), dot_at(24, 36)))[:, 1] - 23.5
    assert distance.min() < 11.3
    assert distance.max() > 14.0


def test_shear_moves_rows_in_proportion_to_their_height():
    moved = centroids(run(layer_with(shear_degrees=20.0), dot_at(8, 24))) - 23.5
    assert np.allclose(moved[:, 0], 8 - 23.5, atol=0.1)
    reach = 15.5 * np.tan(np.radians(20))
    assert np.abs(moved[:, 1] - 0.5).max() <= reach + 0.1
    assert (moved[:, 1] - 0.5).min() < -0.7 * reach
    assert (moved[:, 1] - 0.5).max() > 0.7 * reach


def test_brightness_and_contrast_change_the_mean_and_stay_in_range(pixels):
    images = run(layer_with(brightness=0.2, contrast=0.3), pixels)
    assert images.min() >= 0
    assert images.max() <= 1
    assert np.ptp(images.mean(axis=(1, 2, 3))) > 0.2


def test_erasing_fills_one_rectangle_in_a_share_of_the_images():
    white = np.full((400, 48, 48, 1), 255, np.uint8)
    erased = run(layer_with(erasing=0.5), white)[..., 0] < 1
    hit = erased.any(axis=(1, 2))
    assert 0.3 < hit.mean() < 0.6  # some rectangles are too thin to cover a pixel
    for mask in erased[hit]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.sum() == len(rows) * len(columns)
        assert len(rows) <= 25
        assert len(columns) <= 25


def test_augmentation_differs_within_a_batch(pixels):
    images = run(layer_with(shift=0.1), np.repeat(pixels[:1], 8, axis=0))
    assert len({image.tobytes() for image in images}) == 8
