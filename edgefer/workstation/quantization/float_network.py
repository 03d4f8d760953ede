"""A trained float network and the results that every quantization of it shares.

network = FloatNetwork(model, faces)
network.flatbuffer                              # converted on first use
network.calibrator                              # calibrated on first use
network.with_faces(other_faces).calibrator      # converted once, calibrated with other faces
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert

__all__ = ["FloatNetwork"]


class FloatNetwork:
    """A Keras model with its calibration faces; conversion and calibration each happen once, on first use.

    Attributes:
        model: Keras model from float32 (n, h, w, 1) in [0, 1] to logits (n, classes).
        faces: prepared calibration faces, uint8 (n, h, w), or None.
    """

    def __init__(self, model: Any, faces: npt.NDArray[np.uint8] | None = None) -> None:
        self.model = model
        self.faces = faces

    @cached_property
    def flatbuffer(self) -> bytes:
        """The float32 flatbuffer."""
        return convert(self.model)

    @cached_property
    def calibrator(self) -> Calibrator:
        """The float32 flatbuffer, calibrated with ``faces``.

        Raises:
            ValueError: the network has no calibration faces.
        """
        return Calibrator(self.flatbuffer, self.require_faces())

    def require_faces(self) -> npt.NDArray[np.uint8]:
        """Return the calibration faces, or raise ValueError if there are none."""
        if self.faces is None:
            raise ValueError("this scheme needs calibration faces")
        return self.faces

    def with_faces(self, faces: npt.NDArray[np.uint8]) -> FloatNetwork:
        """Return the same network, with the same flatbuffer, for other calibration faces."""
        other = FloatNetwork(self.model, faces)
        other.flatbuffer = self.flatbuffer
        return other
