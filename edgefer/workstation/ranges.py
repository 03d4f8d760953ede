"""The range of each activation, from what the layers of the float model put out for the calibration faces.

    observed = Ranges(graph)
    for values in activations(model, faces):
        observed.see(values)
    observed.note("percentile")                     # into the graph, where the quantizer reads it

A wide range spends its 256 steps on values that hardly occur, a narrow one clips what does. Methods:

- "min-max": from the smallest value to the largest; nothing that the faces produced is clipped.
- "percentile": leaves out 0.01 % of the values at each end, as in Wu et al., "Integer quantization for deep learning
  inference", 2020, section 5.2, which finds 99.99 % best or near it for most networks.
- "moving-average": each face's smallest and largest value, averaged over the faces. Frameworks average over batches as
  they pass (Jacob et al., "Quantization and training of neural networks", CVPR 2018, section 3.1); here each face
  counts the same, so that their order does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError
from edgefer.workstation.flatbuffer import Flatbuffer

__all__ = ["Ranges"]

PERCENT_CLIPPED = 0.01
# Values kept of each face and tensor: a million for 500 faces, of which a hundred are beyond the percentile.
SAMPLE = 2048


class Ranges:
    """What has been seen of each activation of ``graph``, which is a float model."""

    def __init__(self, graph: Flatbuffer) -> None:
        self._graph = graph
        self._tensors = [index for op in graph.ops for index in op.outputs]
        self._lows: dict[int, list[float]] = {index: [] for index in self._tensors}
        self._highs: dict[int, list[float]] = {index: [] for index in self._tensors}
        self._samples: dict[int, list[npt.NDArray[np.float32]]] = {index: [] for index in self._tensors}

    def see(self, values: Callable[[int], npt.NDArray[Any]]) -> None:
        """Take in what one face produces."""
        for index in self._tensors:
            found = values(index)
            self._lows[index].append(float(found.min()))
            self._highs[index].append(float(found.max()))
            self._samples[index].append(found.ravel()[:: _stride(found.size, found.shape[-1])].copy())

    def range_of(self, tensor: int, method: str) -> tuple[float, float]:
        """(low, high) of an activation; ``method`` is one of the three above."""
        lows, highs = self._lows[tensor], self._highs[tensor]
        if not np.isfinite([*lows, *highs]).all():
            why = f"{self._graph.name(tensor)} puts out values that are not finite"
            raise DataError("the model cannot be quantized", why=why, fix="edgefer train   (a new run)")
        if method == "min-max":
            return min(lows), max(highs)
        if method == "moving-average":
            return float(np.mean(lows)), float(np.mean(highs))
        low, high = np.percentile(np.concatenate(self._samples[tensor]), [PERCENT_CLIPPED, 100 - PERCENT_CLIPPED])
        return float(low), float(high)

    def note(self, method: str) -> None:
        """Write all ranges into the graph; the input's is [0, 1], which makes a pixel its own step."""
        for index in self._tensors:
            low, high = self.range_of(index, method)
            if low == high == 0:
                low, high = self.range_of(index, "min-max")
            # No runtime takes a scale of zero; what is always zero can have any other.
            self._graph.set_range(index, low, high if low or high else 1.0)
        for index in self._graph.inputs:
            self._graph.set_range(index, 0.0, 1.0)


def _stride(size: int, channels: int) -> int:
    """The step through ``size`` values that leaves SAMPLE of them and does not fall into step with the channels."""
    stride = max(1, size // SAMPLE) | 1
    while math.gcd(stride, channels) > 1:
        stride += 2
    return stride
