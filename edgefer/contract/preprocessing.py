"""Convert an image of a face to the input of a model: uint8 pixels. The only preprocessing in edgefer.

    face = prepare(image, InputSpec())              # uint8 (48, 48)
    table = encoder(params, spec)                   # from pixels to numbers of the input tensor
    tensor = encode(table, face)

Training, calibration, evaluation, benchmarks and live mode all call prepare(), so a board feeds a model the same bytes
as training. An InputSpec also holds the mean and the scale that an imported model expects; only encoder() applies them.
The models of edgefer take pixel / 255.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.contract.fields import Fields
from edgefer.contract.quantization_params import QuantParams, quantize
from edgefer.errors import DataError

__all__ = [
    "CHANNELS", "FLOAT32", "MAX_SIDE", "RESIZING", "Clahe", "InputSpec", "encode", "encoder", "prepare", "prepare_all",
    "require_image", "to_gray", "with_channels",
]  # fmt: skip

Image = npt.NDArray[np.uint8]
# Pixels per side of a model's input.
MAX_SIDE = 512
# OpenCV converts the clip limit to an integer number of pixels per histogram bin.
MAX_CLIP_LIMIT = 1000.0
# Bounds of mean and std: more extreme values are damage.
MAX_MEAN, MIN_STD, MAX_STD = 1e4, 1e-3, 1e4
FLOAT32: Final = QuantParams(0.0, 0, "float32")
CHANNELS: Final = {"gray": 1, "rgb": 3, "bgr": 3}
# Interpolation when an image shrinks, and otherwise. INTER_AREA avoids aliasing when an image shrinks; when it grows,
# INTER_AREA would be nearest neighbor.
RESIZING: Final = {
    "area": (cv2.INTER_AREA, cv2.INTER_LINEAR),
    "linear": (cv2.INTER_LINEAR, cv2.INTER_LINEAR),
    "nearest": (cv2.INTER_NEAREST_EXACT, cv2.INTER_NEAREST_EXACT),
    "cubic": (cv2.INTER_CUBIC, cv2.INTER_CUBIC),
}


@dataclass(frozen=True)
class Clahe:
    """Contrast-limited adaptive histogram equalization (cv2.createCLAHE).

    Attributes:
        clip_limit: limit of the contrast.
        tiles: number of tiles in each direction.
    """

    clip_limit: float = 2.0
    tiles: int = 8


@dataclass(frozen=True)
class InputSpec:
    """Input of a model; part of its contract.

    The model computes with (pixel - mean) / std.

    Attributes:
        height, width: size in pixels.
        clahe: local contrast equalization of a gray image after resizing, or None.
        channels: "gray", "rgb" or "bgr".
        mean, std: one value, or one per channel in the order of ``channels``.
        resize: interpolation: "area" (if the image shrinks; else linear), "linear", "nearest" or "cubic".
    """

    height: int = 48
    width: int = 48
    clahe: Clahe | None = None
    channels: str = "gray"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)
    resize: str = "area"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a prepared face: (height, width) in gray, (height, width, 3) in color."""
        return (self.height, self.width) if self.channels == "gray" else (self.height, self.width, 3)

    @property
    def tensor_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input tensor: (1, height, width, channels)."""
        return (1, self.height, self.width, CHANNELS[self.channels])

    @property
    def has_unit_range(self) -> bool:
        """True if the model computes with pixel / 255."""
        return (self.mean, self.std) == (InputSpec.mean, InputSpec.std)

    @property
    def range(self) -> tuple[float, float]:
        """Input values of a black and of a white pixel, the smallest and the largest of all channels."""
        table = encoder(FLOAT32, self)
        return float(table[0].min()), float(table[255].max())

    @property
    def is_plain(self) -> bool:
        """True if height, width and clahe describe the input, as in version 1 of the contract."""
        return self == InputSpec(self.height, self.width, self.clahe)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-compatible values without fields that were added later and have defaults; see from_json()."""
        values = asdict(self)
        added = [item for item in fields(self)[3:] if getattr(self, item.name) == item.default]
        return {name: values[name] for name in values if name not in {item.name for item in added}}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> InputSpec:
        """Create an InputSpec from the result of to_json().

        Raises:
            DataError: a field is missing, or its value is out of range.
        """
        return cls.from_fields(Fields(fields, "the input of a model"))

    @classmethod
    def from_fields(cls, fields: Fields) -> InputSpec:
        """Create an InputSpec from the result of to_json() in a file.

        Raises:
            DataError: a field is missing, or its value is out of range.
        """
        height, width = fields.integer("height", 1, MAX_SIDE), fields.integer("width", 1, MAX_SIDE)
        channels = fields.choice("channels", tuple(CHANNELS), default="gray")
        clahe = None
        if fields.values.get("clahe"):
            if channels != "gray":
                raise fields.error("clahe", "null for an input in color")
            table = fields.object("clahe")
            tiles = table.integer("tiles", 1, min(height, width))
            clahe = Clahe(table.number("clip_limit", 0, MAX_CLIP_LIMIT), tiles)
        lengths = {1, CHANNELS[channels]}
        return cls(
            height,
            width,
            clahe,
            channels,
            fields.numbers("mean", lengths, -MAX_MEAN, MAX_MEAN, default=cls.mean),
            fields.numbers("std", lengths, MIN_STD, MAX_STD, default=cls.std),
            fields.choice("resize", tuple(RESIZING), default="area"),
        )


