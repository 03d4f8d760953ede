"""The facts in a model card, from a quantization or from a .tflite and its results.

    ModelCardData.of(quantization)
    ModelCardData.of_file(artifact, file_bytes, results, quantizations)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.contract.artifact import Artifact
from edgefer.report.comparison import compare
from edgefer.report.loading import Results
from edgefer.results.evaluation import Evaluation
from edgefer.results.inspection import Inspection
from edgefer.results.measurement import Measurement
from edgefer.results.paired_comparison import PairedComparison
from edgefer.results.quantization import Quantization

__all__ = ["ModelCardData"]


@dataclass(frozen=True, eq=False)
class ModelCardData:
    """All facts about one model; parts that were not measured are None or empty.

    Attributes:
        system, scheme, sha256: identity of the model.
        labels: class names, in output order.
        file_bytes: file size, including the contract.
        provenance: origin of the model, from its contract.
        weight_bytes: size of the weights.
        comparison: comparison with the float network, image by image, on the images of ``evaluations[0]``.
        missed_thresholds: accuracy thresholds that the model misses.
        temperature: divisor of the logits.
        calibrated_ece: expected calibration error with the temperature, in 0..1.
        evaluations: one per split; the validation split comes first.
        benches: latency measurements.
        inspection: operators, parameters and memory.
        least_agreement: lowest top-1 agreement between two kernels, in 0..1.
    """

    system: str
    scheme: str
    sha256: str
    labels: tuple[str, ...]
    file_bytes: int
    provenance: Mapping[str, Any]
    weight_bytes: int | None = None
    comparison: PairedComparison | None = None
    missed_thresholds: tuple[str, ...] = ()
    temperature: float | None = None
    calibrated_ece: float | None = None
    evaluations: tuple[Evaluation, ...] = ()
    benches: tuple[Measurement, ...] = ()
    inspection: Inspection | None = None
    least_agreement: float | None = None

    @property
    def timings(self) -> list[Measurement]:
        """The measurements without copies of the same record."""
        groups = compare((), self.benches) if self.benches else ()
        return [row.measurement for group in groups for row in group.rows if row.measurement is not None]

    @property
    def validation_split(self) -> str:
        """The split that selected the best epoch; quantization is scored on it too."""
        return _validation_split(self.provenance)

    @classmethod
    def of(cls, quantization: Quantization) -> ModelCardData:
        """Collect the facts from a quantization."""
        names = (
            "system", "scheme", "sha256", "file_bytes", "provenance", "weight_bytes", "comparison", "missed_thresholds",
            "temperature", "calibrated_ece",
        )  # fmt: skip
        return cls(
            **{name: getattr(quantization, name) for name in names},
            labels=quantization.evaluation.label_names,
            evaluations=(quantization.evaluation,),
            benches=(quantization.measurement,),
        )

    @classmethod
    def of_file(
        cls, artifact: Artifact, file_bytes: int, results: Results, quantizations: Sequence[Quantization] = ()
    ) -> ModelCardData:
        """Collect the facts from an artifact and from all results of the same flatbuffer.

        Args:
            artifact: the model with its contract.
            file_bytes: size of the .tflite, including the contract.
            results: result files; results of other models are ignored.
            quantizations: quantization records; those of other models are ignored.
        """
        sha256, provenance = artifact.sha256, artifact.provenance
        quantized = [quantization for quantization in quantizations if quantization.sha256 == sha256]
        scored = [evaluation for evaluation in results.evaluations if evaluation.subject.get("sha256") == sha256]
        # Quantize and evaluate can score the same split; the card shows each split once.
        evaluations = [*(quantization.evaluation for quantization in quantized), *scored]
        splits = {evaluation.split: evaluation for evaluation in reversed(evaluations)}
        benches = [measurement for measurement in results.measurements if measurement.subject.get("sha256") == sha256]
        contract_only = cls(
            str(provenance.get("system", "?")), artifact.scheme, sha256, tuple(artifact.labels), file_bytes, provenance
        )
        first = _validation_split(provenance)
        return dataclasses.replace(
            cls.of(quantized[0]) if quantized else contract_only,
            file_bytes=file_bytes,
            evaluations=tuple(sorted(splits.values(), key=lambda evaluation: evaluation.split != first)),
            benches=tuple(benches or [quantization.measurement for quantization in quantized]),
            inspection=next((inspection for inspection in results.inspections if inspection.sha256 == sha256), None),
            least_agreement=results.least_agreements.get(sha256),
        )


def _validation_split(provenance: Mapping[str, Any]) -> str:
    return str((provenance.get("scores") or {}).get("split", "PublicTest"))
