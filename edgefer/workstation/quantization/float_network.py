"""A trained float network and the results that every quantization of it shares.

    network = FloatNetwork(model, faces)
    network.flatbuffer                              # converted on first use
    network.calibrator                              # calibrated on first use
    network.with_faces(other_faces).calibrator      # converted once, calibrated with other faces
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import InputSpec
from edgefer.errors import IncompatibleError
from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer

__all__ = ["FloatNetwork"]

# Operators that run other graphs of the model.
CONTROL_FLOW = ("WHILE", "IF", "STABLEHLO_WHILE", "STABLEHLO_CASE", "CALL_ONCE")


class FloatNetwork:
    """A Keras model with its calibration faces; conversion and calibration each happen once, on first use.

    Attributes:
        spec: input of the network.
        faces: prepared calibration faces, uint8 (n, *spec.shape), or None.
    """

    def __init__(
        self,
        model: Any,
        faces: npt.NDArray[np.uint8] | None = None,
        *,
        spec: InputSpec = InputSpec(),
        flatbuffer: bytes | None = None,
        load_model: Callable[[], Any] | None = None,
    ) -> None:
        """Combine a network with its calibration faces.

        Args:
            model: Keras model from float32 (n, h, w, channels) to logits (n, classes), or None.
            faces: prepared calibration faces.
            spec: input of the network.
            flatbuffer: the converted network, if the caller has it.
            load_model: function that returns the model on first use, if ``model`` is None.
        """
        self._load_model: Callable[[], Any] = load_model or (lambda: model)
        self.spec, self.faces = spec, faces
        if flatbuffer is not None:
            self.flatbuffer = flatbuffer

    @cached_property
    def model(self) -> Any:
        """The Keras model; loading one can raise UsageError or DataError."""
        return self._load_model()

    @cached_property
    def flatbuffer(self) -> bytes:
        """The float32 flatbuffer."""
        return convert(self.model)

    @cached_property
    def calibrator(self) -> Calibrator:
        """The float32 flatbuffer, calibrated with ``faces``.

        Raises:
            ValueError: the network has no calibration faces.
            IncompatibleError: the network cannot be calibrated.
        """
        return Calibrator(self.flatbuffer, self.require_faces(), self.spec)

    def require_faces(self) -> npt.NDArray[np.uint8]:
        """Return the calibration faces of a network that can be calibrated.

        Raises:
            ValueError: the network has no calibration faces.
            IncompatibleError: it computes in loops, whose activations calibration does not see.
        """
        if self.faces is None:
            raise ValueError("this scheme needs calibration faces")
        loops = sorted({op.kind for op in Flatbuffer(self.flatbuffer).ops if op.kind in CONTROL_FLOW})
        if loops:
            raise IncompatibleError(
                "the activations of the network cannot be quantized",
                why=f"its graph contains {', '.join(loops)}, as recurrent layers do; TensorFlow Lite crashes on these",
                hint="edgefer quantize --dynamic, which quantizes only weights, or --float16",
            )
        return self.faces

    def with_faces(self, faces: npt.NDArray[np.uint8]) -> FloatNetwork:
        """Return the same network, with the same flatbuffer, for other calibration faces."""
        return FloatNetwork(None, faces, spec=self.spec, flatbuffer=self.flatbuffer, load_model=lambda: self.model)