def prepare(image: npt.NDArray[Any] | None, spec: InputSpec) -> Image:
    """Convert an image to the input of a model.

    An image of the right size and channels keeps its bytes, unless the spec includes CLAHE.

    Args:
        image: uint8 gray (h, w) or (h, w, 1), BGR (h, w, 3) or BGRA (h, w, 4); None raises DataError.
        spec: input of the model.

    Returns:
        uint8 ``spec.shape``.

    Raises:
        DataError: the image is empty, or has another shape or dtype.
    """
    pixels = to_gray(image) if spec.channels == "gray" else _to_bgr(image)
    if pixels.shape[:2] != (spec.height, spec.width):
        shrinks = pixels.shape[0] >= spec.height and pixels.shape[1] >= spec.width
        interpolation = RESIZING[spec.resize][0 if shrinks else 1]
        pixels = np.asarray(cv2.resize(pixels, (spec.width, spec.height), interpolation=interpolation), np.uint8)
    if spec.clahe is not None:
        tiles = (spec.clahe.tiles, spec.clahe.tiles)
        pixels = np.asarray(cv2.createCLAHE(spec.clahe.clip_limit, tiles).apply(pixels), np.uint8)
    return np.ascontiguousarray(pixels[..., ::-1] if spec.channels == "rgb" else pixels)


def prepare_all(images: npt.NDArray[np.uint8], spec: InputSpec) -> Image:
    """Convert gray (n, h, w) or BGR (n, h, w, 3) images, uint8, to inputs, uint8 (n, *spec.shape), with prepare()."""
    prepared = np.empty((len(images), *spec.shape), np.uint8)
    for index, image in enumerate(images):
        prepared[index] = prepare(image, spec)
    return prepared


def with_channels(faces: Image) -> Image:
    """Return prepared faces, uint8 (n, *spec.shape), with an axis of channels: (n, h, w, 1) or (n, h, w, 3)."""
    return faces[..., None] if faces.ndim == 3 else faces


def to_gray(image: npt.NDArray[Any] | None) -> Image:
    """Convert a gray, BGR or BGRA image to gray, uint8 (h, w).

    Raises:
        DataError: the image is empty, or has another shape or dtype.
    """
    pixels = require_image(image)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return pixels.reshape(pixels.shape[:2])
    code = cv2.COLOR_BGR2GRAY if pixels.shape[2] == 3 else cv2.COLOR_BGRA2GRAY
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def _to_bgr(image: npt.NDArray[Any] | None) -> Image:
    pixels = require_image(image)
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        return pixels[..., :3]
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)


def require_image(image: npt.NDArray[Any] | None) -> Image:
    """Return a gray, BGR or BGRA image unchanged.

    Raises:
        DataError: the image is empty, or has another shape or dtype.
    """
    if image is None:
        # cv2.imread() returns None for a file that it cannot read.
        raise DataError("the image is None", why="cv2.imread() could not read the file", hint="a JPEG or PNG file")
    if not isinstance(image, np.ndarray):
        what, why = f"the image is a {type(image).__name__}", "expected a numpy array, uint8 in 0..255"
        raise DataError(what, why=why, hint="cv2.imread('photo.jpg')")
    if image.dtype != np.uint8:
        hint = "image.astype('uint8'), or (255 * image).astype('uint8') for values in 0..1"
        raise DataError(f"the image has dtype {image.dtype}", why="expected uint8 in 0..255", hint=hint)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or image.size == 0 or channels not in (1, 3, 4):
        raise DataError(f"the image has shape {image.shape}", why="expected (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)")
    return image


def encoder(params: QuantParams, spec: InputSpec = InputSpec()) -> npt.NDArray[Any]:
    """Return the table from pixels to values of an input tensor, for encode().

    A value is (pixel - mean) / std for float32 and its quantization for integers. For the int8 models of edgefer it is
    pixel - 128.

    Args:
        params: dtype, scale and zero point of the input tensor.
        spec: input of the model.

    Returns:
        (256,) of ``params.dtype``, or (256, 3) if channels differ.
    """
    pixels = np.arange(256, dtype=np.float32)[:, None]
    mean, std = (np.array(values, np.float32) for values in (spec.mean, spec.std))
    real: npt.NDArray[np.float32] = (pixels - mean) / std
    table = quantize(real, params)
    return np.ascontiguousarray(table[:, 0]) if table.shape[1] == 1 else table


def encode(table: npt.NDArray[Any], faces: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Look up prepared faces, uint8 (..., *spec.shape), in a table of encoder(); the shape stays the same."""
    return table[faces] if table.ndim == 1 else table[faces, np.arange(table.shape[1])]
