import itertools

import numpy as np
import pytest

from edgefer.inference.face_detection import FaceBox
from edgefer.inference.output import draw_boxes

WHITE = np.full((200, 300, 3), 255, np.uint8)
SIDE_BY_SIDE = [(FaceBox(40, 60, 40, 40), "surprise 91%"), (FaceBox(84, 62, 40, 40), "neutral 87%")]


def dark_pixels(image):
    """Return the number of pixels of text; boxes and backgrounds are orange."""
    return int((image.max(axis=2) < 40).sum())


@pytest.mark.parametrize(
    "captions",
    [
        SIDE_BY_SIDE,
        [*SIDE_BY_SIDE, (FaceBox(128, 60, 40, 40), "happy 100%")],
        [(FaceBox(x, 0, 40, 40), "surprise 91%") for x in (40, 60, 80)],  # no room above
        [(FaceBox(x, 158, 40, 41), "surprise 91%") for x in (200, 230, 260)],  # no room below and at the right
        [(FaceBox(100, 80, 40, 40), f"surprise {number}%") for number in range(10, 16)],  # one place, six faces
    ],
    ids=["two", "three", "top", "corner", "same"],
)
def test_texts_of_neighboring_faces_do_not_cover_each_other(captions):
    alone = [dark_pixels(draw_boxes(WHITE, [caption])) for caption in captions]
    assert min(alone) > 50
    for order in itertools.islice(itertools.permutations(captions), 6):
        assert dark_pixels(draw_boxes(WHITE, order)) == sum(alone)


def test_the_text_of_a_single_face_is_above_its_box_or_else_in_it():
    above = draw_boxes(WHITE, [SIDE_BY_SIDE[0]])
    rows = np.flatnonzero((above.max(axis=2) < 40).any(axis=1))
    assert rows.max() < 60
    assert rows.min() > 40
    inside = draw_boxes(WHITE, [(FaceBox(40, 2, 60, 60), "happy")])
    rows = np.flatnonzero((inside.max(axis=2) < 40).any(axis=1))
    assert rows.min() > 2
    assert rows.max() < 30


def test_letters_that_the_font_lacks_are_drawn_without_accents():
    box = FaceBox(40, 60, 60, 60)
    drawn = draw_boxes(WHITE, [(box, "glücklich 91%")])
    assert (drawn == draw_boxes(WHITE, [(box, "glucklich 91%")])).all()
    assert (draw_boxes(WHITE, [(box, "中性 50%")]) == draw_boxes(WHITE, [(box, "?? 50%")])).all()


def test_texts_are_drawn_on_an_image_without_room_for_all():
    tiny = np.full((20, 30, 3), 255, np.uint8)
    drawn = draw_boxes(tiny, [(FaceBox(0, 0, 20, 20), "surprise 91%"), (FaceBox(5, 0, 20, 20), "happy 80%")])
    assert drawn.shape == tiny.shape
    assert dark_pixels(drawn)
    assert (tiny == 255).all()
