import dataclasses

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.results.evaluation import evaluate
from edgefer.statistics import reliability, softmax
from edgefer.workstation.plots.curves import draw_confusion, draw_curves, draw_reliability
from edgefer.workstation.training.schedule import Epoch


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
    # Six of the seven rows have a full blue cell; the blank row is between the first two.
    assert len(others) == 4
    assert first == pytest.approx(2 * np.mean(others), rel=0.05)


def drawn(draw):
    """Return the figure that ``draw`` saves."""
    figures = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgefer.workstation.plots.figure.save", lambda figure, path: figures.append(figure))
        draw()
    return figures[0]


def curves_with(rates, path):
    first = Epoch(1, 1.0, 2.0, 0.2, 1.9, 0.25, 3.0)
    history = [dataclasses.replace(first, epoch=number, learning_rate=rate) for number, rate in enumerate(rates, 1)]
    return drawn(lambda: draw_curves(history, path, best=4))


def marks(axis):
    """Return the positions of the vertical lines by line style."""
    lines = [line for line in axis.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]]
    return {style: [line.get_xdata()[0] for line in lines if line.get_linestyle() == style] for style in ("--", ":")}


def test_drops_and_the_best_epoch_are_marked_in_each_panel(tmp_path):
    figure = curves_with([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01], tmp_path / "curves.png")
    assert [marks(axis) for axis in figure.axes] == [{"--": [5], ":": [3.5, 6.5]}] * 3
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "training",
        "validation",
        "learning rate drops",
        "best: epoch 5",
    ]


def test_a_smooth_learning_rate_has_no_drop_marks(tmp_path):
    figure = curves_with([1, 0.9, 0.7, 0.5, 0.3, 0.1], tmp_path / "curves.png")
    assert [marks(axis) for axis in figure.axes] == [{"--": [5], ":": []}] * 3


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("counts", {"3", "1", "4"}),
        ("shares", {"75.0", "25.0", "100.0"}),
        ("both", {"3\n75%", "1\n25%", "4\n100%"}),
    ],
)
def test_the_cells_show_the_selected_values(tmp_path, cells, expected):
    labels = np.repeat([0, 1], 4)
    logits = np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1, 1, 1, 1]]
    evaluation = evaluate(logits, labels, label_names=("happy", "sad"), split="public")
    figure = drawn(lambda: draw_confusion(evaluation, tmp_path / "confusion.png", cells=cells))
    assert {text.get_text() for text in figure.axes[0].texts} == expected


def test_reliability_shows_each_bin(tmp_path):
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(0, 2, (200, 7)), generator.integers(0, 7, 200)
    bins = reliability(softmax(logits), labels)
    figure = drawn(lambda: draw_reliability(bins, tmp_path / "reliability.png", title="ECE 40 %"))
    upper, lower = figure.axes
    heights = [patch.get_height() for patch in upper.patches]
    assert heights == [bin_.accuracy for bin_ in bins if bin_.n]
    assert [text.get_text() for text in lower.texts] == [str(bin_.n) for bin_ in bins]
    assert upper.get_title() == "ECE 40 %"
