"""Images that are decoded when a worker needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["DecodedImage", "ImageSource"]


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """Image in memory.

    Attributes:
        image: uint8 BGR (h, w, 3).
        reduction: pixels of the file per pixel of the image, in width and in height.
    """

    image: npt.NDArray[np.uint8]
    reduction: int = 1


@dataclass(frozen=True)
class ImageSource:
    """Image that can be decoded.

    Attributes:
        name: path of the file; for a frame of a video, followed by "#" and the frame number from 0.
        decode: reads and decodes the image; raises DataError on failure.
        memory_bytes: estimate of the peak memory of decode(); 0 if unknown or small.
    """

    name: str
    decode: Callable[[], DecodedImage]
    memory_bytes: int = 0

    def read(self) -> npt.NDArray[np.uint8]:
        """Return the decoded image, uint8 BGR (h, w, 3).

        Raises:
            DataError: the image cannot be read.
        """
        return self.decode().image
