"""Drawn faces with the seven expressions: the data set of a machine that has no FER2013, and the golden test inputs.

    faces, labels = draw(4900, seed=1)              # uint8 (4900, 48, 48), int64 (4900,)
    inputs = golden_faces(24)                       # plain faces that pack into a few KB

A face is an Expression (what the muscles do) on a Scene (who, from where, in which light). Each label has one or two
mean expressions after the Facial Action Coding System (Ekman and Friesen, 1978; the action units are named beside
them); a sample goes part of the way from rest to its mean, or beyond, and adds jitter. Pose, light and people vary so
much that a linear model on the pixels names fewer than half, while a small convolutional network reads nine of ten. A
score on these faces says that training works; it says nothing about photographs.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.errors import UsageError
from edgefer.labels import LABELS
from edgefer.progress import Progress, silent

__all__ = ["draw", "golden_faces"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

SIZE: Final = 48
SUPERSAMPLING: Final = 4
# Fixed-point bits of the coordinates that go to OpenCV, at SIZE * SUPERSAMPLING pixels.
FRACTION_BITS: Final = 4
PIXELS_PER_UNIT: Final = 18.5


@dataclass(frozen=True)
class Expression:
    """What the muscles of a face do; the defaults are a face at rest.

    Lengths are in head units: 1 is half the width of the head, so 0.05 is about one pixel of the result.

    Attributes:
        brow_inner, brow_outer: rise of the ends of the brows, -0.2 to 0.3.
        brow_arch: rise of their middle above the ends, 0 to 0.2.
        brow_knit: how far they are pulled together, 0 to 0.15.
        lid_upper: opening of the upper lid; 0 shut, 1 at rest, 1.8 staring.
        lid_lower: raise of the lower lid; 0 at rest, 1 tight.
        lid_slant: drop of the outer corner of the eye, -0.05 to 0.08.
        nose_wrinkle: 0 to 1.
        cheek: raised cheek with the fold beside the mouth, 0 to 1.
        mouth_width: 1 at rest, 0.6 to 1.5.
        mouth_corner: rise of the corners, -0.2 to 0.25.
        mouth_open: gap between the lips, 0 to 0.6.
        mouth_square: form of the gap; 0 round, 1 rectangular.
        upper_lip: rise of the upper lip, 0 to 0.2.
        lip: fullness of the lips; 1 at rest, 0.3 pressed.
        teeth: share of the gap that the teeth fill, 0 to 1.
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


REST: Final = Expression()
# AU 4 + 5 + 7 + 23, lips pressed; or AU 4 + 7 + 25, bared teeth.
ANGRY: Final = Expression(
    brow_inner=-0.15, brow_outer=0.06, brow_arch=0.02, brow_knit=0.11, lid_upper=0.85, lid_lower=0.5,
    mouth_width=0.9, mouth_corner=-0.05, lip=0.4,
)  # fmt: skip
# AU 9 + 10 + 15 + 16.
DISGUST: Final = Expression(
    brow_inner=-0.08, brow_outer=-0.05, brow_arch=0.02, brow_knit=0.06, lid_upper=0.55, lid_lower=0.8,
    nose_wrinkle=1.0, cheek=0.45, mouth_width=0.95, mouth_corner=-0.08, upper_lip=0.12, lip=0.9,
)  # fmt: skip
# AU 1 + 2 + 4 + 5 + 20 + 26.
FEAR: Final = Expression(
    brow_inner=0.16, brow_outer=0.03, brow_arch=0.0, brow_knit=0.09, lid_upper=1.5, lid_lower=0.25,
    mouth_width=1.25, mouth_corner=-0.07, mouth_open=0.2, mouth_square=0.5, lip=0.8, teeth=0.3,
)  # fmt: skip
# AU 6 + 12.
HAPPY: Final = Expression(
    brow_outer=0.02, lid_upper=0.85, lid_lower=0.6, cheek=1.0, mouth_width=1.35, mouth_corner=0.15, lip=0.8,
)  # fmt: skip
# AU 1 + 4 + 15.
SAD: Final = Expression(
    brow_inner=0.14, brow_outer=-0.09, brow_arch=0.0, brow_knit=0.05, lid_upper=0.7, lid_slant=0.05,
    mouth_width=0.9, mouth_corner=-0.12,
)  # fmt: skip
# AU 1 + 2 + 5 + 27.
SURPRISE: Final = Expression(
    brow_inner=0.18, brow_outer=0.16, brow_arch=0.13, lid_upper=1.55, mouth_width=0.75, mouth_open=0.4,
)  # fmt: skip

