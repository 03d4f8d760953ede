"""The result of ``edgefer quantize``: a quantized model compared with its float parent.

    quantization.to_json()                          # a record of kind "quantization"
    Quantization.from_json(record)
    quantization.verdict.difference_points, quantization.temperature
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement
from edgefer.results.paired_comparison import PairedComparison

__all__ = ["Quantization"]

KIND = "quantization"
SCHEMA_VERSION = 1
PLAIN = ("path", "sha256", "scheme", "model_bytes", "weight_bytes", "file_bytes", "provenance")
LAYER_NUMBERS = (
    "activation_snr_db", "activation_cosine", "activation_saturation", "weight_snr_db", "float_gain_db",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Quantization:
    """A quantized model compared with its float parent.

    Attributes:
        path: Path of the .tflite.
        sha256: SHA-256 of the flatbuffer.
        scheme: Quantization scheme.
        model_bytes: Size of the flatbuffer.
        weight_bytes: Size of its weights.
        file_bytes: Size of the file, including the contract.
        provenance: Origin of the model, from its contract.
        verdict: Comparison with the float parent, image by image.
        parent, evaluation: Evaluations of the float parent and of the quantized model on the same images.
        measurement: A one-second benchmark on the machine that quantized the model.
        golden_tolerance: Tolerance of the golden vectors; None in records without it.
        confidence: Fields of the temperature fit: temperature, ece, calibrated_ece and others; None in records that
            predate temperature scaling.
        gates_broken: Thresholds that the model misses, one clause each.
        layers: Results of --debug-layers, one mapping per operator.
        sensitive_layers: Names of the sensitive layers.
    """

    path: str
    sha256: str
    scheme: str
    model_bytes: int
    weight_bytes: int
    file_bytes: int
    provenance: Mapping[str, Any]
    verdict: PairedComparison
    parent: Evaluation
    evaluation: Evaluation
    measurement: Measurement
    golden_tolerance: float | None = None
    confidence: Mapping[str, Any] | None = None
    gates_broken: tuple[str, ...] = ()
    layers: tuple[Mapping[str, Any], ...] = ()
    sensitive_layers: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Name of the .tflite."""
        return PurePath(self.path).name

    @property
    def system(self) -> str:
        """Name of the network's system."""
        return str(self.provenance.get("system", "?"))

    @property
    def temperature(self) -> float | None:
        """Divisor of the logits; None in records that predate temperature scaling."""
        return self.confidence["temperature"] if self.confidence else None

    @property
    def calibrated_ece(self) -> float | None:
        """Expected calibration error with the temperature, in 0..1; None in records that predate it."""
        return self.confidence["calibrated_ece"] if self.confidence else None

    def to_json(self) -> dict[str, Any]:
        """Return the record; from_json() is the inverse."""
        return {
            **schema.header(KIND, SCHEMA_VERSION),
            "path": self.path,
            "sha256": self.sha256,
            "scheme": self.scheme,
            "model_bytes": self.model_bytes,
            "weight_bytes": self.weight_bytes,
            "file_bytes": self.file_bytes,
            **({} if self.golden_tolerance is None else {"golden_tolerance": self.golden_tolerance}),
            **({} if self.confidence is None else {"confidence": dict(self.confidence)}),
            "provenance": dict(self.provenance),
            "verdict": self.verdict.to_json(),
            "parent": self.parent.to_json(),
            "evaluation": self.evaluation.to_json(),
            "measurement": self.measurement.to_json(),
            "gates_broken": list(self.gates_broken),
            **self._layers_to_json(),
        }

    def _layers_to_json(self) -> dict[str, Any]:
        layers = [dict(layer) for layer in self.layers]
        return {"layers": layers, "culprits": list(self.sensitive_layers)} if layers else {}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Quantization:
        """Read a record of kind "quantization"; further fields are ignored.

        Raises:
            DataError: The record has another kind, lacks a field, or holds an invalid value.
            IncompatibleError: The schema version is newer than this edgefer supports.
        """
        schema.validate(fields, KIND, SCHEMA_VERSION)
        schema.require(
            fields, path=str, scheme=str, sha256=str, model_bytes=int, weight_bytes=int, file_bytes=int,
            provenance=dict, verdict=dict, parent=dict, evaluation=dict, measurement=dict, gates_broken=list,
        )  # fmt: skip
        for layer in fields.get("layers", ()):
            schema.require(layer, layer=str, kind=str, **dict.fromkeys(LAYER_NUMBERS, (int, float, type(None))))
        confidence = fields.get("confidence")
        if confidence is not None:
            schema.require(confidence, temperature=(int, float), calibrated_ece=(int, float))
        return cls(
            **{name: fields[name] for name in PLAIN},
            verdict=PairedComparison.from_json(fields["verdict"]),
            parent=Evaluation.from_json(fields["parent"]),
            evaluation=Evaluation.from_json(fields["evaluation"]),
            measurement=Measurement.from_json(fields["measurement"]),
            golden_tolerance=fields.get("golden_tolerance"),
            confidence=confidence,
            gates_broken=tuple(map(str, fields["gates_broken"])),
            layers=tuple(fields.get("layers", ())),
            sensitive_layers=tuple(map(str, fields.get("culprits", ()))),
        )
