import numpy as np
import pytest

from edgefer.data.evaluation_set import EvaluationSet
from edgefer.results.paired_comparison import LabelChange
from edgefer.workstation.plots.error_analysis import Answer, ErrorPair
from edgefer.workstation.plots.faces import draw_answers, draw_errors, draw_flips, draw_samples
from edgefer.workstation.plots.figure import GREEN, VERMILION

NAMES = ("angry", "happy", "sad")
FACES = np.random.default_rng(0).integers(0, 256, (12, 48, 48), np.uint8)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """drawn(draw_..., ...): the figure that it would have saved."""
    figures = []
    monkeypatch.setattr("edgefer.workstation.plots.figure.save", lambda figure, path: figures.append(figure))

    def call(draw, *arguments, **options):
        draw(*arguments, tmp_path / "picture.png", label_names=NAMES, **options)
        return figures[-1]

    return call


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def no_two_overlap(figure):
    """Whether all words are within the figure, and none lies upon another."""
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    apart = all(not one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    width, height = figure.canvas.get_width_height()
    return apart and all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


def test_a_wrong_answer_is_marked_by_sign_weight_and_frame(drawn):
    answers = [Answer(3, 28712, 1, 1, 0.91), Answer(5, 28999, 0, 2, 0.42)]
    figure = drawn(draw_answers, FACES, answers, title="small")
    title, *captions = words(figure)
    assert "2 images" in title
    right, wrong = ["\N{CHECK MARK} happy 91%", "is happy\nrow 28712"], ["\N{BALLOT X} sad 42%", "is angry\nrow 28999"]
    assert captions == right + wrong
    weights = {text.get_text()[0]: text.get_fontweight() for text in figure.axes[0].texts if "%" in text.get_text()}
    assert weights == {"\N{CHECK MARK}": "normal", "\N{BALLOT X}": "bold"}
    from matplotlib.colors import to_hex

    right, wrong = figure.axes[0].patches
    assert (to_hex(right.get_edgecolor()), to_hex(wrong.get_edgecolor())) == (GREEN.lower(), VERMILION.lower())
    assert wrong.get_linewidth() >= 3 * right.get_linewidth()
    assert np.array_equal(figure.axes[0].images[1].get_array(), FACES[5])


def test_answers_do_not_run_into_each_other(drawn):
    answers = [Answer(number % 12, 32000 + number, 0, number % 3, 1.0) for number in range(50)]
    assert no_two_overlap(drawn(draw_answers, FACES, answers, title="small"))


def test_samples_stand_in_the_row_of_their_class(drawn):
    images = EvaluationSet("drawn", "PublicTest", FACES, np.arange(12) % 2, np.arange(12) + 500, None)
    figure = drawn(draw_samples, images, [(0, 2, 4), (1,), ()])
    angry, happy = ["angry\nn = 6", "row 500", "row 502", "row 504"], ["happy\nn = 6", "row 501"]
    assert words(figure)[1:] == [*angry, *happy, "sad\nn = 0"]
    first, second, third, other = (image.get_extent() for image in figure.axes[0].images)
    assert first[0] < second[0] < third[0]
    assert first[2:] == second[2:] == third[2:]
    assert other[3] > first[2]
    assert no_two_overlap(figure)


def test_errors_are_shown_with_how_often_they_happen(drawn):
    examples = tuple(Answer(index, 700 + index, 2, 0, 0.9) for index in range(8))
    pairs = [ErrorPair(2, 0, 1234, 0.25, 0.125, examples), *[ErrorPair(0, 1, 5, 0.01, 0.001, examples[:2])] * 11]
    figure = drawn(draw_errors, FACES, pairs, title="small")
    shown = words(figure)
    assert "10 most frequent kinds of error, of 12" in shown[0]
    counted = "1,234 images\n25.0% of sad\n12.5% of all errors"
    assert shown[1:4] == ["sad \N{RIGHTWARDS ARROW} angry", counted, "90% sure\nrow 700"]
    assert len(figure.axes[0].images) == 8 + 9 * 2
    assert no_two_overlap(figure)


def test_no_error_is_said(drawn):
    assert "no error" in words(drawn(draw_errors, FACES, [], title="small"))[0]


def test_flips_show_the_first_fifty(drawn):
    flips = [LabelChange(number % 12, 0, 1, 0, 0.5, 0.6) for number in range(60)]
    figure = drawn(draw_flips, FACES, flips)
    assert sum(len(axis.images) for axis in figure.axes) == 50
