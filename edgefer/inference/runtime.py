"""One TensorFlow Lite interpreter behind one face, whichever wheel it comes from.

    module = choose("auto")                         # litert, else tflite_runtime
    runtime = module.open_model(artifact.model, threads=1)
    runtime.set_input(array)                        # shape and dtype as runtime.input says
    runtime.invoke()
    raw = runtime.get_output()

A new runtime is a file in ``runtimes/`` that has what RuntimeModule asks for; nothing else is edited.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.quantization_params import QuantParams
from edgefer.errors import IncompatibleError, UsageError
from edgefer.processes import suppress_native_output

__all__ = ["InterpreterRuntime", "Runtime", "RuntimeModule", "TensorSpec", "open_interpreter", "select_runtime"]

RUNTIMES = "edgefer.inference.runtimes"
# More than any board has cores; asked for a hundred thousand, LiteRT starts them until the process crashes.
MAX_THREADS = 1024

RESOLVERS = {
    # The wheel's own choice: XNNPACK takes the operations it knows, the optimized built-in kernels the rest.
    "default": "BUILTIN",
    # The optimized built-in kernels alone: what a wheel without XNNPACK for int8 runs.
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    # Plain loops written from the quantization specification, slow, without any delegate. "builtin" would still be one
    # optimization among others; to ask whether an optimization changed the answers takes this one.
    "reference": "BUILTIN_REF",
}


@dataclass(frozen=True)
class TensorSpec:
    """Shape and number format of a model's input or output, as the model itself says.

    Attributes:
        shape: such as (1, 48, 48, 1) for an input and (1, 7) for an output.
        params: dtype, and scale and zero point where it is quantized.
    """

    shape: tuple[int, ...]
    params: QuantParams


class Runtime(Protocol):
    """A model that is loaded and ready to run; it belongs to one thread.

    The three steps are apart so that a bench can time them apart. None of them checks more than the interpreter does.
    """

    @property
    def name(self) -> str:
        """The entry of ``runtimes/`` that opened it."""

    @property
    def version(self) -> str:
        """The version of the wheel."""

    @property
    def input(self) -> TensorSpec:
        """The one input."""

    @property
    def output(self) -> TensorSpec:
        """The one output."""

    def set_input(self, array: npt.NDArray[Any]) -> None:
        """Copy ``array``, of exactly the shape and dtype of ``input``, into the model."""

    def invoke(self) -> None:
        """Run the model once."""

    def get_output(self) -> npt.NDArray[Any]:
        """A copy of the output, with the shape and dtype of ``output``; later runs leave it alone."""


class RuntimeModule(Protocol):
    """What a file in ``runtimes/`` defines.

    Attributes:
        INSTALL: the command that installs the wheel.
        PREFERENCE: "auto" takes the available runtime with the lowest.
    """

    INSTALL: str
    PREFERENCE: int

    def available(self) -> str | None:
        """The version of the installed wheel, or None; imports nothing."""

    def load(self) -> ModuleType:
        """Import the wheel; apart from open_model(), so that a bench does not count the import as loading the model.

        Raises:
            IncompatibleError: the wheel cannot run in this Python.
        """

    def open_model(self, model: bytes, *, threads: int = 1, kernels: str = "default") -> Runtime:
        """Load a flatbuffer (bytes behind it are ignored) and allocate its tensors.

        Args:
            model: the content of a .tflite.
            threads: how many threads the kernels may use.
            kernels: "default" (XNNPACK where the wheel has it), "builtin" or "reference".

        Raises:
            IncompatibleError: not a model, or one that this runtime is too old for.
            UsageError: threads not in 1..1024, or no such kernels.
        """


class InterpreterRuntime:
    """A Runtime over the ``Interpreter`` of any of the wheels, which share one API.

    set_tensor() and get_tensor() copy at C level; for a face they are faster than writing through the array that
    ``interpreter.tensor(index)()`` gives, and unlike it they leave no array behind that would forbid invoke().
    """

    def __init__(self, interpreter: Any, *, name: str, version: str) -> None:
        """``interpreter`` has its tensors allocated.

        Raises:
            IncompatibleError: the model has more than one input or output.
        """
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if (len(inputs), len(outputs)) != (1, 1):
            raise IncompatibleError(
                f"a model with {len(inputs)} inputs and {len(outputs)} outputs", why="one of each was expected"
            )
        self.name, self.version = name, version
        self.input, self.output = _tensor_spec(inputs[0]), _tensor_spec(outputs[0])
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        self._set_tensor, self._get_tensor = interpreter.set_tensor, interpreter.get_tensor
        self.invoke = interpreter.invoke

    @classmethod
    def open(
        cls, wheel: ModuleType, model: bytes, *, threads: int, kernels: str, name: str, version: str
    ) -> InterpreterRuntime:
        """Load ``model`` with ``wheel``, a module that has Interpreter and OpResolverType; raises as open_model()."""
        interpreter = open_interpreter(wheel, model, threads=threads, kernels=kernels, name=name, version=version)
        return cls(interpreter, name=name, version=version)

    def set_input(self, array: npt.NDArray[Any]) -> None:
        """As Runtime.set_input()."""
        self._set_tensor(self._input_index, array)

    def get_output(self) -> npt.NDArray[Any]:
        """As Runtime.get_output()."""
        return cast("npt.NDArray[Any]", self._get_tensor(self._output_index))


def open_interpreter(
    wheel: ModuleType,
    model: bytes,
    *,
    threads: int = 1,
    kernels: str = "default",
    keep_tensors: bool = False,
    name: str,
    version: str,
) -> Any:
    """The wheel's own ``Interpreter`` of ``model`` with its tensors allocated, for what a Runtime does not show.

    ``wheel`` is a module that has Interpreter and OpResolverType; ``keep_tensors`` keeps the values between the layers
    until the next run, except inside a delegate. Raises as RuntimeModule.open_model().
    """
    if not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"{threads} threads", why=f"1 to {MAX_THREADS} are possible", hint="--threads 1")
    if kernels not in RESOLVERS:
        raise UsageError(f"no kernels {kernels!r}", why=f"there are {', '.join(RESOLVERS)}", hint="leave it out")
    # tflite-runtime does not verify a flatbuffer and crashes on other files, so look at the file identifier here.
    if model[4:8] != b"TFL3":
        raise IncompatibleError("not a TensorFlow Lite model", why="the file identifier TFL3 is missing")
    resolver = getattr(wheel.OpResolverType, RESOLVERS[kernels])
    try:
        with suppress_native_output():
            interpreter = wheel.Interpreter(
                model_content=model,
                num_threads=threads,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=keep_tensors,
            )
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise IncompatibleError(
            f"{name} {version} cannot load the model",
            why=" ".join(str(error).split()),
            hint="another runtime (--runtime), or a newer one: pip install --upgrade ai-edge-litert",
        ) from error
    return interpreter


def select_runtime(name: str | None = None) -> RuntimeModule:
    """The runtime ``name``; None or "auto" takes the best that is installed.

    Raises:
        UsageError: there is no runtime of that name.
        IncompatibleError: it is not installed; the message carries the line that installs it.
    """
    if name is not None and name != "auto":
        module = cast("RuntimeModule", plugins.load(RUNTIMES, name))
        if module.available() is None:
            raise IncompatibleError(f"the runtime {name} is not installed here", hint=module.INSTALL)
        return module
    modules = [cast("RuntimeModule", plugins.load(RUNTIMES, each)) for each in plugins.names(RUNTIMES)]
    modules.sort(key=lambda module: module.PREFERENCE)
    for module in modules:
        if module.available() is not None:
            return module
    raise IncompatibleError(
        "no TensorFlow Lite runtime is installed here",
        why=f"looked for {', '.join(plugins.names(RUNTIMES))}",
        hint=modules[0].INSTALL,
    )


def _tensor_spec(details: dict[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    params = QuantParams(scale=float(scale), zero_point=int(zero_point), dtype=np.dtype(details["dtype"]).name)
    return TensorSpec(shape=tuple(int(size) for size in details["shape"]), params=params)
