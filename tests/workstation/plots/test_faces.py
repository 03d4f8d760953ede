import numpy as np
import pytest

from edgefer.data.evaluation_set import EvaluationSet
from edgefer.results.paired_comparison import LabelChange
from edgefer.workstation.plots.error_analysis import ErrorPair, Prediction
from edgefer.workstation.plots.faces import draw_errors, draw_label_changes, draw_predictions, draw_samples
from edgefer.workstation.plots.figure import GREEN, VERMILION

NAMES = ("angry", "happy", "sad")
FACES = np.random.default_rng(0).integers(0, 256, (12, 48, 48), np.uint8)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Return a function that calls draw_...() and returns the figure that it saves."""
    figures = []
    monkeypatch.setattr("edgefer.workstation.plots.figure.save", lambda figure, path: figures.append(figure))

    def call(draw, *arguments, **options):
        draw(*arguments, tmp_path / "picture.png", label_names=NAMES, **options)
        return figures[-1]

    return call


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def no_two_overlap(figure):
    """Return True if all texts are inside the figure and do not overlap."""
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    separate = all(not one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    width, height = figure.canvas.get_width_height()
    return separate and all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


def test_a_wrong_prediction_has_a_cross_bold_text_and_a_thick_frame(drawn):
    predictions = [Prediction(3, 28712, 1, 1, 0.91), Prediction(5, 28999, 0, 2, 0.42)]
    figure = drawn(draw_predictions, FACES, predictions, title="small")
    title, *captions = words(figure)
    assert "2 random images" in title
    right, wrong = ["\N{CHECK MARK} happy 91%", "is happy\nrow 28712"], ["\N{BALLOT X} sad 42%", "is angry\nrow 28999"]
    assert captions == right + wrong
    weights = {text.get_text()[0]: text.get_fontweight() for text in figure.axes[0].texts if "%" in text.get_text()}
    assert weights == {"\N{CHECK MARK}": "normal", "\N{BALLOT X}": "bold"}
    from matplotlib.colors import to_hex

    right, wrong = figure.axes[0].patches
    assert (to_hex(right.get_edgecolor()), to_hex(wrong.get_edgecolor())) == (GREEN.lower(), VERMILION.lower())
    assert wrong.get_linewidth() >= 3 * right.get_linewidth()
    assert np.array_equal(figure.axes[0].images[1].get_array(), FACES[5])


def test_predictions_do_not_overlap(drawn):
    predictions = [Prediction(number % 12, 32000 + number, 0, number % 3, 1.0) for number in range(50)]
    assert no_two_overlap(drawn(draw_predictions, FACES, predictions, title="small"))


def test_each_class_has_a_row_of_samples(drawn):
    images = EvaluationSet("synthetic", "PublicTest", FACES, np.arange(12) % 2, np.arange(12) + 500, None)
    figure = drawn(draw_samples, images, [(0, 2, 4), (1,), ()])
    angry, happy = ["angry\nn = 6", "row 500", "row 502", "row 504"], ["happy\nn = 6", "row 501"]
    assert words(figure)[1:] == [*angry, *happy, "sad\nn = 0"]
    first, second, third, other = (image.get_extent() for image in figure.axes[0].images)
    assert first[0] < second[0] < third[0]
    assert first[2:] == second[2:] == third[2:]
    assert other[3] > first[2]
    assert no_two_overlap(figure)


def test_errors_have_their_counts_and_examples(drawn):
    examples = tuple(Prediction(index, 700 + index, 2, 0, 0.9) for index in range(8))
    pairs = [ErrorPair(2, 0, 1234, 0.25, 0.125, examples), *[ErrorPair(0, 1, 5, 0.01, 0.001, examples[:2])] * 11]
    figure = drawn(draw_errors, FACES, pairs, title="small")
    shown = words(figure)
    assert "10 most frequent kinds of error, of 12" in shown[0]
    counted = "1,234 images\n25.0% of sad\n12.5% of all errors"
    assert shown[1:4] == ["sad \N{RIGHTWARDS ARROW} angry", counted, "90% sure\nrow 700"]
    assert len(figure.axes[0].images) == 8 + 9 * 2
    assert no_two_overlap(figure)


def test_a_model_without_errors_gets_a_note(drawn):
    assert "no errors" in words(drawn(draw_errors, FACES, [], title="small"))[0]


def test_the_first_fifty_label_changes_are_plotted(drawn):
    changes = [LabelChange(number % 12, 0, 1, 0, 0.5, 0.6) for number in range(60)]
    figure = drawn(draw_label_changes, FACES, changes)
    assert sum(len(axis.images) for axis in figure.axes) == 50