MEANS: Final[dict[str, tuple[Expression, Expression]]] = {
    "angry": (ANGRY, replace(ANGRY, mouth_width=1.15, mouth_open=0.2, mouth_square=0.9, lip=0.6, teeth=0.9)),
    "disgust": (DISGUST, replace(DISGUST, mouth_open=0.14, mouth_square=0.6, teeth=0.45)),
    "fear": (FEAR, replace(FEAR, mouth_open=0.32, teeth=0.15)),
    "happy": (HAPPY, replace(HAPPY, mouth_open=0.2, teeth=0.8)),
    "sad": (SAD, replace(SAD, lid_upper=0.5, mouth_corner=-0.15, lip=1.2)),
    "surprise": (SURPRISE, replace(SURPRISE, mouth_open=0.26, mouth_width=0.65)),
    "neutral": (REST, REST),
}
# Standard deviations of a sample around its mean, and how much of the way from rest to the mean it goes.
JITTER: Final = Expression(
    brow_inner=0.025, brow_outer=0.025, brow_arch=0.02, brow_knit=0.018, lid_upper=0.1, lid_lower=0.12,
    lid_slant=0.012, nose_wrinkle=0.08, cheek=0.1, mouth_width=0.08, mouth_corner=0.025, mouth_open=0.035,
    mouth_square=0.15, upper_lip=0.016, lip=0.12, teeth=0.15,
)  # fmt: skip
INTENSITY: Final = (0.65, 1.15)
# Few faces show one feeling alone: the largest share of a second expression, drawn at random.
MIXED: Final = 0.45


