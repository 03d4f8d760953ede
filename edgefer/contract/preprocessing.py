"""Convert an image of a face to the input of a model: uint8 gray (48, 48). The only preprocessing in edgefer.

    image = read_image(path.read_bytes())           # uint8 BGR (h, w, 3)
    face = prepare(image, InputSpec())              # uint8 (48, 48)

Training, calibration, evaluation, benchmarks and live mode all call prepare(), so a board feeds a model the same bytes
as training. There is no mean, no standard deviation and no range [-1, 1]: the float domain of a model is pixel / 255.
encoder() returns the table from pixels to the numbers of the input tensor.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.contract.exif import orient
from edgefer.contract.fields import Fields
from edgefer.contract.image_header import MAX_MEMORY_BYTES, read_header
from edgefer.contract.quantization_params import QuantParams, quantize
from edgefer.errors import DataError

__all__ = ["Clahe", "InputSpec", "encoder", "prepare", "prepare_all", "read_image", "to_gray"]

Image = npt.NDArray[np.uint8]
# Pixels per side of a model's input.
MAX_SIDE = 512
# OpenCV converts the clip limit to an integer number of pixels per histogram bin.
MAX_CLIP_LIMIT = 1000.0
DECODING = {
    1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8,
}  # fmt: skip


# Ends of the formats that other programs show without them.
ENDS = {"jpeg": b"\xff\xd9", "png": b"\0\0\0\0IEND\xae\x42\x60\x82"}
# Bytes at the end of a JPEG that hold at least one block and less than a row of them, and the height of such a row.
LAST_BYTES, MAX_MISSING_ROWS = 16, 16


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

    Attributes:
        height, width: size in pixels.
        clahe: local contrast equalization after resizing, or None.
    """

    height: int = 48
    width: int = 48
    clahe: Clahe | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON-compatible values; from_json() is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> InputSpec:
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
        if not fields.values.get("clahe"):
            return cls(height, width)
        clahe = fields.object("clahe")
        tiles = clahe.integer("tiles", 1, min(height, width))
        return cls(height, width, Clahe(clahe.number("clip_limit", 0, MAX_CLIP_LIMIT), tiles))


