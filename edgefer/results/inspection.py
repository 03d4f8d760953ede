"""Record of the facts that ``edgefer inspect`` reports about a model file.

    inspection = inspect_in_subprocess(Path("model.tflite"))     # edgefer.inspection.sandbox
    inspection.macs, inspection.arena_peak_bytes, inspection.target("tflm").obstacles
    inspection.to_json()                            # from_json() is the inverse

A number that the file does not determine is None, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from edgefer.results import schema

__all__ = ["Contract", "Inspection", "OpFacts", "Target", "TensorFacts"]

KIND = "inspection"
# A damaged file may hold any scale that float32 can express; inspect reports it.
MAX_FLOAT32 = (2 - 2**-23) * 2.0**127
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TensorFacts:
    """An input or an output of the model.

    Attributes:
        name, dtype, shape: as in the file.
        dynamic: True if a dimension is determined at run time; ``shape`` has 1 or -1 in its place.
        scale, zero_point: quantization parameters; None if the tensor is not quantized.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    dynamic: bool
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class OpFacts:
    """One operator.

    Attributes:
        subgraph: index of its subgraph; 0 is the main graph.
        name: builtin operator, or the name of a custom one.
        version: version of the operator.
        custom: True for a custom operator.
        minimum_runtime: first TensorFlow Lite with this version; None if it is missing in TensorFlow's table.
        output_dtype, output_shape: dtype and shape of its first output, or None.
        macs: multiply-accumulates of one run, or None.
        parameters: learned values, including those that it shares with an earlier operator.
        in_delegate: True if XNNPACK runs it on this machine; None if this is unknown.
    """

    subgraph: int
    name: str
    version: int
    custom: bool
    minimum_runtime: str | None
    output_dtype: str | None
    output_shape: tuple[int, ...] | None
    macs: int | None
    parameters: int
    in_delegate: bool | None


@dataclass(frozen=True)
class Target:
    """Compatibility of the model with a target.

    Attributes:
        name: "litert", "tflite_runtime", "edgetpu" or "tflm".
        fits: "yes", "partly" (some operators run elsewhere) or "no".
        how: method of the check.
        obstacles: reasons against "yes", one clause each.
        notes: further limits, one clause each.
    """

    name: str
    fits: str
    how: str
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """The contract in the file, and the result of replaying its golden vectors on this machine.

    Attributes:
        status: "none", "damaged", "ok" (the golden vectors match), "mismatch" or "not replayed".
        detail: reason for a status other than "none" and "ok".
        labels, scheme, input, provenance: entries of the contract, or None.
        golden_vectors: number of golden vectors.
        golden_worst: largest difference of an output, in ``golden_unit``; None if nothing was replayed.
        golden_tolerance: largest difference that the contract allows, in ``golden_unit``.
        golden_unit: "steps" or "logits".
        temperature: divisor of the logits.
        output: "logits" or "probabilities"; None in older records.
    """

    status: str
    detail: str = ""
    labels: tuple[str, ...] | None = None
    scheme: str | None = None
    input: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    golden_vectors: int | None = None
    golden_worst: float | None = None
    golden_tolerance: float | None = None
    golden_unit: str | None = None
    temperature: float | None = None
    output: str | None = None


