"""Everything that a model file tells, taken from it in a process of its own.

    inspection = inspect_apart(Path("model.tflite"))            # what to call: it survives any file
    inspection = inspect(Path("model.tflite"))                  # the work itself, in this process
    python -m edgefer.board.inspect MODEL REPLY MEMORY_BYTES

The interpreter is native code, and a file may be truncated, damaged or made to harm. So the child that parses and runs
it has a limit of memory and of time, and whatever becomes of the child is a message here.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgefer import atomic
from edgefer.artefact import Artefact
from edgefer.board.anatomy import Anatomy, Op, Subgraph, Tensor, read
from edgefer.board.arena import plan_arena
from edgefer.board.classifier import Classifier
from edgefer.board.cost import macs, parameters
from edgefer.board.op_versions import minimum_runtime, newer
from edgefer.board.partition import Partition, read_partition
from edgefer.board.runtime import RuntimeModule, choose, open_interpreter
from edgefer.board.targets import targets
from edgefer.child import Ended, failure, revive, run_module
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.inspection import Contract, Inspection, OpFacts, TensorFacts
from edgefer.quiet import quiet

__all__ = ["inspect", "inspect_apart"]

USAGE = "edgefer inspect FILE.tflite"
TIMEOUT_S = 60.0
MEMORY_BYTES = 2**30
# Offsets within a flatbuffer are 32 bits wide, and signed.
LARGEST_BYTES = 2**31
# What a file without a contract of ours does not contain.
CONTRACT_MARK = b"edgefer.json"
# LiteRT's words for a file that its verifier refuses; what else it refuses is a model, though not one for it.
NOT_A_MODEL = ("flatbuffer", "TFL3")
# OpenBLAS would reserve memory for each core, and none of it is used here.
CHILD_VARIABLES = {"OPENBLAS_NUM_THREADS": "1"}

Stage = Callable[[str], None]


def inspect_apart(path: Path, *, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> Inspection:
    """inspect() in a child with a limit of time and memory; Ctrl-C ends the child too.

    Args:
        path: the file.
        timeout_s: seconds of wall clock after which the child is ended.
        memory_bytes: how much address space the child gets; about 200 MiB of it are Python and the runtime.

    Raises:
        DataError: no such file, not a model, or a file that crashed the runtime, hung it or wanted too much memory; the
            message says which, and in which step.
        IncompatibleError: LiteRT is not installed.
    """
    _check_file(path)
    _litert()
    with tempfile.TemporaryDirectory(prefix="edgefer-inspect-") as folder:
        reply_path = Path(folder, "reply.json")
        arguments = (path, reply_path, str(memory_bytes))
        ended = run_module("edgefer.board.inspect", *arguments, timeout_s=timeout_s, variables=CHILD_VARIABLES)
        reply = json.loads(reply_path.read_text()) if reply_path.exists() else {"stage": "starting"}
    if "stage" in reply:
        raise _crash(path, ended, stage=reply["stage"], timeout_s=timeout_s, memory_bytes=memory_bytes)
    if "error" in reply:
        raise revive(reply)
    return Inspection.from_json(reply)


def inspect(path: Path, *, stage: Stage = lambda name: None) -> Inspection:
    """Take the file apart in this process, which a bad file may crash.

    Args:
        path: the file.
        stage: told what comes next, before it can go wrong.

    Raises:
        DataError: not a model, or one that contradicts itself.
        IncompatibleError: LiteRT is not installed.
    """
    content = path.read_bytes()
    module = _litert()
    name, version = module.__name__.rpartition(".")[2], module.available() or ""  # type: ignore[attr-defined]
    stage("loading")
    problem = _verify(content, path, module, name=name, version=version)
    stage("reading")
    anatomy = read(content)
    ops = _op_facts(anatomy)
    plan = plan_arena(anatomy.main)
    stage("the first run")
    partition, problem = (Partition(None, why=problem), problem) if problem else _run(content, anatomy, module, version)
    stage("replaying the golden vectors")
    artefact, contract = _contract(content, runnable=not problem)
    learned = _learned(anatomy)
    return Inspection(
        file=path.name,
        file_bytes=len(content),
        sha256=artefact.sha256 if artefact else hashlib.sha256(content).hexdigest(),
        description=anatomy.description,
        declared_runtime=anatomy.declared_runtime,
        minimum_runtime=_latest([op.minimum_runtime for op in ops]),
        runtime=name,
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
        delegate_groups=None if partition.taken is None else partition.groups,
        delegate_detail=partition.why,
        targets=targets(anatomy, runtime=f"{name} {version}", failure=problem),
        contract=contract,
    )


def _litert() -> RuntimeModule:
    try:
        return choose("litert")
    except IncompatibleError as error:
        raise IncompatibleError(
            "edgefer inspect needs LiteRT, which is not installed here",
            why="a file is read with the schema that comes with it; tflite-runtime has none",
            fix=f"{error.fix}, or inspect the file on another machine",
        ) from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path} is not a model file", why="a folder" if path.is_dir() else "no such file", fix=USAGE)
    if path.stat().st_size >= LARGEST_BYTES:
        raise DataError(f"{path} is not a model file", why="2 GiB are the most that a flatbuffer can have", fix=USAGE)


def _verify(content: bytes, path: Path, module: RuntimeModule, *, name: str, version: str) -> str:
    """Load without delegates; what the runtime says against the model, or empty. Refuses what is no model at all."""
    try:
        open_interpreter(module.load(), content, kernels="builtin", name=name, version=version)
    except IncompatibleError as error:
        said = _said(error)
        if any(words.lower() in said.lower() for words in NOT_A_MODEL):
            raise DataError(
                f"{path} is not a TensorFlow Lite model, or a damaged one", why=said, fix="copy the file again"
            ) from error
        return said
    return ""


def _said(error: IncompatibleError) -> str:
    # An allocation that fails is a failure without words.
    return error.why or f"{error.what} and does not say why; perhaps it wants more memory than it may take"


def _run(content: bytes, anatomy: Anatomy, module: RuntimeModule, version: str) -> tuple[Partition, str]:
    """Load as a program would, and run once on zeros; the partition, and what went wrong or empty."""
    name = "litert"
    try:
        interpreter = open_interpreter(module.load(), content, name=name, version=version)
    except IncompatibleError as error:
        return Partition(None, why="the model does not load with XNNPACK"), _said(error)
    partition = read_partition(interpreter, anatomy.main)
    try:
        with quiet():
            for details in interpreter.get_input_details():
                if details["dtype"] is not np.bytes_:
                    zeros = np.zeros(details["shape"], details["dtype"])
                    interpreter.set_tensor(details["index"], zeros)
            interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        return partition, f"the first run failed: {' '.join(str(error).split())}"
    return partition, ""


def _contract(content: bytes, *, runnable: bool) -> tuple[Artefact | None, Contract]:
    try:
        artefact = Artefact.from_bytes(content)
    except (DataError, IncompatibleError) as error:
        if CONTRACT_MARK not in content:
            return None, Contract("none")
        return None, Contract("damaged", f"{error.what}: {error.why}")
    status, detail, worst = _replay(artefact) if runnable else ("not replayed", "the model does not run here", None)
    golden = artefact.golden
    return artefact, Contract(
        status=status,
        detail=detail,
        labels=artefact.labels,
        scheme=artefact.scheme,
        input=artefact.input_spec.to_json(),
        provenance=artefact.provenance,
        golden_vectors=len(golden.inputs),
        golden_worst=worst,
        golden_tolerance=golden.tolerance,
        golden_unit=golden.unit,
    )


def _replay(artefact: Artefact) -> tuple[str, str, float | None]:
    """Status, detail and the largest difference."""
    golden = artefact.golden
    try:
        with quiet():
            outputs = Classifier.from_artefact(artefact, runtime="litert", check=False).raw(golden.inputs)
        worst = float(golden.difference(outputs).max())
    except EdgeferError as error:
        return "not replayed", f"{error.what}: {error.why}" if error.why else error.what, None
    except (ValueError, RuntimeError) as error:
        return "not replayed", str(error), None
    with suppress(IncompatibleError):
        golden.check(outputs)
        return "ok", "", worst
    return "mismatch", "the model computes something else here", worst if np.isfinite(worst) else None


def _op_facts(anatomy: Anatomy) -> tuple[OpFacts, ...]:
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
        macs=macs(graph, op),
        parameters=sum(tensor.elements or 0 for tensor in parameters(graph, op)),
        in_delegate=None,
    )


def _with_partition(ops: tuple[OpFacts, ...], partition: Partition) -> tuple[OpFacts, ...]:
    if partition.taken is None:
        return ops
    taken = partition.taken
    # Of the bodies of control flow the interpreter lists no nodes.
    return tuple(
        OpFacts(**{**vars(op), "in_delegate": position in taken if op.subgraph == 0 else None})
        for position, op in enumerate(ops)
    )


def _learned(anatomy: Anatomy) -> list[Tensor]:
    """The parameters of all operators, each buffer once."""
    by_buffer = {
        tensor.buffer: tensor
        for graph in anatomy.subgraphs
        for op in graph.ops
        for tensor in parameters(graph, op)
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
        if version and (latest is None or newer(version, latest)):
            latest = version
    return latest


def _crash(path: Path, ended: Ended, *, stage: str, timeout_s: float, memory_bytes: int) -> EdgeferError:
    what, fix = f"{path} cannot be inspected", "a file from a source that you trust, or copy it again"
    if ended.timed_out:
        return DataError(what, why=f"{stage} took more than {timeout_s:g} s", fix="--timeout, if the model is large")
    if ended.last_line.startswith("MemoryError"):
        why = f"{stage} wanted more than {memory_bytes // 2**20:,} MiB"
        return DataError(what, why=why, fix="--memory, if the model is large")
    if ended.signal is not None:
        return DataError(what, why=f"the runtime crashed with {ended.signal} while {stage}", fix=fix)
    return DataError(what, why=f"{stage} ended with {ended.last_line or f'code {ended.exit_code}'}", fix=fix)


def _limit(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not a Unix; the limit of time stays
        return
    for kind, limit in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def main(path: str, reply_path: str, memory_bytes: str) -> int:
    """Inspect, and write the reply that inspect_apart() reads; the exit code."""
    reply = Path(reply_path)

    def stage(name: str) -> None:
        atomic.write_text(reply, json.dumps({"stage": name}))

    try:
        # What the limit is to stop is the file, so load first what a file needs no say in.
        _litert().load()
        _limit(int(memory_bytes))
        content: dict[str, Any] = inspect(Path(path), stage=stage).to_json()
        exit_code = 0
    except EdgeferError as error:
        content, exit_code = failure(error), error.exit_code
    except OSError as error:
        unreadable = DataError(f"cannot read {path}", why=error.strerror or str(error), fix=USAGE)
        content, exit_code = failure(unreadable), unreadable.exit_code
    atomic.write_text(reply, json.dumps(content))
    return exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
