"""Record of ``edgefer quantize``: a quantized model and its comparison with the float network.

    quantization = Quantization.from_json(record)   # to_json() is the inverse
    quantization.comparison.difference_points, quantization.temperature

Records that an earlier edgefer wrote lack some entries; the attributes of those are None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from edgefer.results import schema
from edgefer.results.accuracy_search import AccuracySearch
from edgefer.results.calibration_stability import CalibrationStability
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement
from edgefer.results.paired_comparison import PairedComparison
from edgefer.results.provenance import check_provenance
from edgefer.results.temperature_scaling import TemperatureFit

__all__ = ["Quantization"]

KIND = "quantization"
SCHEMA_VERSION = 1
# Attributes whose JSON key differs from their name.
JSON_KEYS = {
    "comparison": "verdict",
    "float_evaluation": "parent",
    "missed_thresholds": "gates_broken",
    "sensitive_layers": "culprits",
}
LAYER_NUMBERS = (
    "activation_snr_db", "activation_cosine", "activation_saturation", "weight_snr_db", "float_gain_db",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Quantization:
    """A quantized model, its scores and its comparison with the float network.

    Attributes:
        path: path of the .tflite.
        sha256: SHA-256 of the flatbuffer.
        scheme: quantization scheme.
        model_bytes: size of the flatbuffer.
        weight_bytes: size of its weights.
        file_bytes: size of the file, including the contract.
        provenance: origin of the model, from its contract.
        comparison: comparison with the float network, image by image.
        float_evaluation, evaluation: evaluations of the float network and of the quantized model on the same images.
        measurement: a one-second benchmark on the machine that quantized the model.
        golden_tolerance: tolerance of the golden vectors; None in records without it.
        confidence: temperature of the logits and its effect; None in records that predate temperature scaling.
        missed_thresholds: thresholds that the model misses, one clause each.
        layers: results of --debug-layers, one mapping per operator.
        sensitive_layers: names of the sensitive layers.
        stability: result of --calibration-trials, or None.
        search: result of --auto, or None.
    """

    path: str
    sha256: str
    scheme: str
    model_bytes: int
    weight_bytes: int
    file_bytes: int
    provenance: Mapping[str, Any]
    comparison: PairedComparison
    float_evaluation: Evaluation
    evaluation: Evaluation
    measurement: Measurement
    golden_tolerance: float | None = None
    confidence: TemperatureFit | None = None
    missed_thresholds: tuple[str, ...] = ()
    layers: tuple[Mapping[str, Any], ...] = ()
    sensitive_layers: tuple[str, ...] = ()
    stability: CalibrationStability | None = None
    search: AccuracySearch | None = None

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
        return self.confidence.temperature if self.confidence else None

    @property
    def calibrated_ece(self) -> float | None:
        """Expected calibration error with the temperature, in 0..1; None in records that predate it."""
        return self.confidence.calibrated_ece if self.confidence else None

    def to_json(self) -> dict[str, Any]:
        """Return the record; from_json() is the inverse."""
        keys = JSON_KEYS
        return {
            **schema.header(KIND, SCHEMA_VERSION),
            "path": self.path,
            "sha256": self.sha256,
            "scheme": self.scheme,
            "model_bytes": self.model_bytes,
            "weight_bytes": self.weight_bytes,
            "file_bytes": self.file_bytes,
            **({} if self.golden_tolerance is None else {"golden_tolerance": self.golden_tolerance}),
            **({} if self.confidence is None else {"confidence": self.confidence.to_json()}),
            "provenance": dict(self.provenance),
            keys["comparison"]: self.comparison.to_json(),
            keys["float_evaluation"]: self.float_evaluation.to_json(),
            "evaluation": self.evaluation.to_json(),
            "measurement": self.measurement.to_json(),
            keys["missed_thresholds"]: list(self.missed_thresholds),
            **({} if self.stability is None else {"stability": self.stability.to_json()}),
            **self._layers_to_json(),
            **({} if self.search is None else {"search": self.search.to_json()}),
        }

    def _layers_to_json(self) -> dict[str, Any]:
        layers = [dict(layer) for layer in self.layers]
        return {"layers": layers, JSON_KEYS["sensitive_layers"]: list(self.sensitive_layers)} if layers else {}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Quantization:
        """Read a record of kind "quantization"; further fields are ignored.

        Raises:
            DataError: the record has another kind, lacks a field, or holds an invalid value.
            IncompatibleError: the schema version is newer than this edgefer supports.
        """
        record, keys = schema.read(fields, KIND, SCHEMA_VERSION), JSON_KEYS
        check_provenance(record.object("provenance"))
        return cls(
            path=record.text("path"),
            sha256=record.text("sha256"),
            scheme=record.text("scheme"),
            model_bytes=record.count("model_bytes"),
            weight_bytes=record.count("weight_bytes"),
            file_bytes=record.count("file_bytes"),
            provenance=record.plain("provenance"),
            comparison=PairedComparison.from_json(record.object(keys["comparison"])),
            float_evaluation=Evaluation.from_json(record.object(keys["float_evaluation"])),
            evaluation=Evaluation.from_json(record.object("evaluation")),
            measurement=Measurement.from_json(record.object("measurement")),
            golden_tolerance=record.optional(record.amount, "golden_tolerance"),
            confidence=record.optional(lambda key: TemperatureFit.from_json(record.object(key)), "confidence"),
            stability=record.optional(lambda key: CalibrationStability.from_json(record.object(key)), "stability"),
            search=record.optional(lambda key: AccuracySearch.from_json(record.object(key)), "search"),
            missed_thresholds=record.texts(keys["missed_thresholds"]),
            layers=tuple(map(_read_layer, record.optional(record.objects, "layers") or ())),
            sensitive_layers=record.optional(record.texts, keys["sensitive_layers"]) or (),
        )


def _read_layer(layer: schema.Fields) -> dict[str, Any]:
    """Check the entries of one operator; None marks a value that is undefined for its kind."""
    for key in ("layer", "kind"):
        layer.text(key)
    for key in LAYER_NUMBERS:
        if key not in layer or layer[key] is not None:
            layer.number(key)
    return layer.to_plain()
