"""Decode image files to uint8 BGR arrays.

    image = read_image(path.read_bytes())           # uint8 BGR (h, w, 3), upright
"""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.contract.exif import orient, read_tags
from edgefer.contract.image_header import memory_limit, read_header
from edgefer.errors import DataError

__all__ = ["read_image"]

Image = npt.NDArray[np.uint8]
DECODING = {
    1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8,
}  # fmt: skip
# Every supported board has this much memory.
SMALL_MEMORY_BYTES = 32 * 2**20
# Formats of which OpenCV may lack the decoder, with their suffix. The oldest supported version lacks the first two.
OPTIONAL_FORMATS = {"gif": ".gif", "avif": ".avif", "jp2": ".jp2", "webp": ".webp", "tiff": ".tiff"}
# End markers of formats; other programs display images without them.
ENDS = {"jpeg": b"\xff\xd9", "png": b"\0\0\0\0IEND\xae\x42\x60\x82"}
# Tags and values of TIFF files.
BITS_PER_SAMPLE, SAMPLES_PER_PIXEL, EXTRA_SAMPLES, SAMPLE_FORMAT = 258, 277, 338, 339
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2
FLOAT_SAMPLES, MAX_SAMPLE_BITS = 3, 16
# Formats whose samples of 16 bits OpenCV divides by 256.
DEEP_FORMATS = ("png", "tiff")
ROWS = 64
# Chunks of a PNG that inflate to any size and do not change the pixels that OpenCV returns.
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
# Bytes at the end of a JPEG that contain at least one block but less than a row of blocks; height of a row of blocks.
LAST_BYTES, MAX_MISSING_ROWS = 16, 16


