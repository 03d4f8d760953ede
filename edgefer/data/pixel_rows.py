"""Parse rows of gray pixels, all of one square size.

    rows = PixelRows()
    rows.add(parse_pixels("70 80 82 ...".split()), place="line 2")      # 2,304 values are 48 x 48
    faces = resized(rows.array(), options.spec)         # 48 x 48 stays; other sizes as prepare() resizes pictures

The most frequent size of the first rows, by usual_side(), is that of the table; without it, the first row decides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import InputSpec, prepare_all
from edgefer.data.naming import counted, quote, quote_name
from edgefer.data.pictures import stored_spec
from edgefer.data.records import ReadOptions
from edgefer.data.table_columns import LIST_SEPARATORS
from edgefer.errors import UsageError

__all__ = [
    "SAMPLED_ROWS", "SIDE", "BadPixels", "PixelRows", "parse_pixels", "require_scenes", "resized", "square_side",
    "usual_side",
]  # fmt: skip

SIDE = 48
LEAST_SIDE = 8
LARGEST_SIDE = 1024
# Rows that decide on the size, so that one that is cut off does not make all others unusable.
SAMPLED_ROWS = 100
CHANNELS = (3, 4)
# The lookup parses and validates in one step: a text that is not an integer in 0..255 has no entry.
PIXEL = {str(value): value for value in range(256)}


def require_scenes(path: Path, options: ReadOptions) -> None:
    """Raise UsageError if faces are to be detected in rows of pixels."""
    if options.crop is not None:
        why = "its pixels are faces already; faces are detected in pictures of scenes"
        raise UsageError(f"--detect with {quote_name(path)}", why=why, hint="--no-detect")


class BadPixels(ValueError):
    """The reason why a row of pixels is unusable."""


class PixelRows:
    """Rows of pixels.

    Attributes:
        side: height and width of all rows; 0 until it is known.
        place: place of the first row of this size, for messages.
        pixels: the pixels of all rows.
    """

    def __init__(self, side: int = 0) -> None:
        self.side, self.place = side, ""
        self.pixels = bytearray()

    def add(self, face: bytes, *, place: str) -> None:
        """Append the pixels of a row.

        Raises:
            BadPixels: the pixels are no square, or a square of another size.
        """
        side = square_side(len(face))
        self.side = self.side or side
        if side != self.side or not side:
            values = counted(len(face), "value")
            raise BadPixels(f"pixels has {values}{_shape(len(face))}, expected {self._expected()}")
        self.place = self.place or place
        self.pixels += face

    def array(self) -> npt.NDArray[np.uint8]:
        """Return the rows at their size, uint8 (n, side, side)."""
        side = self.side or SIDE
        return np.frombuffer(self.pixels, np.uint8).reshape(-1, side, side)

    def _expected(self) -> str:
        if not self.side:
            return f"the square of a number, such as {SIDE * SIDE:,} ({SIDE} x {SIDE})"
        size = f"{self.side * self.side:,} ({self.side} x {self.side})"
        return f"{size} as in {self.place or 'most of the first rows'}"


def resized(faces: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Return faces at the size of a model's input; faces of 48 x 48 keep their size."""
    return faces if faces.shape[1:3] == (SIDE, SIDE) else prepare_all(faces, stored_spec(spec))


def square_side(count: int) -> int:
    """Return the side of a square picture with ``count`` pixels, or 0 if there is none of a usable size."""
    side = math.isqrt(count)
    return side if side * side == count and LEAST_SIDE <= side <= LARGEST_SIDE else 0


def usual_side(counts: Iterable[int]) -> int:
    """Return the most frequent side of squares with ``counts`` pixels, of equal ones the first; 0 without a square."""
    sides = Counter(filter(None, map(square_side, counts)))
    return max(sides, key=lambda side: sides[side], default=0)


def parse_pixels(tokens: Sequence[str]) -> bytes:
    """Parse pixels such as "70", "[70,", "[[70", "70.0".

    Raises:
        BadPixels: a value is not an integer in 0..255.
    """
    try:
        return bytes(map(PIXEL.__getitem__, tokens))
    except KeyError:
        return _parse_other_numbers(" ".join(tokens))


def _shape(count: int) -> str:
    """Describe the picture that a number of values may be: " (64 x 64)", or " (48 x 48 in 3 channels)"."""
    side = math.isqrt(count)
    if side >= LEAST_SIDE and side * side == count:
        return f" ({side} x {side})"
    for channels in CHANNELS:
        side = math.isqrt(count // channels)
        if side >= LEAST_SIDE and channels * side * side == count:
            return f" ({side} x {side} in {channels} channels; tables of pixels are gray)"
    return ""


def _parse_other_numbers(text: str) -> bytes:
    """Parse pixels such as "[70, 80]", "[[70 80] [82 72]]" and "70.0 80.0"."""
    tokens = text.translate(LIST_SEPARATORS).split()
    face = bytearray()
    for position, token in enumerate(tokens, start=1):
        try:
            number = float(token)
        except ValueError as error:
            if "..." in token:
                raise BadPixels(f"pixels is abbreviated: value {position} is '...'") from error
            raise BadPixels(f"pixels: value {position} is {quote(token, limit=20)}, expected a number") from error
        if not (0 <= number <= 255 and number.is_integer()):
            reason = f"pixels: value {position} is {quote(token, limit=20)}, expected an integer in 0..255"
            raise BadPixels(_fractions(tokens) or reason)
        face.append(int(number))
    return bytes(face)


def _fractions(tokens: list[str]) -> str:
    """Return the reason for pixels that are fractions in 0..1, or an empty string."""
    try:
        numbers = [float(token) for token in tokens]
    except ValueError:
        return ""
    if numbers and min(numbers) >= 0 and max(numbers) <= 1:
        return f"pixels has fractions from {min(numbers):g} to {max(numbers):g}, expected integers in 0..255"
    return ""
