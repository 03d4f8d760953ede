"""A model file taken apart and run once, in this process: the work behind edgefer.inspection.sandbox.

    inspection = dissect(Path("model.tflite"))      # a bad file may crash the process; inspect_apart() survives it
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
# What a file without a contract of ours does not contain.
CONTRACT_MARK = b"edgefer.json"
# LiteRT's words for a file that its verifier refuses; what else it refuses is a model, though not one for it.
NOT_A_MODEL = ("flatbuffer", "TFL3")

Stage = Callable[[str], None]


def inspect_in_process(path: Path, *, stage: Stage = lambda name: None) -> Inspection:
    """Take the file apart in this process, which a bad file may crash.

    Args:
        path: the file.
        stage: told what comes next, before it can go wrong.

    Raises:
        DataError: not a model, or one that contradicts itself.
        IncompatibleError: LiteRT is not installed.
    """
    content = path.read_bytes()
    module = require_litert()
    version = module.available() or ""
    stage("loading")
    problem = _verify(content, path, module, version)
    stage("reading")
    anatomy = read_model(content)
    ops = _op_facts(anatomy)
    plan = plan_arena(anatomy.main)
    stage("running it once")
    partition, problem = (Partition(None, why=problem), problem) if problem else _run(content, anatomy, module, version)
    stage("replaying the golden vectors")
    artifact, contract = _contract(content, runnable=not problem)
    learned = _learned(anatomy)
    return Inspection(
        file=path.name,
        file_bytes=len(content),
        sha256=artifact.sha256 if artifact else hashlib.sha256(content).hexdigest(),
        description=anatomy.description,
        declared_runtime=anatomy.declared_runtime,
        minimum_runtime=_latest([op.minimum_runtime for op in ops]),
        runtime=RUNTIME,
        runtime_version=version,
        first_run=problem or "ok",
        subgraphs=len(anatomy.subgraphs),
        inputs=_tensor_facts(anatomy.main, anatomy.main.inputs),
        outputs=_tensor_facts(anatomy.main, anatomy.main.outputs),
        ops=_with_partition(ops, partition),
        parameters=sum(tensor.elements or 0 for tensor in learned),
        parameter_bytes=sum(tensor.size_bytes or 0 for tensor in learned),
        macs=sum(op.macs or 0 for op in ops if op.subgraph == 0),
        macs_unknown_ops=sum(op.macs is None for op in ops if op.subgraph == 0),
        arena_peak_bytes=plan.peak_bytes,
        variable_bytes=plan.variable_bytes,
        unsized_tensors=plan.unsized,
        delegate_groups=None if partition.delegated is None else partition.groups,
        delegate_detail=partition.why,
        targets=check_targets(anatomy, runtime=f"{RUNTIME} {version}", failure=problem),
        contract=contract,
    )


def require_litert() -> RuntimeModule:
    """LiteRT, the one runtime that can be asked all of this.

    Raises:
        IncompatibleError: it is not installed; the message carries the line that installs it.
    """
    try:
        return select_runtime(RUNTIME)
    except IncompatibleError as error:
        raise IncompatibleError(
            "edgefer inspect needs LiteRT, which is not installed here",
            why="a file is read with the schema that comes with it; tflite-runtime has none",
            hint=f"{error.hint}, or inspect the file on another machine",
        ) from error


def _verify(content: bytes, path: Path, module: RuntimeModule, version: str) -> str:
    """Load without delegates; what the runtime says against the model, or empty. Refuses what is no model at all."""
    try:
        open_interpreter(module.load(), content, kernels="builtin", name=RUNTIME, version=version)
    except IncompatibleError as error:
        said = _said(error)
        if any(words.lower() in said.lower() for words in NOT_A_MODEL):
            raise DataError(
                f"{path} is not a TensorFlow Lite model, or a damaged one", why=said, hint="copy the file again"
            ) from error
        return said
    return ""


def _said(error: IncompatibleError) -> str:
    # An allocation that fails is a failure without words.
    return error.why or f"{error.what} and does not say why; perhaps it wants more memory than it may take"


def _run(content: bytes, anatomy: Model, module: RuntimeModule, version: str) -> tuple[Partition, str]:
    """Load as a program would, and run once on zeros; the partition, and what went wrong or empty."""
    try:
        interpreter = open_interpreter(module.load(), content, name=RUNTIME, version=version)
    except IncompatibleError as error:
        return Partition(None, why="the model does not load with XNNPACK"), _said(error)
    partition = read_partition(interpreter, anatomy.main)
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
    status, detail, worst = _replay(artifact) if runnable else ("not replayed", "the model does not run here", None)
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
    )


def _replay(artifact: Artifact) -> tuple[str, str, float | None]:
    """Status, detail and the largest difference."""
    golden = artifact.golden
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
    return "mismatch", "the model computes something else here", worst if np.isfinite(worst) else None


def _op_facts(anatomy: Model) -> tuple[OpFacts, ...]:
    return tuple(
        _op_fact(graph, op, number) for number, graph in enumerate(anatomy.subgraphs) for op in graph.ops
    )


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
    # The interpreter lists no nodes for the bodies of control flow.
    return tuple(
        replace(op, in_delegate=position in delegated if op.subgraph == 0 else None)
        for position, op in enumerate(ops)
    )


def _learned(anatomy: Model) -> list[Tensor]:
    """The parameters of all operators, each buffer once."""
    by_buffer = {
        tensor.buffer: tensor
        for graph in anatomy.subgraphs
        for op in graph.ops
        for tensor in parameter_tensors(graph, op)
    }
    return list(by_buffer.values())


def _tensor_facts(graph: Subgraph, indices: tuple[int, ...]) -> tuple[TensorFacts, ...]:
    found = [graph.tensors[index] for index in indices if index >= 0]
    return tuple(
        TensorFacts(each.name, each.dtype, each.shape, each.dynamic, each.scale, each.zero_point) for each in found
    )


def _latest(versions: list[str | None]) -> str | None:
    latest = None
    for version in versions:
        if version and (latest is None or is_newer(version, latest)):
            latest = version
    return latest
