"""Create the record of a quantization and check its thresholds.

    thresholds = Thresholds(max_drop_points=0.3, max_bytes=100_000)
    quantization = make_record(quantized, path, measurement, thresholds=thresholds)
    quantization.missed_thresholds                       # one clause per missed threshold
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer.results.accuracy_search import AccuracySearch
from edgefer.results.calibration_stability import CalibrationStability
from edgefer.results.measurement import Measurement
from edgefer.results.quantization import Quantization
from edgefer.workstation.quantization.flatbuffer_editor import weight_bytes
from edgefer.workstation.workflows.quantize import Quantized

__all__ = ["NO_THRESHOLDS", "Thresholds", "make_record"]


@dataclass(frozen=True)
class Thresholds:
    """Conditions that a quantized model must meet; None sets none.

    Attributes:
        max_drop_points: accuracy that it may lose against the float network, in percentage points.
        min_accuracy_percent: accuracy that it must reach, in percent.
        max_bytes: size of the file, contract included.
    """

    max_drop_points: float | None = None
    min_accuracy_percent: float | None = None
    max_bytes: int | None = None

    def missed(self, *, drop_points: float, accuracy_percent: float, file_bytes: int) -> list[str]:
        """Return one clause per threshold that is missed."""
        clauses = []
        if self.max_drop_points is not None and drop_points > self.max_drop_points:
            clauses.append(f"{drop_points:.2f} points lost (at most {self.max_drop_points:g} allowed)")
        if self.min_accuracy_percent is not None and accuracy_percent < self.min_accuracy_percent:
            clauses.append(f"accuracy {accuracy_percent:.2f} % (at least {self.min_accuracy_percent:g} % required)")
        if self.max_bytes is not None and file_bytes > self.max_bytes:
            clauses.append(f"{file_bytes:,} bytes (at most {self.max_bytes:,} allowed)")
        return clauses


NO_THRESHOLDS = Thresholds()


def make_record(
    quantized: Quantized, path: Path, measurement: Measurement, *, thresholds: Thresholds = NO_THRESHOLDS,
    layers: Sequence[dict[str, Any]] = (), sensitive: Sequence[str] = (),
    stability: CalibrationStability | None = None, search: AccuracySearch | None = None,
) -> Quantization:  # fmt: skip
    """Return the record of the artifact that was written to ``path``.

    Args:
        quantized: the quantization.
        path: file of the artifact.
        measurement: latency of that file.
        thresholds: conditions that the model must meet; the record lists those that it does not meet.
        layers: layer_record() of each layer.
        sensitive: names of the sensitive layers.
        stability: result of calibration trials.
        search: record of an accuracy search.
    """
    artifact, file_bytes = quantized.artifact, path.stat().st_size
    missed = thresholds.missed(
        drop_points=-quantized.comparison.difference_points,
        accuracy_percent=100 * (quantized.evaluation.accuracy.share or 0.0),
        file_bytes=file_bytes,
    )
    return Quantization(
        path=str(path),
        sha256=artifact.sha256,
        scheme=artifact.scheme,
        model_bytes=len(artifact.model),
        weight_bytes=weight_bytes(artifact.model),
        file_bytes=file_bytes,
        provenance=artifact.provenance,
        comparison=quantized.comparison,
        float_evaluation=quantized.float_evaluation,
        evaluation=quantized.evaluation,
        measurement=measurement,
        golden_tolerance=artifact.golden.tolerance,
        confidence=quantized.temperature_fit,
        missed_thresholds=tuple(missed),
        layers=tuple(layers),
        sensitive_layers=tuple(sensitive),
        stability=stability,
        search=search,
    )
