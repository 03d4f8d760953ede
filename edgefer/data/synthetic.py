"""Draw faces with the seven expressions: a data set for machines without FER2013, and inputs for golden vectors.

    faces, labels = draw(4900, seed=1)              # uint8 (4900, 48, 48), int64 (4900,)
    inputs = golden_faces(24)                       # simple faces that compress to a few KB

A face combines an Expression (muscles) and a Scene (person, pose, light). Each label has one or two mean expressions
according to the Facial Action Coding System (Ekman and Friesen, 1978); comments list their action units. A sample
interpolates between rest and a mean expression, or extrapolates, and adds jitter. Pose, light and person vary. A linear
model on the pixels classifies fewer than half of the faces correctly, a small convolutional network nine of ten. Scores
on these faces test the training code and do not apply to photographs.
"""

from __future__ import annotations

import math
from dataclasses import astuple, fields, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.synthetic_face import SIZE, Expression, Scene, draw_face
from edgefer.errors import UsageError
from edgefer.progress import Progress, silent

__all__ = ["draw", "golden_faces"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

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
# Standard deviations of a sample around its mean, and the range of the interpolation factor from rest to the mean.
JITTER: Final = Expression(
    brow_inner=0.025, brow_outer=0.025, brow_arch=0.02, brow_knit=0.018, lid_upper=0.1, lid_lower=0.12,
    lid_slant=0.012, nose_wrinkle=0.08, cheek=0.1, mouth_width=0.08, mouth_corner=0.025, mouth_open=0.035,
    mouth_square=0.15, upper_lip=0.016, lip=0.12, teeth=0.15,
)  # fmt: skip
INTENSITY: Final = (0.65, 1.15)
# Few faces show a single emotion: maximum fraction of a second, random expression.
MIXED: Final = 0.45
# Each field of a sample is uniform between these two.
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
GRID_Y, GRID_X = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2).astype(np.float32)

# Gray levels of the golden faces, and the drawn tone that maps to the brightest level.
PLAIN_LEVELS: Final = 5
PLAIN_WHITE: Final = 225
# Persons of the golden faces. Skin and backdrop are far from the limits between levels, so that few pixels change
# between versions of OpenCV.
PERSONS: Final = (
    Scene(),
    Scene(skin=125.0, hair=0.15, hair_length=1.0, backdrop=235.0, lip_size=1.2, jaw=0.8),
    Scene(skin=215.0, hair=0.6, backdrop=55.0, head_width=0.9, eye_size=1.1, brow_weight=0.8),
    Scene(skin=110.0, hair=0.15, hair_length=-1.0, backdrop=235.0, jaw=0.2, nose_size=1.15),
)
# Darkest and brightest tone of golden faces, by position in the cycle; the others range from 0 to 255.
EXPOSURE_CYCLE: Final = 9
EXPOSURES: Final = {7: (0, 64), 8: (191, 255)}
PROGRESS_EVERY: Final = 100


def draw(count: int, *, seed: int, progress: Progress = silent) -> tuple[Image, npt.NDArray[np.int64]]:
    """Draw ``count`` faces of all seven classes in random order; class counts differ by at most one.

    Equal count, seed and versions of numpy and OpenCV give equal bytes.

    Returns:
        faces: uint8 (count, 48, 48).
        labels: int64 (count,), indices into LABELS.

    Raises:
        UsageError: count or seed is negative.
    """
    if count < 0 or seed < 0:
        raise UsageError(f"count {count} and seed {seed}", why="expected non-negative integers")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(LABELS)).astype(np.int64)
    expressions = _expressions(labels, rng)
    scenes = rng.uniform(astuple(LOW), astuple(HIGH), size=(count, len(fields(Scene))))
    faces = np.empty((count, SIZE, SIZE), np.uint8)
    for index in range(count):
        scene = Scene(*scenes[index].tolist())
        noise = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
        faces[index] = _expose(draw_face(Expression(*expressions[index].tolist()), scene), scene, noise)
        if (index + 1) % PROGRESS_EVERY == 0 or index + 1 == count:
            progress(index + 1, count, "faces drawn")
    return faces, labels


def golden_faces(count: int) -> Image:
    """Draw simple frontal faces in few gray levels, cycling through LABELS.

    They ship with every model, and without noise they compress to about 200 bytes each. The first seven show the mean
    expressions of one person; later ones show other persons. Of nine faces, one is very dark and one is very bright, so
    that the inputs cover the whole range.

    Returns:
        uint8 (count, 48, 48); all but the very dark and the very bright faces range from 0 to 255.

    Raises:
        UsageError: the count is negative.
    """
    if count < 0:
        raise UsageError(f"count {count}", why="expected a non-negative integer")
    cycle = len(LABELS)
    faces = []
    for index in range(count):
        mean = MEANS[LABELS[index % cycle]][index // cycle % 2]
        low, high = EXPOSURES.get(index % EXPOSURE_CYCLE, (0, 255))
        faces.append(_posterize(draw_face(mean, PERSONS[index // cycle % len(PERSONS)]), low, high))
    return np.array(faces, np.uint8).reshape(count, SIZE, SIZE)


def _posterize(painted: npt.NDArray[np.float32], low: int, high: int) -> Image:
    """Quantize tones to PLAIN_LEVELS evenly spaced levels from ``low`` to ``high``.

    All faces share one scale. Image rows that the faces of a person have in common stay equal and compress well.
    """
    steps = PLAIN_LEVELS - 1
    level = np.clip(np.rint(painted * (steps / PLAIN_WHITE)), 0, steps)
    return np.asarray(np.rint(low + level * ((high - low) / steps)), np.uint8)


def _expressions(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Return expressions with jitter, (len(labels), fields of Expression)."""
    means = np.array([[astuple(mean) for mean in MEANS[name]] for name in LABELS])
    rest, count, variants = np.array(astuple(REST)), len(labels), means.shape[1]
    first = means[labels, rng.integers(variants, size=count)]
    second = means[rng.integers(len(LABELS), size=count), rng.integers(variants, size=count)]
    # The square makes most faces nearly pure and leaves a few between two classes.
    share = MIXED * rng.uniform(size=(count, 1)) ** 2
    intensity = rng.uniform(*INTENSITY, size=(count, 1))
    expressions = rest + (first - rest + (second - first) * share) * intensity
    return np.asarray(expressions + rng.normal(size=expressions.shape) * astuple(JITTER))


def _expose(painted: npt.NDArray[np.float32], scene: Scene, noise: npt.NDArray[np.float32]) -> Image:
    """Apply light, lens and sensor to tones (48, 48), and convert them to uint8; ``noise`` has unit variance."""
    half = SIZE / 2
    slope_x = np.float32(math.cos(scene.light_angle) * scene.light / half)
    slope_y = np.float32(math.sin(scene.light_angle) * scene.light / half)
    lit = painted * (1 + slope_x * GRID_X + slope_y * GRID_Y)
    if scene.blur > 0.25:
        lit = cv2.GaussianBlur(lit, (0, 0), scene.blur)
    tones = np.power(np.clip(lit / np.float32(255), 0, 1), np.float32(scene.gamma)) * np.float32(255 * scene.gain)
    return np.asarray(np.clip(np.rint(tones + noise * np.float32(scene.noise)), 0, 255), np.uint8)
