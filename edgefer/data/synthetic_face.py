"""Draw one face from an Expression (muscles) and a Scene (person, pose, light).

    happy = Expression(mouth_width=1.35, mouth_corner=0.15, cheek=1.0)
    tones = draw_face(happy, Scene(yaw=0.3, glasses=1.0))   # float32 (48, 48), in even light

Each part of the face consists of a few polygons and lines in head units. All points rotate with the head as one solid,
and the parts are drawn from back to front.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["SIZE", "Expression", "Scene", "draw_face"]

Floats = npt.NDArray[np.float64]

# Side of the image in pixels.
SIZE: Final = 48
SUPERSAMPLING: Final = 4
# Fractional bits of the fixed-point coordinates for OpenCV, at SIZE * SUPERSAMPLING pixels.
FRACTION_BITS: Final = 4
PIXELS_PER_UNIT: Final = 18.5
# Glasses, beard, moustache and cover are drawn above this value, because few people have them.
RARE: Final = 0.88
# Denser towards the ends, where the curvature of round curves is largest.
SPAN: Final = np.sin(np.linspace(-math.pi / 2, math.pi / 2, 13))
TURN: Final = np.linspace(0.0, 2 * math.pi, 24, endpoint=False)
CIRCLE: Final = np.stack([np.sin(TURN), -np.cos(TURN)], axis=1)
NECK: Final = np.array([[-0.45, 0.5], [0.45, 0.5], [0.5, 1.7], [-0.5, 1.7]])
SHOULDERS: Final = np.array([[-0.5, 1.38], [0, 1.6], [0.5, 1.38], [2, 1.6], [2, 3], [-2, 3], [-2, 1.6]])


@dataclass(frozen=True)
class Expression:
    """Muscle actions of a face; the defaults are a face at rest.

    Lengths are in head units: 1 is half the width of the head, so 0.05 is about one pixel of the result.

    Attributes:
        brow_inner, brow_outer: elevation of the ends of the brows, -0.2 to 0.3.
        brow_arch: elevation of the middle of the brows above their ends, 0 to 0.2.
        brow_knit: displacement of the brows towards each other, 0 to 0.15.
        lid_upper: opening of the upper lid; 0 closed, 1 at rest, 1.8 wide open.
        lid_lower: elevation of the lower lid, 0 to 1.
        lid_slant: drop of the outer corner of the eye, -0.05 to 0.08.
        nose_wrinkle, cheek: 0 to 1; a raised cheek includes the fold next to the mouth.
        mouth_width: 1 at rest, 0.6 to 1.5.
        mouth_corner: elevation of the corners, -0.2 to 0.25.
        mouth_open: gap between the lips, 0 to 0.6.
        mouth_square: shape of the gap; 0 round, 1 rectangular.
        upper_lip: elevation of the upper lip, 0 to 0.2.
        lip: thickness of both lips; 1 at rest, 0.3 pressed.
        teeth: fraction of the gap that the teeth fill, 0 to 1.
    """

    brow_inner: float = 0.0
    brow_outer: float = 0.0
    brow_arch: float = 0.06
    brow_knit: float = 0.0
    lid_upper: float = 1.0
    lid_lower: float = 0.0
    lid_slant: float = 0.0
    nose_wrinkle: float = 0.0
    cheek: float = 0.0
    mouth_width: float = 1.0
    mouth_corner: float = 0.0
    mouth_open: float = 0.0
    mouth_square: float = 0.0
    upper_lip: float = 0.0
    lip: float = 1.0
    teeth: float = 0.0


@dataclass(frozen=True)
class Scene:
    """Person, pose and light; the defaults are a simple frontal portrait.

    draw_face() ignores the fields from light to noise, which belong to the exposure of its tones.

    Attributes:
        yaw, pitch, roll: rotations of the head in radians; right, down and clockwise in the image are positive.
        zoom: size; 1 fills the image like the crop of a face detector.
        shift_x, shift_y: displacement of the head in pixels of the result.
        skin, backdrop, cloth: tones, 0 to 255.
        hair, iris: tones as fractions of the tone of the skin.
        head_width: half the width, head units.
        jaw: 0 is a square chin, 1 a narrow chin.
        eye_gap, eye_size, nose_size, lip_size, brow_weight: factors around 1.
        brow_drop, mouth_drop: downward displacements, head units.
        hairline: height of the hairline above the center, head units.
        parting: slope of the hairline, -1 to 1.
        hair_length: below 0 bald, 0 short, 1 shoulder-length.
        hair_volume: 0 flat, 1 high and wavy.
        gaze: horizontal direction of the eyes, -1 to 1.
        light: strength of a light from one side, 0 to 1.
        light_angle: direction of the light in radians.
        gain, gamma: exposure and tone curve; 1 keeps the tones.
        blur: standard deviation of the blur in pixels of the result.
        noise: standard deviation of the noise in gray levels.
        glasses, beard, moustache, cover: drawn above RARE; cover is an object in front of the face.
        cover_at: direction from which the object enters the image, radians.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    zoom: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    skin: float = 185.0
    backdrop: float = 110.0
    cloth: float = 70.0
    hair: float = 0.25
    iris: float = 0.4
    head_width: float = 0.95
    jaw: float = 0.5
    eye_gap: float = 1.0
    eye_size: float = 1.0
    nose_size: float = 1.0
    lip_size: float = 1.0
    brow_weight: float = 1.0
    brow_drop: float = 0.0
    mouth_drop: float = 0.0
    hairline: float = 0.92
    parting: float = 0.0
    hair_length: float = 0.3
    hair_volume: float = 0.3
    gaze: float = 0.0
    light: float = 0.0
    light_angle: float = 0.0
    gain: float = 1.0
    gamma: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    glasses: float = 0.0
    beard: float = 0.0
    moustache: float = 0.0
    cover: float = 0.0
    cover_at: float = 0.0


