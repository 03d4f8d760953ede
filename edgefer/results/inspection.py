"""Record of the facts that ``edgefer inspect`` finds about a model file.

    inspection = inspect_in_subprocess(Path("model.tflite"))     # edgefer.inspection.sandbox
    inspection.macs, inspection.arena_peak_bytes, inspection.target("tflm").obstacles
    inspection.to_json()                            # from_json() is its inverse

A number that the file does not determine is None, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgefer.results import schema

__all__ = ["Contract", "Inspection", "OpFacts", "Target", "TensorFacts"]

KIND = "inspection"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TensorFacts:
    """An input or an output.

    Attributes:
        name, dtype, shape: as in the file.
        dynamic: whether some dimension is decided at run time; it stands as 1 (or -1) in ``shape``.
        scale, zero_point: of its quantization, or None.
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
        subgraph: 0 is the main graph, which a run begins with.
        name, version, custom: which operator.
        minimum_runtime: the first TensorFlow Lite that has this version, or None where TensorFlow's table does not say.
        output_dtype, output_shape: of its first output, or None.
        macs: multiply-accumulates of one run, or None.
        parameters: learned values, those that it shares with an earlier operator included.
        in_delegate: whether XNNPACK took it here, or None where that cannot be told.
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
    """Whether the model fits a target.

    Attributes:
        name: "litert", "tflite_runtime", "edgetpu" or "tflm".
        fits: "yes", "partly" (a part of it runs elsewhere) or "no".
        how: how that was found out.
        obstacles: what stands in the way, one clause each.
        notes: what one should know all the same.
    """

    name: str
    fits: str
    how: str
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """The contract of edgefer that the file carries, and whether the model keeps it here.

    Attributes:
        status: "none", "damaged", "ok" (the golden vectors were replayed), "mismatch" or "not replayed".
        detail: why, where the status is none of "none" and "ok".
        labels, scheme, input, provenance: as in the contract, or None.
        golden_vectors: how many.
        golden_worst: the largest difference of an output here, in ``golden_unit``, or None where nothing was replayed.
        golden_tolerance: what the contract allows, in the same unit.
        golden_unit: "steps" or "logits".
        temperature: as in the contract.
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


@dataclass(frozen=True)
class Inspection:
    """A model file, taken apart and run once.

    Attributes:
        file, file_bytes: the file's name and size.
        sha256: of the flatbuffer; of the whole file where it has no contract.
        description, declared_runtime: what the converter wrote into the file.
        minimum_runtime: the first TensorFlow Lite that has all its operator versions, as far as they are known.
        runtime, runtime_version: what it was run with here.
        first_run: "ok", or what went wrong.
        subgraphs: how many.
        inputs, outputs: of the main graph.
        ops: operators of all subgraphs, in the order in which they run.
        parameters, parameter_bytes: learned values, each counted once, and their size in the file.
        macs: of the main graph, the sum of those that are known.
        macs_unknown_ops: how many operators of the main graph are missing in ``macs``.
        arena_peak_bytes, variable_bytes: planned memory of the main graph's activations, and of what is kept between
            runs.
        unsized_tensors: how many tensors are not in the plan, because the file does not say how large they are.
        delegate_groups: into how many groups XNNPACK took the operators, or None where that cannot be told.
        delegate_detail: why it cannot be told, or empty.
        targets: what it fits.
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
        """The operators of the main graph."""
        return tuple(op for op in self.ops if op.subgraph == 0)

    def target(self, name: str) -> Target:
        """The target ``name``.

        Raises:
            KeyError: there is none of that name.
        """
        return {target.name: target for target in self.targets}[name]

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse."""
        return {**schema.header(KIND, SCHEMA_VERSION), **asdict(self)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Inspection:
        """The inverse of to_json(), also of what json made of it.

        Raises:
            DataError: not an inspection.
            IncompatibleError: a later schema version.
        """
        schema.validate(fields, KIND, SCHEMA_VERSION)
        nested: dict[str, Any] = {
            "inputs": tuple(TensorFacts(**_tuples(each)) for each in fields["inputs"]),
            "outputs": tuple(TensorFacts(**_tuples(each)) for each in fields["outputs"]),
            "ops": tuple(OpFacts(**_tuples(each)) for each in fields["ops"]),
            "targets": tuple(Target(**_tuples(each)) for each in fields["targets"]),
            "contract": Contract(**_tuples(fields["contract"])),
        }
        plain = {name: fields[name] for name in cls.__dataclass_fields__ if name not in nested}
        return cls(**plain, **nested)


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    # JSON has lists only; of these records no field is a list.
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