def read_image(content: bytes, *, reduction: int = 1) -> Image:
    """Decode an image file to uint8 BGR (h, w, 3), rotated according to its EXIF orientation.

    The result always has three channels. The gray of libjpeg differs by a step in places from the gray of the decoded
    colors, so decoding to gray would give a second input for the same face.

    Args:
        content: content of the file.
        reduction: 1, 2, 4 or 8; divides height and width. A JPEG is then not decoded at full size.

    Raises:
        DataError: the image is damaged, cut short or too large, or OpenCV cannot decode its format.
    """
    header = read_header(io.BytesIO(content))
    if header is None:
        raise _cannot_read(content)
    if header.memory_bytes(reduction) > MAX_MEMORY_BYTES:
        why = f"{header.width:,} x {header.height:,} pixels"
        raise DataError("the image is too large to decode", why=why, hint="crop it to the face")
    # Versions of OpenCV differ in the formats whose orientation they apply.
    flags = DECODING[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    image = _decode(content, flags)
    if image is None and header.format in ENDS:
        image = _decode_without_end(content, header.format, flags)
    if image is None:
        raise _cannot_read(content)
    return orient(image, header.orientation)


def _cannot_read(content: bytes) -> DataError:
    for start, end in ((b"\xff\xd8", ENDS["jpeg"]), (b"\x89PNG", ENDS["png"])):
        if content.startswith(start) and end not in content:
            return DataError("the image was cut short", why="its end is missing", hint="copy it again")
    why = f"{len(content)} bytes, damaged or in an unknown format" if content else "the file is empty"
    return DataError("OpenCV cannot read the image", why=why, hint="a JPEG or PNG file")


def _decode(content: bytes, flags: int) -> Image | None:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        # OpenCV raises only if the image exceeds its limit on pixels or the available memory.
        why = f"OpenCV: {error.err or error}"
        raise DataError("the image is too large to decode", why=why, hint="crop it to the face") from error
    return None if image is None else np.asarray(image, np.uint8)


def _decode_without_end(content: bytes, kind: str, flags: int) -> Image | None:
    """Decode a JPEG or PNG that lacks its end marker; a picture with missing rows is an error, not half a picture."""
    if kind == "png":
        # libpng accepts no missing rows.
        return _decode(content + ENDS[kind], flags)
    image, shorter = (_decode(part + ENDS[kind], flags) for part in (content, content[:-LAST_BYTES]))
    if image is None or shorter is None:
        return image
    # libjpeg fills missing rows with gray. If they were in the file, its last bytes would be among them. In a
    # progressive JPEG, missing data is detail and not rows.
    is_filled = (image == image[-1, -1]).all(axis=(1, 2))
    missing = len(image) if is_filled.all() else int(is_filled[::-1].argmin())
    changed = (image != shorter).any(axis=(1, 2))
    if missing > MAX_MISSING_ROWS and changed.any() and not changed[-missing:].any():
        why = f"{missing} of {len(image)} rows of pixels are missing"
        raise DataError("the image was cut short", why=why, hint="copy it again")
    return image


def prepare(image: npt.NDArray[Any] | None, spec: InputSpec) -> Image:
    """Convert an image to the input of a model.

    A gray image of the right size keeps its bytes, unless the spec includes CLAHE.

    Args:
        image: uint8 gray (h, w) or (h, w, 1), BGR (h, w, 3) or BGRA (h, w, 4); None raises DataError.
        spec: input of the model.

    Returns:
        uint8 (spec.height, spec.width).

    Raises:
        DataError: the image is empty, or has another shape or dtype.
    """
    gray = to_gray(image)
    if gray.shape != (spec.height, spec.width):
        # INTER_AREA avoids aliasing when an image shrinks. When it grows, INTER_AREA would be nearest neighbor.
        shrinks = gray.shape[0] >= spec.height and gray.shape[1] >= spec.width
        gray = np.asarray(
            cv2.resize(gray, (spec.width, spec.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR),
            np.uint8,
        )
    if spec.clahe is not None:
        tiles = (spec.clahe.tiles, spec.clahe.tiles)
        gray = np.asarray(cv2.createCLAHE(spec.clahe.clip_limit, tiles).apply(gray), np.uint8)
    return np.ascontiguousarray(gray)


def prepare_all(images: npt.NDArray[np.uint8], spec: InputSpec) -> Image:
    """Convert gray images, uint8 (n, h, w), to inputs, uint8 (n, spec.height, spec.width), with prepare()."""
    prepared = np.empty((len(images), spec.height, spec.width), np.uint8)
    for index, image in enumerate(images):
        prepared[index] = prepare(image, spec)
    return prepared


def to_gray(image: npt.NDArray[Any] | None) -> Image:
    """Convert a gray, BGR or BGRA image to gray, uint8 (h, w).

    Raises:
        DataError: the image is empty, or has another shape or dtype.
    """
    if image is None:
        # cv2.imread() returns None for a file that it cannot read.
        raise DataError("the image is None", why="cv2.imread() could not read the file", hint="a JPEG or PNG file")
    if image.dtype != np.uint8:
        raise DataError(
            f"the image has dtype {image.dtype}", why="expected uint8 in 0..255", hint="image.astype('uint8')"
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or image.size == 0 or channels not in (1, 3, 4):
        raise DataError(f"the image has shape {image.shape}", why="expected (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)")
    if channels == 1:
        return image.reshape(image.shape[:2])
    code = cv2.COLOR_BGR2GRAY if channels == 3 else cv2.COLOR_BGRA2GRAY
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


def encoder(params: QuantParams) -> npt.NDArray[Any]:
    """Return the table from pixels to values of an input tensor, (256,) of ``params.dtype``.

    ``encoder(params)[faces]`` is the input of a model. A value is pixel / 255 for float32, pixel - 128 for the int8
    models of edgefer, and follows from scale and zero point for any other model.
    """
    return quantize(np.arange(256, dtype=np.float32) / np.float32(255), params)