def draw_face(face: Expression, scene: Scene) -> npt.NDArray[np.float32]:
    """Draw a face without light, lens and sensor: float32 (48, 48), gray levels that may exceed 0..255."""
    sketch = _Sketch()
    _head(sketch, face, scene)
    _lines(sketch, face, scene)
    _mouth(sketch, face, scene)
    _nose(sketch, face, scene)
    for side in (-1, 1):
        _eye(sketch, face, scene, side)
    _extras(sketch, scene)
    return sketch.render(scene)


class _Sketch:
    """Shapes in head units; render() applies the pose to all points in one step."""

    def __init__(self) -> None:
        self.strokes: list[tuple[Floats, float, float, bool]] = []

    def fill(self, points: Floats, tone: float) -> None:
        """Add a filled polygon (n, 2)."""
        self.line(points, tone, 0.0)

    def line(self, points: Floats, tone: float, width: float) -> None:
        """Add an open line (n, 2); ``width`` is in head units."""
        self.strokes.append((points, min(max(tone, 0.0), 255.0), width, False))

    def shade(self, points: Floats, change: float, width: float = 0.0) -> None:
        """Add a blurred polygon, or line, that adds ``change`` gray levels to the shapes below it."""
        self.strokes.append((points, min(max(128 + change, 0.0), 255.0), width, True))

    def render(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Return float32 gray levels (48, 48)."""
        points = np.concatenate([stroke[0] for stroke in self.strokes])
        fixed = np.rint(_project(points, scene) * (SUPERSAMPLING << FRACTION_BITS)).astype(np.int32)
        hard = np.full((SIZE * SUPERSAMPLING, SIZE * SUPERSAMPLING), scene.backdrop, np.uint8)
        soft = np.full((SIZE, SIZE), 128, np.uint8)
        end = 0
        for shape, tone, width, is_soft in self.strokes:
            start, end = end, end + len(shape)
            # With two more fractional bits, the same numbers are coordinates on the small canvas.
            canvas, zoom, bits = (soft, 1, FRACTION_BITS + 2) if is_soft else (hard, SUPERSAMPLING, FRACTION_BITS)
            if width:
                thickness = max(1, round(width * PIXELS_PER_UNIT * scene.zoom * zoom))
                cv2.polylines(canvas, [fixed[start:end]], False, tone, thickness, cv2.LINE_8, bits)
            else:
                cv2.fillPoly(canvas, [fixed[start:end]], tone, cv2.LINE_8, bits)
        small = cv2.resize(hard, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
        return np.asarray(small + cv2.GaussianBlur(soft, (0, 0), 1.0) - np.float32(128))


def _project(points: Floats, scene: Scene) -> Floats:
    """Project head units (n, 2) to pixels of the result (n, 2): a rotated half ellipsoid with a nose, orthographic."""
    x, y = points[:, 0], points[:, 1]
    depth = 0.6 * np.sqrt(np.maximum(0.0, 1.0 - x * x - (y / 1.3) ** 2))
    depth += 0.22 * np.exp(-(x * x) / 0.03 - (y - 0.2) ** 2 / 0.06)
    turned_x = x * math.cos(scene.yaw) + depth * math.sin(scene.yaw)
    turned_y = y * math.cos(scene.pitch) + depth * math.sin(scene.pitch)
    scale = PIXELS_PER_UNIT * scene.zoom
    cosine, sine = math.cos(scene.roll) * scale, math.sin(scene.roll) * scale
    right = cosine * turned_x - sine * turned_y + SIZE / 2 + scene.shift_x
    down = sine * turned_x + cosine * turned_y + SIZE / 2 + scene.shift_y
    return np.stack([right, down], axis=1)


def _head(sketch: _Sketch, face: Expression, scene: Scene) -> None:
    skin, hair = scene.skin, scene.skin * scene.hair
    width, drop = scene.head_width, 0.12 * max(face.mouth_open, 0.0) / 0.4
    if scene.hair_length > 0.45:
        end = 0.2 + 1.1 * scene.hair_length
        sketch.fill(_outline(width + 0.14, -1.34, end, 0.0), hair * 0.8)
    sketch.fill(NECK, skin * 0.66)
    sketch.fill(SHOULDERS, scene.cloth)
    for side in (-1, 1):
        sketch.fill(CIRCLE * (0.13, 0.22) + (side * (width + 0.02), -0.02), skin * 0.82)
    head = _outline(width, -1.25, 1.2 + drop, scene.jaw)
    sketch.fill(head, skin)
    if scene.beard > RARE:
        inside = _bow(0.8 * width, 0.1, 0.44, 0.1, 5.0)
        sketch.fill(np.concatenate([head[7:18], inside]), 0.5 * (hair + skin))
    sketch.shade(np.concatenate([head, head[:1]]), -0.2 * skin, 0.12)
    sketch.shade(CIRCLE * (0.5, 0.2) + (0, -0.72), 0.07 * skin)
    for side in (-1, 1):
        sketch.shade(CIRCLE * (0.16, 0.3) + (side * 0.7, 0.5), -0.09 * skin)
    if scene.hair_length >= 0:
        _hair(sketch, scene)


def _hair(sketch: _Sketch, scene: Scene) -> None:
    """Draw the hair between the top of the head and a hairline that slopes towards the parting."""
    tone, width = scene.skin * scene.hair, scene.head_width + 0.07
    angle = np.arcsin(SPAN) * 1.18
    volume = 1.34 + 0.14 * scene.hair_volume
    top = np.stack([np.sin(angle) * width, -np.cos(angle) * volume], axis=1)
    fall = 0.16 * scene.parting * SPAN + 0.06 * scene.hair_volume * np.cos(9 * SPAN)
    line = np.stack([SPAN * scene.head_width * 0.88, -scene.hairline + fall + 0.4 * SPAN**6], axis=1)
    sketch.shade(line[2:-2] + np.array([0, 0.06]), -0.12 * scene.skin, 0.1)
    sketch.fill(np.concatenate([top, line[::-1]]), tone)
    for share in (0.25, 0.6):
        strand = top[3:-3] + (line[3:-3] - top[3:-3]) * share
        sketch.line(strand, tone + (18 if share < 0.5 else -10), 0.05)


def _outline(width: float, top: float, bottom: float, jaw: float) -> Floats:
    """Return the outline of a head: half an ellipse above, and below a jaw that narrows by ``jaw``."""
    x, y = CIRCLE[:, 0] * width, CIRCLE[:, 1]
    below = np.maximum(y, 0.0)
    # A square jaw is a superellipse; ``jaw`` narrows it towards an oval.
    x = np.where(y > 0, np.sign(x) * np.abs(CIRCLE[:, 0]) ** 0.75 * width * (1 - 0.3 * jaw * below**2), x)
    return np.stack([x, np.where(y > 0, y * bottom, -y * top)], axis=1)


def _bow(half_width: float, left: float, middle: float, right: float, power: float = 2.0, root: float = 1.0) -> Floats:
    """Return a curve (13, 2) from (-half_width, left) through (0, middle) to (half_width, right).

    A power of 2 is a parabola, a higher power approaches a box; a root of 0.5 makes the parabola an ellipse.
    """
    ends = (left + right) / 2 + SPAN * (right - left) / 2
    rise = (1 - np.abs(SPAN) ** power) ** root
    return np.stack([SPAN * half_width, ends + (middle - (left + right) / 2) * rise], axis=1)


def _eye(sketch: _Sketch, face: Expression, scene: Scene, side: int) -> None:
    mirror = np.array([side, 1.0])
    skin, size = scene.skin, scene.eye_size
    center = np.array([0.4 * scene.eye_gap, -0.2])
    opening = 0.125 * size * max(face.lid_upper, 0.08)
    lower = 0.085 * size * max(1 - 0.75 * face.lid_lower, 0.15)
    outer = face.lid_slant - 0.02
    top = _bow(0.2 * size, 0.02, -opening, outer, 2.4) + center
    bottom = _bow(0.2 * size, 0.02, lower, outer, 2.2) + center
    sketch.shade((CIRCLE * (0.25, 0.17) + center - (0, 0.04)) * mirror, -0.1 * skin)
    sketch.fill(np.concatenate([top, bottom[::-1]]) * mirror, min(255.0, 120 + 0.62 * skin))
    for radius, tone in ((0.12, skin * scene.iris), (0.06, 8.0)):
        disc = CIRCLE * radius * size + center + (side * 0.06 * scene.gaze, -0.02)
        lids = [np.interp(disc[:, 0], lid[:, 0], lid[:, 1]) for lid in (top, bottom)]
        disc[:, 1] = np.clip(disc[:, 1], *lids)
        sketch.fill(disc * mirror, tone)
    sketch.line(top * mirror, skin * 0.25, 0.045)
    sketch.line(bottom * mirror, skin * (0.66 - 0.12 * face.lid_lower), 0.03)
    sketch.line((top - (0, 0.07))[2:-1] * mirror, skin * 0.72, 0.03)
    _brow(sketch, face, scene, mirror)


def _brow(sketch: _Sketch, face: Expression, scene: Scene, mirror: Floats) -> None:
    height = -0.5 + scene.brow_drop
    inner, outer = height + 0.02 - face.brow_inner, height + 0.06 - face.brow_outer
    middle = (inner + outer) / 2 - face.brow_arch
    along = 0.41 * scene.eye_gap - 0.7 * face.brow_knit
    line = _bow(0.27, inner, middle, outer) + np.array([along, 0.0])
    thick = np.stack([np.zeros_like(SPAN), 0.05 * scene.brow_weight * (1.1 - 0.2 * SPAN - 0.5 * SPAN**4)], axis=1)
    tone = min(scene.skin * scene.hair * 0.9, scene.skin * 0.5)
    sketch.fill(np.concatenate([line - thick, (line + thick)[::-1]]) * mirror, tone)


def _nose(sketch: _Sketch, face: Expression, scene: Scene) -> None:
    skin, size, wrinkle = scene.skin, scene.nose_size, min(max(face.nose_wrinkle, 0.0), 1.2)
    base = 0.27 - 0.05 * wrinkle
    half = (0.15 + 0.035 * wrinkle) * size
    sketch.shade(np.array([[0.05, -0.3], [0.1, base - 0.1], [half, base], [0.04, base - 0.08]]), -0.16 * skin)
    sketch.shade(CIRCLE * (0.07, 0.09) + (-0.02, base - 0.08), 0.1 * skin)
    sketch.line(_bow(half, base - 0.06, base + 0.06, base - 0.06, 3.0), skin * 0.66, 0.035)
    for side in (-1, 1):
        sketch.fill(CIRCLE * (0.045 * size, 0.028) + (side * 0.075 * size, base + 0.02), skin * 0.34)
        if wrinkle > 0.15:
            for row in (0.0, 0.09):
                ends = np.array([[side * 0.03, -0.1 + row], [side * 0.13, -0.04 + row]])
                sketch.line(ends, skin * (1 - 0.4 * wrinkle), 0.035)


def _mouth(sketch: _Sketch, face: Expression, scene: Scene) -> None:
    skin, level = scene.skin, 0.66 + scene.mouth_drop
    width = 0.34 * max(face.mouth_width, 0.4)
    gap, power = max(face.mouth_open, 0.0), 2.0 + 3.0 * max(face.mouth_square, 0.0)
    root = 1.0 - 0.5 * min(gap / 0.3, 1.0)
    full = 0.075 * scene.lip_size * max(face.lip, 0.15)
    corner = level - face.mouth_corner
    above, below = level - face.upper_lip - 0.35 * gap, level + 0.65 * gap
    inner_top = _bow(width * 0.93, corner, above, corner, power, root)
    inner_low = _bow(width * 0.93, corner, below, corner, power, root)
    outer_top = _bow(width, corner, above - full, corner, power, root)
    outer_low = _bow(width, corner, below + 1.3 * full, corner, power, root)
    outer_top[6, 1] += 0.3 * full
    lips = skin * 0.62
    sketch.shade(outer_low[3:-3] + np.array([0, 0.1]), -0.12 * skin, 0.08)
    sketch.fill(np.concatenate([outer_top, inner_top[::-1]]), lips * 0.9)
    sketch.fill(np.concatenate([inner_low, outer_low[::-1]]), lips * 1.08)
    if gap > 0.03:
        sketch.fill(np.concatenate([inner_top, inner_low[::-1]]), skin * 0.12)
        share = min(max(face.teeth, 0.0), 1.0)
        if share > 0.1:
            teeth = inner_top + (inner_low - inner_top) * share
            sketch.fill(np.concatenate([inner_top, teeth[::-1]]), min(255.0, 130 + 0.5 * skin))
        elif gap > 0.15:
            tongue = inner_top + (inner_low - inner_top) * 0.7
            sketch.fill(np.concatenate([tongue, inner_low[::-1]])[2:-2], skin * 0.4)
    else:
        sketch.line((inner_top + inner_low) / 2, skin * 0.25, 0.045)


def _lines(sketch: _Sketch, face: Expression, scene: Scene) -> None:
    """Draw folds next to the mouth, and furrows between and above the brows."""
    skin = scene.skin
    fold = min(max(face.cheek, 0.8 * face.nose_wrinkle, 0.0), 1.2)
    for side in (-1, 1):
        bend = 0.3 + 0.1 * face.cheek
        curve = np.array([[0.19, 0.26], [bend, 0.4], [bend + 0.1, 0.56 + 0.04 * face.cheek]]) * (side, 1)
        sketch.line(curve, skin * (0.92 - 0.3 * fold), 0.035)
        sketch.shade(CIRCLE * (0.2, 0.13) + (side * 0.52, 0.22), 0.14 * skin * fold)
        knit = face.brow_knit - 0.03
        if knit > 0:
            furrow = np.array([[0.06, -0.5], [0.05, -0.36]]) * (side, 1)
            sketch.line(furrow, skin * max(0.45, 1 - 5 * knit), 0.035)
    raised = (face.brow_inner + face.brow_outer) / 2
    if raised > 0.05:
        for row in (0.0, 0.1):
            line = _bow(0.42, -0.74 - row, -0.78 - row, -0.74 - row)
            sketch.line(line, skin * max(0.7, 1 - 1.8 * raised), 0.03)


def _extras(sketch: _Sketch, scene: Scene) -> None:
    """Draw glasses, a moustache, and an object in front of the face."""
    hair = scene.skin * scene.hair
    if scene.moustache > RARE:
        sketch.fill(np.concatenate([_bow(0.3, 0.53, 0.42, 0.53), _bow(0.3, 0.53, 0.5, 0.53)[::-1]]), hair)
    if scene.glasses > RARE:
        for side in (-1, 1):
            rim = CIRCLE * (0.29, 0.24) + (side * 0.41 * scene.eye_gap, -0.17)
            sketch.line(np.concatenate([rim, rim[:1]]), 25.0, 0.05)
        sketch.line(np.array([[-0.13, -0.2], [0.13, -0.2]]), 25.0, 0.05)
    if scene.cover > RARE:
        away = np.array([math.sin(scene.cover_at), math.cos(scene.cover_at)])
        sketch.fill(CIRCLE * (0.55, 0.55) + away * 1.3, scene.cloth)
