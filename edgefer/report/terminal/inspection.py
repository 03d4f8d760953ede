"""Render an Inspection as text for an 80-column terminal.

    inspection_text(inspection)
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from edgefer.contract.input_description import describe_input
from edgefer.contract.preprocessing import InputSpec
from edgefer.data.naming import counted
from edgefer.escaping import printable
from edgefer.results.inspection import Contract, Inspection, OpFacts, Target, TensorFacts
from edgefer.text_table import WIDTH, table

__all__ = ["inspection_text"]

# A longer list has one row per kind of operator; the JSON record lists every operator.
MAX_ROWS = 40
MAX_NAME = 32
MAX_LINE = 400


def inspection_text(inspection: Inspection) -> str:
    """Render the file's facts, operators, totals, compatibility with targets, and contract."""
    return "\n\n".join(
        [
            "\n".join(_head(inspection)),
            _inputs_outputs(inspection),
            _ops(inspection.main_ops, inspection),
            "\n".join(_totals(inspection)),
            "\n".join(line for target in inspection.targets for line in _target(target)),
            "\n".join(_contract(inspection.contract)),
        ]
    )


def _head(inspection: Inspection) -> Iterator[str]:
    yield from _wrapped(f"{inspection.file}: {inspection.file_bytes:,} bytes, sha256 {inspection.sha256[:12]}")
    declared = f"the file declares {inspection.declared_runtime or 'no version'}"
    minimum = f"TensorFlow Lite {inspection.minimum_runtime} or later" if inspection.minimum_runtime else "unknown"
    yield from _wrapped(f"minimum runtime: {minimum}, from the operator versions ({declared})")
    if inspection.description:
        yield from _wrapped(f"converter: {inspection.description}")


def _inputs_outputs(inspection: Inspection) -> str:
    rows = [_tensor("input", tensor) for tensor in inspection.inputs]
    rows += [_tensor("output", tensor) for tensor in inspection.outputs]
    return table(["", "dtype", "shape", "scale", "zero point"], rows)


def _tensor(role: str, tensor: TensorFacts) -> list[object]:
    scale = None if tensor.scale is None else f"{tensor.scale:.6g}"
    shape = _shape(tensor.shape) + (" *" if tensor.dynamic else "")
    return [f"{role} {_plain(tensor.name, MAX_NAME)}", tensor.dtype, shape, scale, tensor.zero_point]


def _ops(ops: Sequence[OpFacts], inspection: Inspection) -> str:
    if len(ops) <= MAX_ROWS:
        names = [f"{index} {_plain(op.name, MAX_NAME)}" for index, op in enumerate(ops)]
        rows = [[name, *_op(op), _yes(op.in_delegate)] for name, op in zip(names, ops)]
        text = table(["operator", "v", "since", "output", "parameters", "MACs", "XNNPACK"], rows)
    else:
        text = table(["operator", "count", "v", "since", "parameters", "MACs", "XNNPACK"], list(_kinds(ops)))
    notes = []
    if any(tensor.dynamic for tensor in (*inspection.inputs, *inspection.outputs)):
        notes.append("* dynamic dimension; all numbers are for the shape shown")
    if inspection.subgraphs > 1:
        others = len(inspection.ops) - len(ops)
        where = counted(inspection.subgraphs - 1, "subgraph")
        notes.append(f"{others} more operators in {where} run a data-dependent number of times")
    return "\n".join([text, *(line for note in notes for line in _wrapped(note))])


def _op(op: OpFacts) -> list[object]:
    shape = None if op.output_shape is None else _shape(op.output_shape)
    return [op.version, op.minimum_runtime, shape, f"{op.parameters:,}", None if op.macs is None else f"{op.macs:,}"]


def _kinds(ops: Sequence[OpFacts]) -> Iterator[list[object]]:
    def kind(op: OpFacts) -> tuple[str, int]:
        return op.name, op.version

    for (name, version), group in groupby(sorted(ops, key=kind), key=kind):
        same = list(group)
        macs = None if any(op.macs is None for op in same) else f"{sum(op.macs or 0 for op in same):,}"
        delegated = [op.in_delegate for op in same]
        share = None if None in delegated else f"{sum(map(bool, delegated))} of {len(delegated)}"
        parameters = f"{sum(op.parameters for op in same):,}"
        yield [_plain(name, MAX_NAME), len(same), version, same[0].minimum_runtime, parameters, macs, share]