@dataclass(frozen=True)
class Inspection:
    """The facts about a model file.

    Attributes:
        file, file_bytes: name and size of the file.
        sha256: SHA-256 of the flatbuffer, or of the whole file if it has no contract.
        description, declared_runtime: entries that the converter wrote into the file.
        minimum_runtime: first TensorFlow Lite with all its operator versions, as far as they are known.
        runtime, runtime_version: runtime of the first run on this machine.
        first_run: "ok", or the error of the first run.
        subgraphs: number of subgraphs.
        inputs, outputs: tensors of the main graph.
        ops: operators of all subgraphs, in execution order.
        parameters: learned values, each counted once.
        parameter_bytes: size of the learned values in the file.
        macs: sum of the known multiply-accumulates of the main graph.
        macs_unknown_ops: operators of the main graph that ``macs`` does not include.
        arena_peak_bytes: planned memory of the activations of the main graph.
        variable_bytes: memory of the values that persist between runs.
        unsized_tensors: tensors of unknown size, which the plan does not include.
        delegate_groups: groups of operators that XNNPACK runs; None if this is unknown.
        delegate_detail: reason why it is unknown, or empty.
        targets: compatibility with each target.
        contract: labels, provenance and golden vectors.
    """

    file: str
    file_bytes: int
    sha256: str
    description: str
    declared_runtime: str | None
    minimum_runtime: str | None
    runtime: str
    runtime_version: str
    first_run: str
    subgraphs: int
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    ops: tuple[OpFacts, ...]
    parameters: int
    parameter_bytes: int
    macs: int
    macs_unknown_ops: int
    arena_peak_bytes: int
    variable_bytes: int
    unsized_tensors: int
    delegate_groups: int | None
    delegate_detail: str
    targets: tuple[Target, ...]
    contract: Contract

    @property
    def main_ops(self) -> tuple[OpFacts, ...]:
        """Operators of the main graph."""
        return tuple(op for op in self.ops if op.subgraph == 0)

    def target(self, name: str) -> Target:
        """Return the compatibility with one target.

        Raises:
            KeyError: there is no target of this name.
        """
        return {target.name: target for target in self.targets}[name]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-compatible values; from_json() is the inverse."""
        return {**schema.header(KIND, SCHEMA_VERSION), **asdict(self)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Inspection:
        """Read what to_json() returned.

        Raises:
            DataError: not an inspection, or a field is missing or invalid.
            IncompatibleError: a later schema version.
        """
        record = schema.read(fields, KIND, SCHEMA_VERSION)
        return cls(
            file=record.text("file"),
            file_bytes=record.count("file_bytes"),
            sha256=record.text("sha256"),
            description=record.text("description"),
            declared_runtime=record.optional(record.text, "declared_runtime"),
            minimum_runtime=record.optional(record.text, "minimum_runtime"),
            runtime=record.text("runtime"),
            runtime_version=record.text("runtime_version"),
            first_run=record.text("first_run"),
            subgraphs=record.count("subgraphs"),
            inputs=tuple(map(_read_tensor, record.objects("inputs"))),
            outputs=tuple(map(_read_tensor, record.objects("outputs"))),
            ops=tuple(map(_read_op, record.objects("ops"))),
            parameters=record.count("parameters"),
            parameter_bytes=record.count("parameter_bytes"),
            macs=record.count("macs"),
            macs_unknown_ops=record.count("macs_unknown_ops"),
            arena_peak_bytes=record.count("arena_peak_bytes"),
            variable_bytes=record.count("variable_bytes"),
            unsized_tensors=record.count("unsized_tensors"),
            delegate_groups=record.optional(record.count, "delegate_groups"),
            delegate_detail=record.text("delegate_detail"),
            targets=tuple(map(_read_target, record.objects("targets"))),
            contract=_read_contract(record.object("contract")),
        )


def _read_tensor(record: schema.Fields) -> TensorFacts:
    return TensorFacts(
        name=record.text("name"),
        dtype=record.text("dtype"),
        shape=record.integers("shape"),
        dynamic=record.flag("dynamic"),
        scale=record.optional(partial(record.number, low=-MAX_FLOAT32, high=MAX_FLOAT32), "scale"),
        zero_point=record.optional(record.integer, "zero_point"),
    )


def _read_op(record: schema.Fields) -> OpFacts:
    return OpFacts(
        subgraph=record.count("subgraph"),
        name=record.text("name"),
        version=record.count("version"),
        custom=record.flag("custom"),
        minimum_runtime=record.optional(record.text, "minimum_runtime"),
        output_dtype=record.optional(record.text, "output_dtype"),
        output_shape=record.optional(record.integers, "output_shape"),
        macs=record.optional(record.count, "macs"),
        parameters=record.count("parameters"),
        in_delegate=record.optional(record.flag, "in_delegate"),
    )


def _read_target(record: schema.Fields) -> Target:
    return Target(
        name=record.text("name"),
        fits=record.text("fits"),
        how=record.text("how"),
        obstacles=record.texts("obstacles"),
        notes=record.texts("notes"),
    )


def _read_contract(record: schema.Fields) -> Contract:
    return Contract(
        status=record.text("status"),
        detail=record.optional(record.text, "detail") or "",
        labels=record.optional(record.texts, "labels"),
        scheme=record.optional(record.text, "scheme"),
        input=record.optional(record.plain, "input"),
        provenance=record.optional(record.plain, "provenance"),
        golden_vectors=record.optional(record.count, "golden_vectors"),
        golden_worst=record.optional(record.amount, "golden_worst"),
        golden_tolerance=record.optional(record.amount, "golden_tolerance"),
        golden_unit=record.optional(record.text, "golden_unit"),
        temperature=record.optional(record.number, "temperature"),
        output=record.optional(record.text, "output"),
    )
