"""Common interface to the TensorFlow Lite interpreters of several wheels.

    module = select_runtime("auto")                 # litert if installed, else tflite_runtime
    runtime = module.open_model(artifact.model, threads=1)
    runtime.set_input(array)                        # shape and dtype of runtime.input
    runtime.invoke()
    raw = runtime.get_output()

A new runtime is one file in ``runtimes/`` that implements RuntimeModule.
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

__all__ = [
    "MODEL_HINT", "InterpreterRuntime", "Runtime", "RuntimeModule", "TensorSpec", "cannot_run", "open_interpreter",
    "require_classifier", "select_runtime",
]  # fmt: skip

RUNTIMES = "edgefer.inference.runtimes"
# No board has more cores. LiteRT starts any number of threads: a hundred thousand crash the process.
MAX_THREADS = 1024

MODEL_HINT = "edgefer inspect MODEL shows its tensors; quantize or convert it again"
RUNTIME_HINT = "select another runtime with --runtime, or pip install --upgrade ai-edge-litert"
# The reference kernels of LiteRT lack operators that its other kernels have, such as ELU.
KERNELS_HINT = 'kernels="builtin"'
RESOLVERS = {
    # Default of the wheel: XNNPACK runs the operators that it supports, optimized built-in kernels the others.
    "default": "BUILTIN",
    # Optimized built-in kernels only, as in a wheel without XNNPACK for int8.
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    # Plain loops that follow the quantization specification: slow, without a delegate. They show whether an optimized
    # kernel changes the outputs; "builtin" is optimized itself.
    "reference": "BUILTIN_REF",
}


@dataclass(frozen=True)
class TensorSpec:
    """Shape and number format of a model's input or output, read from the model.

    Attributes:
        shape: for example (1, 48, 48, 1) for an input and (1, 7) for an output.
        params: dtype, and scale and zero point if the tensor is quantized.
    """

    shape: tuple[int, ...]
    params: QuantParams


class Runtime(Protocol):
    """Loaded model; use one instance per thread.

    A benchmark times set_input(), invoke() and get_output() separately. They check no more than the interpreter does.
    """

    @property
    def name(self) -> str:
        """Name of the module in ``runtimes/`` that loaded the model."""

    @property
    def version(self) -> str:
        """Version of the wheel."""

    @property
    def input(self) -> TensorSpec:
        """Specification of the input that set_input() fills."""

    @property
    def output(self) -> TensorSpec:
        """Specification of the output that get_output() returns."""

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the other inputs, which are zero, and of the other outputs; empty for a classifier of one image."""

    def set_input(self, array: npt.NDArray[Any]) -> None:
        """Copy ``array``, with the exact shape and dtype of ``input``, into the model."""

    def invoke(self) -> None:
        """Run the model once."""

    def get_output(self) -> npt.NDArray[Any]:
        """Return a copy of the output, with the shape and dtype of ``output``; later runs do not change it."""


class RuntimeModule(Protocol):
    """Interface of a module in ``runtimes/``.

    Attributes:
        INSTALL: command that installs the wheel.
        PREFERENCE: rank; "auto" selects the installed runtime with the lowest.
    """

    INSTALL: str
    PREFERENCE: int

    def available(self) -> str | None:
        """Return the version of the installed wheel, or None, without importing it."""

    def load(self) -> ModuleType:
        """Import the interpreter module of the wheel; a benchmark times this import apart from open_model().

        Raises:
            IncompatibleError: the wheel cannot run in this Python.
        """

    def open_model(self, model: bytes, *, threads: int = 1, kernels: str = "default") -> Runtime:
        """Load a flatbuffer and allocate its tensors; bytes behind the flatbuffer are ignored.

        Args:
            model: content of a .tflite.
            threads: threads of the kernels, 1 to 1024.
            kernels: "default" (XNNPACK if the wheel has it), "builtin" or "reference".

        Raises:
            IncompatibleError: ``model`` is not a model, or this runtime is too old for it.
            UsageError: ``threads`` is out of range, or the kernels do not exist.
        """