def _totals(inspection: Inspection) -> Iterator[str]:
    ops = inspection.main_ops
    yield f"parameters: {inspection.parameters:,} in {_kib(inspection.parameter_bytes)}"
    missing = _excluding(inspection.macs_unknown_ops, "operator", " of unknown cost")
    yield from _wrapped(f"MACs: {inspection.macs:,}{missing}")
    variables = f", plus {_kib(inspection.variable_bytes)} of variables" * bool(inspection.variable_bytes)
    unsized = _excluding(inspection.unsized_tensors, "tensor", " of unknown size")
    plan = f"activations: {_kib(inspection.arena_peak_bytes)} at the peak{variables}{unsized}"
    yield from _wrapped(f"{plan} (planned for reference kernels, excluding scratch memory)")
    if inspection.delegate_groups is None:
        yield from _wrapped(f"XNNPACK: unknown: {inspection.delegate_detail}")
    else:
        delegated, groups = sum(bool(op.in_delegate) for op in ops), inspection.delegate_groups
        yield f"XNNPACK: delegates {delegated} of {len(ops)} operators, in {counted(groups, 'group')}"
    yield from _wrapped(f"first run on {inspection.runtime} {inspection.runtime_version}: {inspection.first_run}")


def _target(target: Target) -> Iterator[str]:
    yield from _wrapped(f"runs on {target.name}: {target.fits} ({target.how})")
    for sentence in (*target.obstacles, *target.notes):
        yield from _wrapped(f"  - {sentence}", indent="    ")


def _contract(contract: Contract) -> Iterator[str]:
    if contract.status == "none":
        yield "contract: none (edgefer did not write this file)"
        return
    if contract.labels is None:
        yield from _wrapped(f"contract: {contract.status}: {contract.detail}")
        return
    fields = contract.input or {}
    described = describe_input(InputSpec.from_json(fields)) if fields else "unknown input"
    yield from _wrapped(f"contract: {contract.scheme}, {described}; {', '.join(contract.labels)}")
    if contract.temperature is not None:
        yield f"probabilities: {_probabilities(contract.output, contract.temperature)}"
    origin = [f"{name} {value}" for name, value in (contract.provenance or {}).items() if isinstance(value, str)]
    if origin:
        yield from _wrapped(f"provenance: {', '.join(origin)}")
    tolerance = f"tolerance {contract.golden_tolerance:g} {contract.golden_unit}"
    if contract.golden_worst is None:
        yield from _wrapped(f"golden vectors: {contract.status}: {contract.detail}")
    else:
        worst = f"up to {contract.golden_worst:g} {contract.golden_unit} off in {contract.golden_vectors} vectors"
        yield from _wrapped(f"golden vectors: {contract.status}, {worst}; {tolerance}")


def _probabilities(output: str | None, temperature: float) -> str:
    """Describe the probabilities of a model; a temperature of 1 leaves those of a model without logits as they are."""
    if output != "probabilities":
        return f"softmax of logits / {temperature:g}"
    return "outputs / their sum" if temperature == 1 else f"softmax of log(outputs) / {temperature:g}"


def _wrapped(sentence: str, *, indent: str = "  ") -> list[str]:
    return textwrap.wrap(_plain(sentence, MAX_LINE), WIDTH, subsequent_indent=indent, drop_whitespace=True)


def _plain(text: str, max_length: int) -> str:
    """Escape characters that a terminal acts on, and truncate the text."""
    plain = printable(text, kept="")
    return plain if len(plain) <= max_length else plain[: max_length - 3] + "..."


def _excluding(number: int, noun: str, qualifier: str) -> str:
    return f", excluding {counted(number, noun)}{qualifier}" if number else ""


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.1f} KiB"


def _yes(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"
