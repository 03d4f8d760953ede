from dataclasses import fields, replace

import numpy as np
import pytest

from edgefer.data.synthetic_face import SIZE, Expression, Scene, draw_face

TALKING = Expression(mouth_open=0.25, teeth=0.3)
EYES = ("brow_inner", "brow_outer", "brow_arch", "brow_knit", "lid_upper", "lid_lower", "lid_slant")
MOUTH = ("mouth_width", "mouth_corner", "mouth_open", "mouth_square", "upper_lip", "lip", "teeth")
EXPOSURE = ("light", "light_angle", "gain", "gamma", "blur", "noise")
# Fields that have an effect only together with another one.
NEEDS = {"cover_at": {"cover": 1.0}}


def test_a_face_is_grey_levels_with_dark_pupils_between_light_skin():
    tones = draw_face(Expression(), Scene())
    assert (tones.shape, tones.dtype) == ((SIZE, SIZE), np.float32)
    assert tones.min() < 40 < 190 < tones.max()
    row, column = np.unravel_index(tones[16:28, :24].argmin(), (12, 24))
    assert (row + 16, column) == (pytest.approx(20, abs=2), pytest.approx(16, abs=2))


def test_the_same_face_is_drawn_twice():
    scene = Scene(yaw=0.2, roll=0.1, glasses=1.0)
    assert np.array_equal(draw_face(TALKING, scene), draw_face(TALKING, scene))


@pytest.mark.parametrize("name", EYES)
def test_brows_and_lids_change_only_the_upper_half(name):
    change = _change(replace(TALKING, **{name: getattr(TALKING, name) + 0.1}))
    assert change[:27].max() > 5
    assert change[30:].max() == 0


@pytest.mark.parametrize("name", MOUTH)
def test_the_mouth_changes_only_the_lower_half(name):
    # An open mouth also lengthens the chin, but changes nothing above the cheeks.
    change = _change(replace(TALKING, **{name: getattr(TALKING, name) + 0.25}))
    assert change[30:].max() > 5
    assert change[:22].max() == 0


def test_every_other_muscle_changes_the_image():
    others = {field.name for field in fields(Expression)} - {*EYES, *MOUTH}
    assert others == {"nose_wrinkle", "cheek"}
    for name in others:
        assert _change(replace(TALKING, **{name: 1.0})).max() > 5


@pytest.mark.parametrize("name", [field.name for field in fields(Scene)])
def test_every_field_of_the_scene_except_the_exposure_changes_the_image(name):
    base = Scene(cloth=30.0, roll=0.3, zoom=0.8, **NEEDS.get(name, {}))
    value = getattr(base, name)
    step = 40.0 if name in ("skin", "backdrop", "cloth") else 1.0 if value == 0 else 0.2
    change = draw_face(TALKING, replace(base, **{name: value + step})) - draw_face(TALKING, base)
    assert (np.abs(change).max() > 5) == (name not in EXPOSURE)


def test_a_shift_moves_the_picture_by_whole_pixels():
    still, moved = draw_face(TALKING, Scene()), draw_face(TALKING, Scene(shift_x=3.0, shift_y=-2.0))
    assert np.array_equal(moved[6:-6, 6:-6], still[8:-4, 3:-9])


def test_a_rotated_head_faces_sideways():
    left, right = (draw_face(TALKING, Scene(yaw=yaw)) for yaw in (-0.4, 0.4))
    columns = np.arange(SIZE)
    # The mouth is the darkest thing below the nose.
    mouth = [((90 - np.minimum(face[32:42], 90)).sum(axis=0) * columns) for face in (left, right)]
    weight = [(90 - np.minimum(face[32:42], 90)).sum() for face in (left, right)]
    assert mouth[0].sum() / weight[0] < SIZE / 2 - 3
    assert mouth[1].sum() / weight[1] > SIZE / 2 + 3


@pytest.mark.parametrize("expression", [Expression(lid_upper=-1.0, mouth_open=-1.0), Expression(lip=-3.0, teeth=9.0)])
def test_impossible_expressions_are_drawn(expression):
    assert np.isfinite(draw_face(expression, Scene())).all()


def _change(face):
    """Return the absolute difference of each pixel from the talking face."""
    return np.abs(draw_face(face, Scene()) - draw_face(TALKING, Scene()))