class InterpreterRuntime:
    """Runtime over the ``Interpreter`` of a wheel; all wheels share its API.

    set_tensor() and get_tensor() copy in C. For one face they are faster than the array of
    ``interpreter.tensor(index)()``, and they keep no reference that makes invoke() fail.
    """

    def __init__(self, interpreter: Any, *, name: str, version: str) -> None:
        """Wrap an interpreter whose tensors are allocated.

        Of several inputs, the first image is used, and the others are set to zero. Of several outputs, the first row
        of scores is used.

        Raises:
            IncompatibleError: the model has no input or no output, or one of them has no numbers.
        """
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if not inputs or not outputs:
            what = f"a model with {len(inputs)} inputs and {len(outputs)} outputs"
            raise IncompatibleError(what, why="expected one of each", hint=MODEL_HINT)
        self.name, self.version = name, version
        image = next((details for details in inputs if _is_image(details["shape"])), inputs[0])
        scores = next((details for details in outputs if _is_row(details["shape"])), outputs[0])
        self.input, self.output = _tensor_spec(image), _tensor_spec(scores)
        unused = [details for details in (*inputs, *outputs) if details is not image and details is not scores]
        self.others = tuple(str(details["name"]) for details in unused)
        for details in inputs:
            if details is not image:
                interpreter.set_tensor(details["index"], np.zeros(details["shape"], _tensor_spec(details).params.dtype))
        self._input_index, self._output_index = image["index"], scores["index"]
        self._set_tensor, self._get_tensor = interpreter.set_tensor, interpreter.get_tensor
        self.invoke = interpreter.invoke

    @classmethod
    def open(
        cls, wheel: ModuleType, model: bytes, *, threads: int, kernels: str, name: str, version: str
    ) -> InterpreterRuntime:
        """Load ``model`` with ``wheel``; open_interpreter() lists arguments and errors."""
        interpreter = open_interpreter(wheel, model, threads=threads, kernels=kernels, name=name, version=version)
        return cls(interpreter, name=name, version=version)

    def set_input(self, array: npt.NDArray[Any]) -> None:
        """Copy ``array``, with the exact shape and dtype of ``input``, into the model."""
        self._set_tensor(self._input_index, array)

    def get_output(self) -> npt.NDArray[Any]:
        """Return a copy of the output, with the shape and dtype of ``output``."""
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
    """Return the wheel's ``Interpreter`` of ``model`` with its tensors allocated.

    Args:
        wheel: module with Interpreter and OpResolverType.
        model: content of a .tflite.
        threads: threads of the kernels, 1 to 1024.
        kernels: "default", "builtin" or "reference".
        keep_tensors: keep intermediate tensors until the next run, except inside a delegate.
        name: name of the runtime, for error messages.
        version: version of the wheel, for error messages.

    Raises:
        IncompatibleError: ``model`` is not a model, or this runtime is too old for it.
        UsageError: ``threads`` is out of range, or the kernels do not exist.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"{threads} threads", why=f"expected 1 to {MAX_THREADS}", hint="--threads 1")
    if kernels not in RESOLVERS:
        raise UsageError(f"no kernels {kernels!r}", why=f"expected {', '.join(RESOLVERS)}", hint="leave it out")
    # tflite-runtime does not verify a flatbuffer and crashes on other files, so check the file identifier here.
    if model[4:8] != b"TFL3":
        why = "the file identifier TFL3 is missing"
        raise IncompatibleError("not a TensorFlow Lite model", why=why, hint=MODEL_HINT)
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
            hint=KERNELS_HINT if kernels == "reference" else RUNTIME_HINT,
        ) from error
    return interpreter


def require_classifier(runtime: Runtime) -> None:
    """Raise IncompatibleError if the model has more than one input or output."""
    if runtime.others:
        names = ", ".join(runtime.others[:3])
        raise IncompatibleError(
            "the model has several inputs or outputs",
            why=f"expected one image and one row of scores; it also has {names}",
            hint="edgefer bench MODEL measures its latency",
        )


def cannot_run(runtime: Runtime, error: Exception) -> IncompatibleError:
    """Return the error to raise for an exception of ``runtime`` during a run."""
    why = " ".join(str(error).split())
    return IncompatibleError(f"{runtime.name} {runtime.version} cannot run the model", why=why, hint=RUNTIME_HINT)


def select_runtime(name: str | None = None) -> RuntimeModule:
    """Return the runtime ``name``; None or "auto" selects the best that is installed.

    Raises:
        UsageError: the runtime does not exist.
        IncompatibleError: it is not installed; the hint is the command that installs it.
    """
    if name is not None and name != "auto":
        module = cast("RuntimeModule", plugins.load(RUNTIMES, name))
        if module.available() is None:
            raise IncompatibleError(f"the runtime {name} is not installed here", hint=module.INSTALL)
        return module
    modules = [cast("RuntimeModule", plugins.load(RUNTIMES, entry)) for entry in plugins.names(RUNTIMES)]
    modules.sort(key=lambda module: module.PREFERENCE)
    for module in modules:
        if module.available() is not None:
            return module
    raise IncompatibleError(
        "no TensorFlow Lite runtime is installed here",
        why=f"expected one of {', '.join(plugins.names(RUNTIMES))}",
        hint=modules[0].INSTALL,
    )


def _is_image(shape: npt.NDArray[Any]) -> bool:
    return len(shape) == 4 and shape[3] in (1, 3)


def _is_row(shape: npt.NDArray[Any]) -> bool:
    return len(shape) == 2 and shape[0] == 1 and shape[1] > 1


def _tensor_spec(details: dict[str, Any]) -> TensorSpec:
    scale, zero_point = details["quantization"]
    dtype = np.dtype(details["dtype"])
    if dtype.kind not in "iuf" or not 0 <= scale < np.inf or (scale > 0 and dtype.kind == "f"):
        raise IncompatibleError(
            f"an input or output of the model has dtype {dtype.name} and scale {scale:g}",
            why="expected floats, or integers with a positive scale",
            hint=MODEL_HINT,
        )
    params = QuantParams(scale=float(scale), zero_point=int(zero_point), dtype=dtype.name)
    return TensorSpec(shape=tuple(int(size) for size in details["shape"]), params=params)
