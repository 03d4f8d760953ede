"""An Inspection for a terminal, at most 80 columns wide.

    inspection_text(inspection)
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from edgefer.results.inspection import Contract, Inspection, OpFacts, Target, TensorFacts
from edgefer.text_table import WIDTH, table

__all__ = ["inspection_text"]

# Beyond that, operators of one kind share a row; the JSON has each.
MOST_ROWS = 40
LONGEST_NAME = 32
LONGEST_LINE = 400


def inspection_text(inspection: Inspection) -> str:
    """What the file is, its operators, what it fits, and its contract."""
    return "\n\n".join(
        [
            "\n".join(_head(inspection)),
            _ends(inspection),
            _ops(inspection.main_ops, inspection),
            "\n".join(_totals(inspection)),
            "\n".join(line for target in inspection.targets for line in _target(target)),
            "\n".join(_contract(inspection.contract)),
        ]
    )


def _head(inspection: Inspection) -> Iterator[str]:
    yield from _wrapped(f"{inspection.file}: {inspection.file_bytes:,} bytes, sha256 {inspection.sha256[:12]}")
    said = f"the file says {inspection.declared_runtime}" if inspection.declared_runtime else "the file does not say"
    known = f"TensorFlow Lite {inspection.minimum_runtime} or later" if inspection.minimum_runtime else "unknown"
    yield from _wrapped(f"needs: {known}, by its operators ({said})")
    if inspection.description:
        yield from _wrapped(f"made by: {inspection.description}")


def _ends(inspection: Inspection) -> str:
    rows = [_end("input", each) for each in inspection.inputs]
    rows += [_end("output", each) for each in inspection.outputs]
    return table(["", "dtype", "shape", "scale", "zero point"], rows)


def _end(which: str, tensor: TensorFacts) -> list[object]:
    scale = None if tensor.scale is None else f"{tensor.scale:.6g}"
    shape = _shape(tensor.shape) + (" *" if tensor.dynamic else "")
    return [f"{which} {_plain(tensor.name, LONGEST_NAME)}", tensor.dtype, shape, scale, tensor.zero_point]


def _ops(ops: Sequence[OpFacts], inspection: Inspection) -> str:
    if len(ops) <= MOST_ROWS:
        names = [f"{index} {_plain(op.name, LONGEST_NAME)}" for index, op in enumerate(ops)]
        rows = [[name, *_op(op), _yes(op.in_delegate)] for name, op in zip(names, ops)]
        text = table(["operator", "v", "since", "output", "parameters", "MACs", "XNNPACK"], rows)
    else:
        text = table(["operator", "count", "v", "since", "parameters", "MACs", "XNNPACK"], list(_kinds(ops)))
    notes = []
    if any(tensor.dynamic for tensor in (*inspection.inputs, *inspection.outputs)):
        notes.append("* a dimension is decided at run time; all numbers are for the shape shown")
    if inspection.subgraphs > 1:
        others = len(inspection.ops) - len(ops)
        where = _count(inspection.subgraphs - 1, "subgraph")
        notes.append(f"{others} more operators, in {where}, run as often as the data says")
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
        taken = [op.in_delegate for op in same]
        share = None if None in taken else f"{sum(map(bool, taken))} of {len(taken)}"
        parameters = f"{sum(op.parameters for op in same):,}"
        yield [_plain(name, LONGEST_NAME), len(same), version, same[0].minimum_runtime, parameters, macs, share]


def _totals(inspection: Inspection) -> Iterator[str]:
    ops = inspection.main_ops
    yield f"parameters: {inspection.parameters:,} in {_kib(inspection.parameter_bytes)}"
    missing = _without(inspection.macs_unknown_ops, "operator", " of unknown cost")
    yield from _wrapped(f"MACs: {inspection.macs:,}{missing}")
    beside = f", and {_kib(inspection.variable_bytes)} kept between runs" * bool(inspection.variable_bytes)
    unsized = _without(inspection.unsized_tensors, "tensor", " of unknown size")
    plan = f"activations: {_kib(inspection.arena_peak_bytes)} at the peak{beside}{unsized}"
    yield from _wrapped(f"{plan} (planned for plain kernels, without their scratch memory)")
    if inspection.delegate_groups is None:
        yield from _wrapped(f"XNNPACK: cannot be told: {inspection.delegate_detail}")
    else:
        taken, groups = sum(bool(op.in_delegate) for op in ops), inspection.delegate_groups
        yield f"XNNPACK: takes {taken} of {len(ops)} operators, in {_count(groups, 'group')}"
    yield from _wrapped(f"first run on {inspection.runtime} {inspection.runtime_version}: {inspection.first_run}")


def _target(target: Target) -> Iterator[str]:
    yield from _wrapped(f"fits {target.name}: {target.fits} ({target.how})")
    for sentence in (*target.obstacles, *target.notes):
        yield from _wrapped(f"  - {sentence}", indent="    ")


def _contract(contract: Contract) -> Iterator[str]:
    if contract.status == "none":
        yield "contract: none; the file was not made by edgefer"
        return
    if contract.labels is None:
        yield from _wrapped(f"contract: {contract.status}: {contract.detail}")
        return
    size = f"{(contract.input or {}).get('width')}x{(contract.input or {}).get('height')}"
    yield from _wrapped(f"contract: {contract.scheme}, grey {size}; {', '.join(contract.labels)}")
    if contract.temperature is not None:
        yield f"probabilities: softmax of logits / {contract.temperature:g}"
    origin = [f"{name} {value}" for name, value in (contract.provenance or {}).items() if isinstance(value, str)]
    if origin:
        yield from _wrapped(f"from: {', '.join(origin)}")
    allowed = f"{contract.golden_tolerance:g} {contract.golden_unit} are allowed"
    if contract.golden_worst is None:
        yield from _wrapped(f"golden vectors: {contract.status}: {contract.detail}")
    else:
        off = f"{contract.golden_worst:g} {contract.golden_unit} off in the worst of {contract.golden_vectors}"
        yield from _wrapped(f"golden vectors: {contract.status}, {off}; {allowed}")


def _wrapped(sentence: str, *, indent: str = "  ") -> list[str]:
    return textwrap.wrap(_plain(sentence, LONGEST_LINE), WIDTH, subsequent_indent=indent, drop_whitespace=True)


def _plain(text: str, longest: int) -> str:
    """Without what a file could do to a terminal, and not endless."""
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain if len(plain) <= longest else plain[: longest - 3] + "..."


def _without(number: int, what: str, which: str) -> str:
    return f", without {_count(number, what)}{which}" if number else ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.1f} KiB"


def _yes(taken: bool | None) -> str | None:
    return None if taken is None else "yes" if taken else "no"
