import io
import subprocess
import sys
import zlib

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.synthetic import draw, golden_faces
from edgefer.errors import UsageError

CLASSES = len(LABELS)


@pytest.fixture(scope="module")
def drawn():
    return draw(1500, seed=1)


def test_shapes_and_types(drawn):
    faces, labels = drawn
    assert (faces.shape, faces.dtype) == ((1500, 48, 48), np.uint8)
    assert (labels.shape, labels.dtype) == ((1500,), np.int64)


def test_classes_are_balanced_and_shuffled(drawn):
    _, labels = drawn
    counts = np.bincount(labels, minlength=CLASSES)
    assert counts.max() - counts.min() <= 1
    assert not np.array_equal(labels, np.arange(1500) % CLASSES)
    assert all(len(set(labels[start : start + 100])) == CLASSES for start in range(0, 1500, 100))


def test_the_same_seed_draws_the_same_bytes():
    first, second = draw(30, seed=3), draw(30, seed=3)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


def test_no_face_is_drawn_twice(drawn):
    faces = [face.tobytes() for face in np.concatenate([drawn[0], draw(300, seed=2)[0]])]
    assert len(set(faces)) == len(faces)


def test_drawn_faces_are_neither_black_nor_white(drawn):
    faces, _ = drawn
    means, spreads = faces.mean(axis=(1, 2)), faces.std(axis=(1, 2))
    assert 15 < means.min() < means.max() < 245
    assert means.std() > 25
    assert spreads.min() > 4


def test_progress_reaches_the_end():
    calls = []
    draw(120, seed=0, progress=lambda done, total, note: calls.append((done, total)))
    assert calls == [(100, 120), (120, 120)]


@pytest.mark.parametrize("count", [0, 1])
def test_zero_and_one_face_are_drawn(count):
    assert draw(count, seed=0)[0].shape == golden_faces(count).shape == (count, 48, 48)


@pytest.mark.parametrize(("count", "seed"), [(-1, 0), (1, -1)])
def test_negative_counts_and_seeds_are_refused(count, seed):
    with pytest.raises(UsageError, match="negative"):
        draw(count, seed=seed)


def test_a_negative_number_of_golden_faces_is_refused():
    with pytest.raises(UsageError, match="negative"):
        golden_faces(-1)


def test_golden_faces_are_small_and_fixed():
    faces = golden_faces(24)
    assert (faces.shape, faces.dtype) == ((24, 48, 48), np.uint8)
    assert _packed_bytes(faces) <= 5000
    assert np.array_equal(faces[:10], golden_faces(10))
    assert len({face.tobytes() for face in faces}) == 24


def test_golden_faces_span_the_input_range():
    faces = golden_faces(24)
    lows, highs = faces.min(axis=(1, 2)), faces.max(axis=(1, 2))
    assert np.sum((lows == 0) & (highs == 255)) == 20
    assert np.sum(highs < 80) == np.sum(lows > 180) == 2


def test_golden_faces_have_dark_middle_and_light_skin():
    cheeks = golden_faces(28).reshape(4, CLASSES, 48, 48)[:, -1, 22:26, 12:16]
    assert len({int(np.median(cheek)) for cheek in cheeks}) >= 3


def test_golden_faces_show_their_class():
    plain = golden_faces(28).astype(np.float64).reshape(4, CLASSES, -1)
    # Subtracting the person, the mean of seven faces, leaves the expression.
    plain -= plain.mean(axis=1, keepdims=True)
    distances = np.linalg.norm(plain[0][:, None] - plain[2][None], axis=2)
    assert np.array_equal(distances.argmin(axis=0), np.arange(CLASSES))


def test_a_linear_model_is_above_chance_and_far_from_good(drawn):
    test_faces, test_labels = draw(700, seed=2)
    weights = _ridge(*drawn)
    accuracy = np.mean((_with_bias(test_faces) @ weights).argmax(axis=1) == test_labels)
    assert 1.5 / CLASSES < accuracy < 0.6


def test_drawing_needs_no_tensorflow():
    code = "import sys, edgefer.data.synthetic; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _packed_bytes(array):
    """Return the compressed size of the array."""
    content = io.BytesIO()
    np.lib.format.write_array(content, array)
    return len(zlib.compress(content.getvalue(), 9))


def _with_bias(faces):
    flat = faces.reshape(len(faces), -1).astype(np.float32) / 255
    return np.concatenate([flat - 0.5, np.ones((len(flat), 1), np.float32)], axis=1)


def _ridge(faces, labels):
    """Fit one-hot targets by ridge regression, in the dual form because there are fewer faces than pixels."""
    inputs = _with_bias(faces)
    kernel = inputs @ inputs.T + 300 * np.eye(len(inputs), dtype=np.float32)
    return inputs.T @ np.linalg.solve(kernel, np.eye(CLASSES, dtype=np.float32)[labels])
