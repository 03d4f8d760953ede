import dataclasses

import cv2
import numpy as np
import pytest

from edgefer.evaluation import evaluate
from edgefer.labels import LABELS
from edgefer.workstation.pictures import draw_confusion, draw_curves
from edgefer.workstation.schedule import Epoch


@pytest.mark.parametrize("count", [1, 2, 40])
def test_curves_of_any_length(tmp_path, count):
    first = Epoch(1, 0.1, 2.0, 0.2, 1.9, 0.25, 3.0)
    history = [dataclasses.replace(first, epoch=number, loss=2 / number) for number in range(1, count + 1)]
    draw_curves(history, tmp_path / "curves.png", best=count - 1)
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape[0] > 600
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_class_without_images_is_a_blank_row(tmp_path):
    labels = np.repeat([0, 2, 3, 4, 5, 6], 5)
    logits = np.eye(len(LABELS), dtype=np.float32)[labels]
    draw_confusion(evaluate(logits, labels, label_names=LABELS, split="public"), tmp_path / "confusion.png")
    picture = cv2.imread(str(tmp_path / "confusion.png")).astype(int)
    blue = (picture[..., 0] - picture[..., 2] > 60).any(axis=1)
    first, *others = np.diff(np.flatnonzero(np.diff(blue.astype(int)) == 1))
    # Of the seven rows only six have a cell in full blue, and between the first two of those there is room for one.
    assert len(others) == 4
    assert first == pytest.approx(2 * np.mean(others), rel=0.05)