@dataclass(frozen=True)
class Scene:
    """Who is seen, from where and in which light; the defaults are a plain frontal portrait.

    Attributes:
        yaw, pitch, roll: turns of the head in radians; right, down and clockwise in the picture are positive.
        zoom: size; 1 fills the picture as a face detector's crop does.
        shift_x, shift_y: of the head's centre, in pixels of the result.
        skin, backdrop, cloth: tones, 0 to 255.
        hair, iris: tones as shares of the skin's.
        head_width: half the width, head units; jaw: 0 leaves the chin square, 1 narrows it.
        eye_gap, eye_size, nose_size, lip_size, brow_weight: factors around 1.
        brow_drop, mouth_drop: displacements down the face, head units.
        hairline: height of the forehead's end above the centre, head units; parting: its slope, -1 to 1.
        hair_length: below 0 bald, 0 short, 1 to the shoulders; hair_volume: 0 flat, 1 high and wavy.
        gaze: sidewards, -1 to 1.
        light: strength of a light from one side, 0 to 1; light_angle: its direction in radians.
        gain, gamma: exposure and tone curve; 1 leaves the tones alone.
        blur: standard deviation in pixels of the result; noise: the same in grey levels.
        glasses, beard, moustache, cover: the thing is there at RARE and above; cover is an object before the face.
        cover_at: where around the picture that object comes in, radians.
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


RARE: Final = 0.88
# Every sample draws each field evenly between these two.
LOW: Final = Scene(
    yaw=-0.42, pitch=-0.22, roll=-0.26, zoom=0.86, shift_x=-2.6, shift_y=-2.6,
    skin=95.0, backdrop=10.0, cloth=10.0, hair=0.1, iris=0.2,
    head_width=0.86, jaw=0.1, eye_gap=0.9, eye_size=0.86, nose_size=0.8, lip_size=0.7, brow_weight=0.6,
    brow_drop=-0.04, mouth_drop=-0.04, hairline=0.72, parting=-1.0, hair_length=-0.15, hair_volume=0.0, gaze=-1.0,
    gain=0.7, gamma=0.75, noise=1.0,
)  # fmt: skip
HIGH: Final = Scene(
    yaw=0.42, pitch=0.22, roll=0.26, zoom=1.12, shift_x=2.6, shift_y=2.6,
    skin=225.0, backdrop=235.0, cloth=230.0, hair=0.8, iris=0.5,
    head_width=1.02, jaw=0.9, eye_gap=1.1, eye_size=1.14, nose_size=1.2, lip_size=1.35, brow_weight=1.4,
    brow_drop=0.04, mouth_drop=0.04, hairline=1.05, parting=1.0, hair_length=1.0, hair_volume=1.0, gaze=1.0,
    light=0.6, light_angle=2 * math.pi, gain=1.2, gamma=1.3, blur=0.8, noise=7.0,
    glasses=1.0, beard=1.0, moustache=1.0, cover=1.0, cover_at=2 * math.pi,
)  # fmt: skip

# Denser towards the ends, where round curves bend most.
SPAN: Final = np.sin(np.linspace(-math.pi / 2, math.pi / 2, 13))
TURN: Final = np.linspace(0.0, 2 * math.pi, 24, endpoint=False)
CIRCLE: Final = np.stack([np.sin(TURN), -np.cos(TURN)], axis=1)
GRID_Y, GRID_X = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2).astype(np.float32)
NECK: Final = np.array([[-0.45, 0.5], [0.45, 0.5], [0.5, 1.7], [-0.5, 1.7]])
SHOULDERS: Final = np.array([[-0.5, 1.38], [0, 1.6], [0.5, 1.38], [2, 1.6], [2, 3], [-2, 3], [-2, 1.6]])
PLAIN_LEVELS: Final = 8
# The people of the golden faces.
SITTERS: Final = (
    Scene(),
    Scene(skin=140.0, hair=0.2, hair_length=1.0, backdrop=200.0, lip_size=1.2, jaw=0.8),
    Scene(skin=210.0, hair=0.6, backdrop=50.0, head_width=0.9, eye_size=1.1, brow_weight=0.8),
    Scene(skin=110.0, hair=0.15, hair_length=-1.0, backdrop=160.0, cloth=220.0, jaw=0.2, nose_size=1.15),
)
# Darkest and brightest tone of the golden faces that stand here in each cycle; the others go from 0 to 255.
EXPOSURE_CYCLE: Final = 12
EXPOSURES: Final = {10: (0, 64), 11: (191, 255)}
PROGRESS_EVERY: Final = 100


def draw(count: int, *, seed: int, progress: Progress = silent) -> tuple[Image, npt.NDArray[np.int64]]:
    """Draw ``count`` faces of all seven classes, shuffled; each class comes up equally often, give or take one.

    The same count, seed and versions of numpy and OpenCV give the same bytes.

    Returns:
        faces: uint8 (count, 48, 48).
        labels: int64 (count,), positions in LABELS.

    Raises:
        UsageError: a negative count or seed.
    """
    if count < 0 or seed < 0:
        raise UsageError(f"count {count} and seed {seed}", why="neither may be negative")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(LABELS)).astype(np.int64)
    expressions = _expressions(labels, rng)
    scenes = rng.uniform(astuple(LOW), astuple(HIGH), size=(count, len(fields(Scene))))
    faces = np.empty((count, SIZE, SIZE), np.uint8)
    for index in range(count):
        scene = Scene(*scenes[index].tolist())
        noise = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
        faces[index] = _expose(_paint(Expression(*expressions[index].tolist()), scene), scene, noise)
        if (index + 1) % PROGRESS_EVERY == 0 or index + 1 == count:
            progress(index + 1, count, "faces drawn")
    return faces, labels


def golden_faces(count: int) -> Image:
    """``count`` plain frontal faces in few grey levels, cycling over the classes of LABELS.

    They are made to be shipped: without noise they pack to about 300 bytes each. The first seven are the mean
    expressions; the people change after that, and of each twelve faces one is very dark and one very bright, so that a
    model meets its whole input range.

    Returns:
        uint8 (count, 48, 48); most faces reach from 0 to 255.

    Raises:
        UsageError: a negative count.
    """
    if count < 0:
        raise UsageError(f"count {count}", why="it must not be negative")
    cycle = len(LABELS)
    faces = []
    for index in range(count):
        mean = MEANS[LABELS[index % cycle]][index // cycle % 2]
        low, high = EXPOSURES.get(index % EXPOSURE_CYCLE, (0, 255))
        faces.append(_posterize(_paint(mean, SITTERS[index // cycle % len(SITTERS)]), low, high))
    return np.array(faces, np.uint8).reshape(count, SIZE, SIZE)


def _posterize(painted: npt.NDArray[np.float32], low: int, high: int) -> Image:
    """PLAIN_LEVELS evenly spaced tones from ``low`` to ``high``."""
    steps = PLAIN_LEVELS - 1
    level = np.rint((painted - painted.min()) / np.ptp(painted) * steps)
    return np.asarray(np.rint(low + level * ((high - low) / steps)), np.uint8)


def _expressions(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Jittered expressions, (len(labels), fields of Expression)."""
    means = np.array([[astuple(mean) for mean in MEANS[name]] for name in LABELS])
    rest, count, variants = np.array(astuple(REST)), len(labels), means.shape[1]
    first = means[labels, rng.integers(variants, size=count)]
    second = means[rng.integers(len(LABELS), size=count), rng.integers(variants, size=count)]
    # Squared, so that most faces are nearly pure and a few stand on the border between two classes.
    share = MIXED * rng.uniform(size=(count, 1)) ** 2
    intensity = rng.uniform(*INTENSITY, size=(count, 1))
    shown = rest + (first - rest + (second - first) * share) * intensity
    return np.asarray(shown + rng.normal(size=shown.shape) * astuple(JITTER))


