"""From a picture to what every model takes: uint8 grey (48, 48). The only preprocessing in edgefer.

    image = read_image(path.read_bytes())           # uint8 BGR (h, w, 3)
    face = prepare(image, InputSpec())              # uint8 (48, 48)

Training, calibration, evaluation, bench and live all call prepare(), so that a model meets on a board the bytes that it
met in training. There is no mean, no standard deviation and no [-1, 1] here: a model's float domain is pixel / 255, and
encoder() gives the one table from pixel to input number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.contract.quantization_params import QuantParams, quantize
from edgefer.errors import DataError

__all__ = ["Clahe", "InputSpec", "encoder", "prepare", "prepare_all", "read_image", "to_grey"]

Image = npt.NDArray[np.uint8]
DECODING = {
    1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8,
}  # fmt: skip


@dataclass(frozen=True)
class Clahe:
    """Contrast-limited adaptive histogram equalization, as cv2.createCLAHE takes it."""

    clip_limit: float = 2.0
    tiles: int = 8


@dataclass(frozen=True)
class InputSpec:
    """What a model wants to be fed with; it travels with the model.

    Attributes:
        height, width: pixels.
        clahe: local contrast equalization after the resize, or None.
    """

    height: int = 48
    width: int = 48
    clahe: Clahe | None = None

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> InputSpec:
        """The inverse of to_json()."""
        clahe = fields["clahe"]
        return cls(fields["height"], fields["width"], Clahe(**clahe) if clahe else None)


def read_image(content: bytes, *, reduction: int = 1) -> Image:
    """Decode the bytes of a picture file to uint8 BGR (h, w, 3), turned upright by its EXIF tag.

    With a ``reduction`` of 2, 4 or 8 the sides are so much shorter; a JPEG is then never decoded at its full size.

    Always through three channels: libjpeg's own grey differs from the grey of the decoded colours by a step here and
    there, and a face read in two ways would be two inputs.

    Raises:
        DataError: OpenCV cannot decode it, or has no memory for so many pixels.
    """
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), DECODING[reduction]) if content else None
    except cv2.error as error:
        # Too many pixels, by OpenCV's own limit or for this machine's memory: it raises for nothing else.
        why = f"OpenCV says: {error.err or error}"
        raise DataError("a picture too large to decode", why=why, hint="crop it to the face") from error
    if image is None:
        why = f"{len(content)} bytes that are damaged, or in no format it knows" if content else "it is empty"
        raise DataError("not a picture that OpenCV can read", why=why)
    return np.asarray(image, np.uint8)


def prepare(image: npt.NDArray[Any] | None, spec: InputSpec) -> Image:
    """uint8 (h, w), (h, w, 1), BGR (h, w, 3) or BGRA (h, w, 4) -> uint8 (spec.height, spec.width).

    A grey image of the right size comes back with the same bytes (unless the spec asks for CLAHE).

    Raises:
        DataError: another shape or dtype, or an empty image.
    """
    grey = to_grey(image)
    if grey.shape != (spec.height, spec.width):
        # Area averaging does not alias when it shrinks; it would turn to nearest neighbour when it enlarges.
        shrinks = grey.shape[0] >= spec.height and grey.shape[1] >= spec.width
        grey = np.asarray(
            cv2.resize(grey, (spec.width, spec.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR),
            np.uint8,
        )
    if spec.clahe is not None:
        tiles = (spec.clahe.tiles, spec.clahe.tiles)
        grey = np.asarray(cv2.createCLAHE(spec.clahe.clip_limit, tiles).apply(grey), np.uint8)
    return np.ascontiguousarray(grey)


def prepare_all(images: npt.NDArray[np.uint8], spec: InputSpec) -> Image:
    """uint8 (n, h, w) of one size -> uint8 (n, spec.height, spec.width), each through prepare()."""
    prepared = np.empty((len(images), spec.height, spec.width), np.uint8)
    for index, image in enumerate(images):
        prepared[index] = prepare(image, spec)
    return prepared


def to_grey(image: npt.NDArray[Any] | None) -> Image:
    """uint8 (h, w), (h, w, 1), BGR (h, w, 3) or BGRA (h, w, 4) -> uint8 (h, w); DataError for anything else."""
    if image is None:
        # What cv2.imread() gives for a file that it cannot read.
        raise DataError("None instead of an image", why="cv2.imread() could not read the file", hint="another file")
    if image.dtype != np.uint8:
        raise DataError(
            f"an image of dtype {image.dtype}", why="uint8 in 0..255 was expected", hint="image.astype('uint8')"
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or image.size == 0 or channels not in (1, 3, 4):
        raise DataError(
            f"an image of shape {image.shape}", why="(h, w), (h, w, 1), (h, w, 3) or (h, w, 4) was expected"
        )
    if channels == 1:
        return image.reshape(image.shape[:2])
    code = cv2.COLOR_BGR2GRAY if channels == 3 else cv2.COLOR_BGRA2GRAY
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


def encoder(params: QuantParams) -> npt.NDArray[Any]:
    """The (256,) table from a pixel to the number that an input tensor of ``params`` takes for it.

    ``encoder(params)[faces]`` feeds a model: pixel / 255 in float32, pixel - 128 in the int8 models of edgefer, and
    whatever the scale and the zero point of any other model ask for.
    """
    return quantize(np.arange(256, dtype=np.float32) / np.float32(255), params)