def read_image(content: bytes, *, reduction: int = 1) -> Image:
    """Decode an image file to uint8 BGR (h, w, 3), rotated according to its EXIF orientation.

    The result always has three channels. The gray of libjpeg differs by a step in places from the gray of the decoded
    colors, so decoding to gray would give a second input for the same face.

    Args:
        content: content of the file.
        reduction: 1, 2, 4 or 8; divides height and width. A JPEG is then not decoded at full size.

    Raises:
        DataError: the image is damaged, cut short or too large, OpenCV cannot decode its format, or its values have
            8 bits in samples of 16 bits.
    """
    header = read_header(io.BytesIO(content))
    if header is None:
        raise _cannot_read(content)
    # A face takes microseconds to decode, and reading the limit a hundred.
    memory_bytes = header.memory_bytes(reduction)
    if memory_bytes > SMALL_MEMORY_BYTES and memory_bytes > memory_limit():
        why = f"{header.width:,} x {header.height:,} pixels"
        raise DataError("the image is too large to decode", why=why, hint="crop it to the face")
    if header.format == "png":
        content = _without_texts(content)
    # Versions of OpenCV differ in the formats whose orientation they apply.
    flags = DECODING[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    is_multiplied = header.format == "tiff" and _is_multiplied(content)
    image = _decode_straight(content) if is_multiplied else _decode(content, flags)
    if image is None and header.format in ENDS:
        image = _decode_without_end(content, header.format, flags)
    if image is None:
        raise _no_decoder(header.format) or _unreadable_samples(header.format, content) or _cannot_read(content)
    if header.format in DEEP_FORMATS and image.max() <= 1:
        _check_depth(content)
    return orient(image, header.orientation)


def _without_texts(content: bytes) -> bytes:
    """Return a PNG without its compressed texts and color profile, which OpenCV would inflate and ignore.

    Raises:
        DataError: a chunk declares more bytes than the file has; OpenCV would allocate up to 2 GiB.
    """
    pieces, kept_from, place = [], 0, 8
    while place + 8 <= len(content):
        name = content[place + 4 : place + 8]
        if name == b"IEND":
            break
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        if end > len(content) + 12:  # the last chunk may lack its checksum and IEND
            raise DataError("the image was cut short", why="a chunk ends after the file", hint="copy it again")
        if name in TEXT_CHUNKS:
            pieces.append(content[kept_from:place])
            kept_from = end
        place = end
    return b"".join([*pieces, content[kept_from:]]) if pieces else content


def _cannot_read(content: bytes) -> DataError:
    for start, end in ((b"\xff\xd8", ENDS["jpeg"]), (b"\x89PNG", ENDS["png"])):
        if content.startswith(start) and end not in content:
            return DataError("the image was cut short", why="its end is missing", hint="copy it again")
    why = f"{len(content)} bytes, damaged or in an unknown format" if content else "the file is empty"
    return DataError("OpenCV cannot read the image", why=why, hint="a JPEG or PNG file")


def _no_decoder(kind: str) -> DataError | None:
    """Return the error for a format that this build of OpenCV does not decode; None if it does."""
    # OpenCV has the encoder of a format if it has the decoder, and recognizes the encoder without a file.
    if kind not in OPTIONAL_FORMATS or cv2.haveImageWriter(OPTIONAL_FORMATS[kind]):
        return None
    why = f"OpenCV {cv2.__version__} does not decode {kind.upper()} images"
    return DataError("OpenCV cannot read the image", why=why, hint="convert it to JPEG")


def _unreadable_samples(kind: str, content: bytes) -> DataError | None:
    """Return the error for a TIFF file with floats or wide integers, which OpenCV does not convert; None for others."""
    tags = read_tags(io.BytesIO(content)) if kind == "tiff" else {}
    bits, is_float = max(tags.get(BITS_PER_SAMPLE, ()), default=1), FLOAT_SAMPLES in tags.get(SAMPLE_FORMAT, ())
    if bits <= MAX_SAMPLE_BITS and not is_float:
        return None
    what = f"the TIFF image has {bits}-bit {'float' if is_float else 'integer'} samples"
    return DataError(what, why="expected integers of 8 or 16 bits", hint="convert it to 8 bits, from 0 to 255")


def _check_depth(content: bytes) -> None:
    """Refuse values of 8 bits in samples of 16 bits, of which OpenCV makes a black image.

    Raises:
        DataError: no value of the image exceeds 255 of 65,535, and not all are 0.
    """
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # more memory than the image of 8 bits takes
        return
    if decoded is None or decoded.dtype != np.uint16:
        return
    largest = int(decoded[..., :3].max() if decoded.ndim == 3 else decoded.max())
    if 0 < largest <= 255:
        why = f"its largest value is {largest} of 65,535, so that it would be black"
        raise DataError("the image has 8-bit values in 16-bit samples", why=why, hint="save it with 8 bits per sample")


def _decode(content: bytes, flags: int) -> Image | None:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        # OpenCV raises only if the image exceeds its limit on pixels or the available memory.
        why = f"OpenCV: {error.err or error}"
        raise DataError("the image is too large to decode", why=why, hint="crop it to the face") from error
    return None if image is None else np.asarray(image, np.uint8)


def _is_multiplied(content: bytes) -> bool:
    """Return True for a TIFF file whose colors OpenCV returns multiplied by alpha; those of a PNG file are not.

    libtiff multiplies colors with separate alpha, and leaves those that the file stores multiplied.
    """
    tags = read_tags(io.BytesIO(content))
    is_rgba = tags.get(SAMPLES_PER_PIXEL) == (4,) and set(tags.get(BITS_PER_SAMPLE, ())) == {8}
    return is_rgba and tags.get(EXTRA_SAMPLES, (0,))[0] in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA)


def _decode_straight(content: bytes) -> Image | None:
    """Decode a TIFF file with alpha, and divide the colors by it; a transparent pixel becomes black."""
    decoded = _decode(content, cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 3 or decoded.shape[2] != 4:
        return _decode(content, DECODING[1] | cv2.IMREAD_IGNORE_ORIENTATION)
    image = np.empty((*decoded.shape[:2], 3), np.uint8)
    # In parts, because the intermediate values take four times the memory.
    for start in range(0, len(image), ROWS):
        part = decoded[start : start + ROWS].astype(np.uint32)
        alpha = np.maximum(part[..., 3:], 1)
        image[start : start + ROWS] = np.minimum((part[..., :3] * 255 + alpha // 2) // alpha, 255)
    return image


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
