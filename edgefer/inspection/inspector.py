"""Read a model file and run it once in the current process.

    inspection = inspect_in_process(Path("model.tflite"))

A malformed file can crash the process. edgefer.inspection.sandbox calls this function in a subprocess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgefer.contract.artifact import Artifact
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.inference.classifier import Classifier
from edgefer.inference.first_load import trust_model
from edgefer.inference.runtime import RuntimeModule, open_interpreter, select_runtime
from edgefer.inspection.compatibility import check_targets
from edgefer.inspection.delegate import Partition, read_partition
from edgefer.inspection.flatbuffer import Model, Op, Subgraph, Tensor, read_model
from edgefer.inspection.op_versions import is_newer, minimum_runtime
from edgefer.inspection.resources import count_macs, parameter_tensors, plan_arena
from edgefer.processes import suppress_native_output
from edgefer.results.inspection import Contract, Inspection, OpFacts, TensorFacts

__all__ = ["inspect_in_process", "require_litert"]

RUNTIME = "litert"
# Files without a contract do not contain this name.
CONTRACT_MARK = b"edgefer.json"
# Words in LiteRT's errors for files that its verifier rejects. Other errors concern valid models.
NOT_A_MODEL = ("flatbuffer", "TFL3")

Stage = Callable[[str], None]


def inspect_in_process(path: Path, *, stage: Stage = lambda name: None) -> Inspection:
    """Read and run a model file in this process, which a malformed file can crash.

    Args:
        path: the file.
        stage: called with the name of each step before it begins.

    Raises:
        DataError: the file is not a model, or it is damaged.
        IncompatibleError: LiteRT is not installed.
    """
    content = path.read_bytes()
    module = require_litert()
    version = module.available() or ""
    stage("loading")
    problem = _verify(content, path, module, version)
    stage("reading")
    model = read_model(content)
    ops = _op_facts(model)
    plan = plan_arena(model.main)
    stage("running")
    partition, problem = (Partition(None, why=problem), problem) if problem else _run(content, model, module, version)
    stage("replaying the golden vectors")
    artifact, contract = _contract(content, runnable=not problem)
    parameters = _parameters(model)
    return Inspection(
        file=path.name,
        file_bytes=len(content),
        sha256=artifact.sha256 if artifact else hashlib.sha256(content).hexdigest(),
        description=model.description,
        declared_runtime=model.declared_runtime,
        minimum_runtime=_latest([op.minimum_runtime for op in ops]),
        runtime=RUNTIME,
        runtime_version=version,
        first_run=problem or "ok",
        subgraphs=len(model.subgraphs),
        inputs=_tensor_facts(model.main, model.main.inputs),
        outputs=_tensor_facts(model.main, model.main.outputs),
        ops=_with_partition(ops, partition),
        parameters=sum(tensor.elements or 0 for tensor in parameters),
        parameter_bytes=sum(tensor.size_bytes or 0 for tensor in parameters),
        macs=sum(op.macs or 0 for op in ops if op.subgraph == 0),
        macs_unknown_ops=sum(op.macs is None for op in ops if op.subgraph == 0),
        arena_peak_bytes=plan.peak_bytes,
        variable_bytes=plan.variable_bytes,
        unsized_tensors=plan.unsized,
        delegate_groups=None if partition.delegated is None else partition.groups,
        delegate_detail=partition.why,
        targets=check_targets(model, runtime=f"{RUNTIME} {version}", failure=problem),
        contract=contract,
    )


def require_litert() -> RuntimeModule:
    """Return the LiteRT runtime, which includes the flatbuffer schema.

    Raises:
        IncompatibleError: LiteRT is not installed.
    """
    try:
        return select_runtime(RUNTIME)
    except IncompatibleError as error:
        raise IncompatibleError(
            "LiteRT is not installed",
            why="edgefer inspect reads files with its flatbuffer schema; tflite-runtime has none",
            hint=f"{error.hint}, or run edgefer inspect on another machine",
        ) from error


def _verify(content: bytes, path: Path, module: RuntimeModule, version: str) -> str:
    """Load the model without delegates and return the error of the runtime, or an empty string.

    Raises:
        DataError: the file is not a model, or it is damaged.
    """
    try:
        open_interpreter(module.load(), content, kernels="builtin", name=RUNTIME, version=version)
    except IncompatibleError as error:
        reason = _reason(error)
        if any(words.lower() in reason.lower() for words in NOT_A_MODEL):
            raise DataError(
                f"{path} is not a TensorFlow Lite model, or a damaged one", why=reason, hint="copy the file again"
            ) from error
        return reason
    return ""


def _reason(error: IncompatibleError) -> str:
    # A failed allocation has an empty error message.
    return error.why or f"{error.what} and gives no reason; it may exceed the memory limit"


def _run(content: bytes, model: Model, module: RuntimeModule, version: str) -> tuple[Partition, str]:
    """Load the model with delegates, run it once on zeros, and return the partition and the error (or "")."""
    try:
        interpreter = open_interpreter(module.load(), content, name=RUNTIME, version=version)
    except IncompatibleError as error:
        return Partition(None, why="the model cannot be loaded with XNNPACK"), _reason(error)
    partition = read_partition(interpreter, model.main)
    try:
        with suppress_native_output():
            for details in interpreter.get_input_details():
                if details["dtype"] is not np.bytes_:
                    zeros = np.zeros(details["shape"], details["dtype"])
                    interpreter.set_tensor(details["index"], zeros)
            interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        return partition, f"the first run failed: {' '.join(str(error).split())}"
    return partition, ""


def _contract(content: bytes, *, runnable: bool) -> tuple[Artifact | None, Contract]:
    try:
        artifact = Artifact.from_bytes(content)
    except (DataError, IncompatibleError) as error:
        if CONTRACT_MARK not in content:
            return None, Contract("none")
        return None, Contract("damaged", f"{error.what}: {error.why}")
    status, detail, worst = _replay(artifact) if runnable else ("not replayed", "the model does not run", None)
    golden = artifact.golden
    return artifact, Contract(
        status=status,
        detail=detail,
        labels=artifact.labels,
        scheme=artifact.scheme,
        input=artifact.input_spec.to_json(),
        provenance=artifact.provenance,
        golden_vectors=len(golden.inputs),
        golden_worst=worst,
        golden_tolerance=golden.tolerance,
        golden_unit=golden.unit,
        temperature=artifact.temperature,
        output=artifact.output,
    )


def _replay(artifact: Artifact) -> tuple[str, str, float | None]:
    """Return status, detail and the largest difference."""
    golden = artifact.golden
    # inspect_in_process() may crash this process, so no other process needs to load the model first.
    trust_model(artifact.model)
    try:
        with suppress_native_output():
            outputs = Classifier.from_artifact(artifact, runtime=RUNTIME, check=False).raw(golden.inputs)
        worst = float(golden.difference(outputs).max())
    except EdgeferError as error:
        return "not replayed", f"{error.what}: {error.why}" if error.why else error.what, None
    except (ValueError, RuntimeError) as error:
        return "not replayed", str(error), None
    with suppress(IncompatibleError):
        golden.check(outputs)
        return "ok", "", worst
    return "mismatch", "the golden vectors exceed the tolerance", worst if np.isfinite(worst) else None


def _op_facts(model: Model) -> tuple[OpFacts, ...]:
    return tuple(_op_fact(graph, op, number) for number, graph in enumerate(model.subgraphs) for op in graph.ops)


def _op_fact(graph: Subgraph, op: Op, number: int) -> OpFacts:
    output = graph.tensors[op.outputs[0]] if op.outputs and op.outputs[0] >= 0 else None
    return OpFacts(
        subgraph=number,
        name=op.name,
        version=op.version,
        custom=op.custom,
        minimum_runtime=None if op.custom else minimum_runtime(op.name, op.version),
        output_dtype=output.dtype if output else None,
        output_shape=output.shape if output else None,
        macs=count_macs(graph, op),
        parameters=sum(tensor.elements or 0 for tensor in parameter_tensors(graph, op)),
        in_delegate=None,
    )


def _with_partition(ops: tuple[OpFacts, ...], partition: Partition) -> tuple[OpFacts, ...]:
    if partition.delegated is None:
        return ops
    delegated = partition.delegated
    # The interpreter does not list the nodes of control flow bodies.
    return tuple(
        replace(op, in_delegate=position in delegated if op.subgraph == 0 else None) for position, op in enumerate(ops)
    )


def _parameters(model: Model) -> list[Tensor]:
    """Return the parameter tensors of all operators, without duplicate buffers."""
    by_buffer = {
        tensor.buffer: tensor
        for graph in model.subgraphs
        for op in graph.ops
        for tensor in parameter_tensors(graph, op)
    }
    return list(by_buffer.values())


def _tensor_facts(graph: Subgraph, indices: tuple[int, ...]) -> tuple[TensorFacts, ...]:
    tensors = [graph.tensors[index] for index in indices if index >= 0]
    return tuple(
        TensorFacts(tensor.name, tensor.dtype, tensor.shape, tensor.dynamic, tensor.scale, tensor.zero_point)
        for tensor in tensors
    )


def _latest(versions: list[str | None]) -> str | None:
    latest = None
    for version in versions:
        if version and (latest is None or is_newer(version, latest)):
            latest = version
    return latest