class _Sketch:
    """Shapes in head units, collected so that the pose is applied to all points at once."""

    def __init__(self) -> None:
        self.points: list[Floats] = []
        self.strokes: list[tuple[float, float, bool]] = []

    def fill(self, points: Floats, tone: float) -> None:
        """A filled polygon (n, 2)."""
        self._add(points, tone, 0.0, False)

    def line(self, points: Floats, tone: float, width: float) -> None:
        """An open line (n, 2), ``width`` in head units."""
        self._add(points, tone, width, False)

    def shade(self, points: Floats, change: float, width: float = 0.0) -> None:
        """A soft polygon, or line, that adds ``change`` grey levels to what lies under it."""
        self._add(points, 128 + change, width, True)

    def _add(self, points: Floats, tone: float, width: float, soft: bool) -> None:
        self.points.append(points)
        self.strokes.append((min(max(tone, 0.0), 255.0), width, soft))

    def render(self, scene: Scene) -> npt.NDArray[np.float32]:
        """Float grey levels (48, 48)."""
        ends = np.cumsum([len(points) for points in self.points])
        scale = SUPERSAMPLING << FRACTION_BITS
        fixed = np.rint(_project(np.concatenate(self.points), scene) * scale).astype(np.int32)
        side = SIZE * SUPERSAMPLING
        hard = np.full((side, side), scene.backdrop, np.uint8)
        soft = np.full((SIZE, SIZE), 128, np.uint8)
        for start, end, (tone, width, is_soft) in zip([0, *ends[:-1]], ends, self.strokes, strict=True):
            # The same fixed-point numbers with two bits more of fraction are coordinates on the small canvas.
            canvas, zoom, bits = (soft, 1, FRACTION_BITS + 2) if is_soft else (hard, SUPERSAMPLING, FRACTION_BITS)
            if width:
                thickness = max(1, round(width * PIXELS_PER_UNIT * scene.zoom * zoom))
                cv2.polylines(canvas, [fixed[start:end]], False, tone, thickness, cv2.LINE_8, bits)
            else:
                cv2.fillPoly(canvas, [fixed[start:end]], tone, cv2.LINE_8, bits)
        small = cv2.resize(hard, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
        return np.asarray(small + cv2.GaussianBlur(soft, (0, 0), 1.0) - np.float32(128))


def _project(points: Floats, scene: Scene) -> Floats:
    """Head units (n, 2) -> pixels of the result (n, 2): a half ellipsoid with a nose, turned and seen from far away."""
    x, y = points[:, 0], points[:, 1]
    depth = 0.6 * np.sqrt(np.maximum(0.0, 1.0 - x * x - (y / 1.3) ** 2))
    depth += 0.22 * np.exp(-(x * x) / 0.03 - (y - 0.2) ** 2 / 0.06)
    turned_x = x * math.cos(scene.yaw) + depth * math.sin(scene.yaw)
    turned_y = y * math.cos(scene.pitch) + depth * math.sin(scene.pitch)
    scale = PIXELS_PER_UNIT * scene.zoom
    cosine, sine = math.cos(scene.roll) * scale, math.sin(scene.roll) * scale
    return np.stack(
        [
            cosine * turned_x - sine * turned_y + SIZE / 2 + scene.shift_x,
            sine * turned_x + cosine * turned_y + SIZE / 2 + scene.shift_y,
        ],
        axis=1,
    )


def _paint(face: Expression, scene: Scene) -> npt.NDArray[np.float32]:
    """The face in its tones, float (48, 48), in even light."""
    sketch = _Sketch()
    _head(sketch, face, scene)
    _lines(sketch, face, scene)
    _mouth(sketch, face, scene)
    _nose(sketch, face, scene)
    for side in (-1, 1):
        _eye(sketch, face, scene, side)
    _extras(sketch, scene)
    return sketch.render(scene)


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
    """Hair on the head: from the temples over the top, down to a hairline that falls to the side of the parting."""
    tone, width = scene.skin * scene.hair, scene.head_width + 0.07
    angle = np.arcsin(SPAN) * 1.18
    volume = 1.34 + 0.14 * scene.hair_volume
    top = np.stack([np.sin(angle) * width, -np.cos(angle) * volume], axis=1)
    fall = 0.16 * scene.parting * SPAN + 0.06 * scene.hair_volume * np.cos(9 * SPAN)
    line = np.stack([SPAN * scene.head_width * 0.88, -scene.hairline + fall + 0.4 * SPAN**6], axis=1)
    sketch.shade(line[2:-2] + (0, 0.06), -0.12 * scene.skin, 0.1)
    sketch.fill(np.concatenate([top, line[::-1]]), tone)
    for share in (0.25, 0.6):
        strand = top[3:-3] + (line[3:-3] - top[3:-3]) * share
        sketch.line(strand, tone + (18 if share < 0.5 else -10), 0.05)


def _outline(width: float, top: float, bottom: float, jaw: float) -> Floats:
    """A head's outline: half an ellipse above, a jaw that narrows by ``jaw`` below."""
    x, y = CIRCLE[:, 0] * width, CIRCLE[:, 1]
    below = np.maximum(y, 0.0)
    # A square jaw is a superellipse; the narrowing turns it back towards an oval.
    x = np.where(y > 0, np.sign(x) * np.abs(CIRCLE[:, 0]) ** 0.75 * width * (1 - 0.3 * jaw * below**2), x)
    return np.stack([x, np.where(y > 0, y * bottom, -y * top)], axis=1)


def _bow(half_width: float, left: float, middle: float, right: float, power: float = 2.0, root: float = 1.0) -> Floats:
    """A curve (13, 2) from (-half_width, left) over (0, middle) to (half_width, right).

    A power of 2 is a parabola, a higher one a box; a root of 0.5 turns the parabola into an ellipse.
    """
    ends = (left + right) / 2 + SPAN * (right - left) / 2
    rise = (1 - np.abs(SPAN) ** power) ** root
    return np.stack([SPAN * half_width, ends + (middle - (left + right) / 2) * rise], axis=1)


def _eye(sketch: _Sketch, face: Expression, scene: Scene, side: int) -> None:
    mirror = np.array([side, 1.0])
    skin, size = scene.skin, scene.eye_size
    centre = np.array([0.4 * scene.eye_gap, -0.2])
    opening = 0.125 * size * max(face.lid_upper, 0.08)
    lower = 0.085 * size * max(1 - 0.75 * face.lid_lower, 0.15)
    outer = face.lid_slant - 0.02
    top = _bow(0.2 * size, 0.02, -opening, outer, 2.4) + centre
    bottom = _bow(0.2 * size, 0.02, lower, outer, 2.2) + centre
    sketch.shade((CIRCLE * (0.25, 0.17) + centre - (0, 0.04)) * mirror, -0.1 * skin)
    sketch.fill(np.concatenate([top, bottom[::-1]]) * mirror, min(255.0, 120 + 0.62 * skin))
    for radius, tone in ((0.12, skin * scene.iris), (0.06, 8.0)):
        disc = CIRCLE * radius * size + centre + (side * 0.06 * scene.gaze, -0.02)
        disc[:, 1] = np.clip(
            disc[:, 1], np.interp(disc[:, 0], top[:, 0], top[:, 1]), np.interp(disc[:, 0], bottom[:, 0], bottom[:, 1])
        )
        sketch.fill(disc * mirror, tone)
    sketch.line(top * mirror, skin * 0.25, 0.045)
    sketch.line(bottom * mirror, skin * (0.66 - 0.12 * face.lid_lower), 0.03)
    sketch.line((top - (0, 0.07))[2:-1] * mirror, skin * 0.72, 0.03)
    _brow(sketch, face, scene, mirror)


def _brow(sketch: _Sketch, face: Expression, scene: Scene, mirror: Floats) -> None:
    height = -0.5 + scene.brow_drop
    inner, outer = height + 0.02 - face.brow_inner, height + 0.06 - face.brow_outer
    middle = (inner + outer) / 2 - face.brow_arch
    line = _bow(0.27, inner, middle, outer) + (0.41 * scene.eye_gap - 0.7 * face.brow_knit, 0.0)
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
    sketch.shade(outer_low[3:-3] + (0, 0.1), -0.12 * skin, 0.08)
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
    """What else the muscles leave on the skin: folds beside the mouth, furrows between the brows and above them."""
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
    """Glasses, hair on the face, and things held before it."""
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


def _expose(painted: npt.NDArray[np.float32], scene: Scene, noise: npt.NDArray[np.float32]) -> Image:
    """Light, lens and sensor: float (48, 48) to uint8, with ``noise`` of unit variance."""
    half = SIZE / 2
    slope_x = np.float32(math.cos(scene.light_angle) * scene.light / half)
    slope_y = np.float32(math.sin(scene.light_angle) * scene.light / half)
    lit = painted * (1 + slope_x * GRID_X + slope_y * GRID_Y)
    if scene.blur > 0.25:
        lit = cv2.GaussianBlur(lit, (0, 0), scene.blur)
    tones = np.power(np.clip(lit / np.float32(255), 0, 1), np.float32(scene.gamma)) * np.float32(255 * scene.gain)
    return np.asarray(np.clip(np.rint(tones + noise * np.float32(scene.noise)), 0, 255), np.uint8)
