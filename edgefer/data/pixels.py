"""Pixels of many faces that need not fit into memory: read by position, in chunks.

    pixels[3], pixels[100:200], pixels[positions]   # always arrays: uint8 (h, w), (100, h, w), (n, h, w)
    for chunk in chunks(pixels): ...                # all faces in order, in arrays of at most 32 MiB
    subset(pixels, positions), prepared(pixels, spec)

An array is such a sequence of faces, too. Small data sets are arrays; larger ones are LazyPixels, which compute or read
faces when they are indexed. pixel_files.py stores them in files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import InputSpec, prepare_all

__all__ = ["LazyPixels", "Pixels", "chunks", "nbytes", "prepared", "subset"]

CHUNK_BYTES = 32 << 20

Faces = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


class Pixels(Protocol):
    """Faces that are read by position: an array, uint8 (n, h, w) or (n, h, w, channels), or LazyPixels."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """Number of faces, height, width and, in color, channels."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the faces, always uint8."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any:
        """Return one face by an integer, or several by a slice, positions or a mask (n,)."""

    def __iter__(self) -> Iterator[Any]: ...


class LazyPixels(ABC):
    """Faces that are read or computed when they are indexed.

    Attributes:
        shape: number of faces, height, width and, in color, channels.
        dtype: uint8.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @abstractmethod
    def read(self, positions: Positions) -> Faces:
        """Return the faces at positions from 0 to n - 1, uint8 (len(positions), h, w) or with channels."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Faces:
        """Return one face by an integer, or several by a slice, positions or a mask (n,).

        Raises:
            IndexError: a position is out of range, or the key is no such index.
        """
        positions = _positions(key, len(self))
        face_or_faces: Faces = self.read(np.atleast_1d(positions))[0 if positions.ndim == 0 else slice(None)]
        return face_or_faces

    def __iter__(self) -> Iterator[Faces]:
        for chunk in chunks(self):
            yield from chunk

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Read all faces into memory."""
        return self.read(np.arange(len(self))).astype(dtype or self.dtype, copy=False)


class _Subset(LazyPixels):
    """Some faces of other pixels, in the order of their positions."""

    def __init__(self, pixels: LazyPixels, positions: Positions) -> None:
        super().__init__((len(positions), *pixels.shape[1:]))
        self.pixels, self.positions = pixels, positions

    def read(self, positions: Positions) -> Faces:
        return self.pixels.read(self.positions[positions])


class _Prepared(LazyPixels):
    """Other pixels, converted to the input of a model whenever they are read."""

    def __init__(self, pixels: LazyPixels, spec: InputSpec) -> None:
        super().__init__((len(pixels), *spec.shape))
        self.pixels, self.spec = pixels, spec

    def read(self, positions: Positions) -> Faces:
        return prepare_all(self.pixels.read(positions), self.spec)


def subset(pixels: Pixels, chosen: Any) -> Pixels:
    """Return the faces at these positions, or in this mask (n,): a copy of an array, or an index into LazyPixels."""
    if not isinstance(pixels, LazyPixels):
        copied: Pixels = pixels[chosen]
        return copied
    positions = np.atleast_1d(_positions(chosen, len(pixels)))
    if isinstance(pixels, _Subset):
        return _Subset(pixels.pixels, pixels.positions[positions])
    return _Subset(pixels, positions)


def prepared(pixels: Pixels, spec: InputSpec) -> Pixels:
    """Return gray (n, h, w) or BGR (n, h, w, 3) pixels as inputs of a model, uint8 (n, *spec.shape).

    LazyPixels are prepared whenever they are read. Pixels that prepare() would keep are returned as they are.
    """
    if tuple(pixels.shape[1:]) == spec.shape and spec.clahe is None and spec.channels != "rgb":
        return pixels
    return _Prepared(pixels, spec) if isinstance(pixels, LazyPixels) else prepare_all(np.asarray(pixels), spec)


def chunks(pixels: Pixels, *, multiple: int = 1, limit_bytes: int = CHUNK_BYTES) -> Iterator[Faces]:
    """Yield all faces in order, in arrays of at most ``limit_bytes``, or of ``multiple`` faces if those are more.

    Args:
        pixels: faces.
        multiple: the number of faces in each array, except for the last, is a multiple of it.
        limit_bytes: size of an array in bytes.
    """
    size = max(1, limit_bytes // max(1, nbytes(pixels) // max(1, len(pixels))) // multiple) * multiple
    for start in range(0, len(pixels), size):
        yield pixels[start : start + size]


def nbytes(pixels: Pixels) -> int:
    """Return the size of all faces in bytes."""
    return int(np.prod(pixels.shape, dtype=np.int64))


def _positions(key: Any, count: int) -> Positions:
    """Return positions from 0 to ``count`` - 1: int64 () for an integer, otherwise int64 (n,)."""
    if isinstance(key, slice):
        return np.arange(*key.indices(count), dtype=np.int64)
    index = np.asarray(key)
    if index.size == 0 and index.ndim == 1:
        return np.empty(0, np.int64)
    if index.dtype == np.bool_ and index.shape == (count,):
        return np.flatnonzero(index)
    if index.dtype.kind not in "iu" or index.ndim > 1 or isinstance(key, tuple):
        raise IndexError(f"faces are indexed by positions or by a mask ({count:,},), not by {type(key).__name__}")
    if index.min() < -count or index.max() >= count:
        raise IndexError(f"position {index.min()} or {index.max()} of {count:,} faces")
    return np.where(index < 0, index + count, index).astype(np.int64)
