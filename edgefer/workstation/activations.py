"""What each layer of a .tflite puts out for some faces.

    for values in activations(model, faces):
        values(tensor)                              # the tensor's values for this face, as the kernels left them

The optimized built-in kernels run it: a delegate would keep what lies between its layers to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.board.runtime import InterpreterRuntime, choose, open_interpreter
from edgefer.preprocess import encoder

__all__ = ["activations"]


def activations(model: bytes, faces: npt.NDArray[np.uint8]) -> Iterator[Callable[[int], npt.NDArray[Any]]]:
    """For each of uint8 (n, h, w): a function from a tensor's number to its values, valid until the next face.

    Of a quantized model the values are integer steps.
    """
    module = choose("litert")
    name, version = "litert", module.available() or ""
    interpreter = open_interpreter(
        module.load(), model, kernels="builtin", keep_tensors=True, name=name, version=version
    )
    runtime = InterpreterRuntime(interpreter, name=name, version=version)
    table = encoder(runtime.input.params)
    for face in faces:
        runtime.set_input(table[face].reshape(runtime.input.shape))
        runtime.invoke()
        yield interpreter.get_tensor
