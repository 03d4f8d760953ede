"""Record of a search for the cheapest int8 model within an accuracy bound.

    search.methods                                  # calibration methods, the one closest to the float network first
    search.candidates                               # every model that was scored, in order
    search.to_json()                                # the "search" entry of a quantization record
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgefer.results import schema

__all__ = ["AccuracySearch", "Candidate", "MethodResult"]

# Attributes whose JSON key differs from their name.
METHOD_JSON_KEYS = {"float_agreement": "parent_agreement"}
CANDIDATE_JSON_KEYS = {"options": "recipe", "within_bound": "holds"}
SEARCH_JSON_KEYS = {"candidates": "tries"}


@dataclass(frozen=True)
class MethodResult:
    """One calibration method on several disjoint calibration sets.

    Attributes:
        name: calibration method.
        accuracies: accuracy of one model per set, in 0..1.
        agreement: share of images that two of the models label alike, averaged over all pairs, in 0..1.
        float_agreement: lowest share of images that a model labels like the float network, in 0..1.
    """

    name: str
    accuracies: tuple[float, ...]
    agreement: float
    float_agreement: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values; from_json() is the inverse."""
        return {
            "name": self.name,
            "accuracies": list(self.accuracies),
            "agreement": self.agreement,
            METHOD_JSON_KEYS["float_agreement"]: self.float_agreement,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MethodResult:
        """Read what to_json() returned.

        Raises:
            DataError: a field is missing or has another type.
        """
        record = schema.Fields(fields)
        return cls(
            name=record.text("name"),
            accuracies=record.numbers("accuracies"),
            agreement=record.share("agreement"),
            float_agreement=record.share(METHOD_JSON_KEYS["float_agreement"]),
        )


@dataclass(frozen=True)
class Candidate:
    """One quantized model of the search.

    Attributes:
        name: options that distinguish it, in words.
        scheme: quantization scheme, "int8" or "int8_qat".
        options: its quantization options; empty after quantization-aware training.
        difference_points: accuracy minus that of the float network, in percentage points.
        interval_points: 95 % confidence interval of that difference.
        agreement: share of images that it labels like the float network, in 0..1.
        model_bytes: size of the flatbuffer.
        duration_s: seconds to quantize and score it; None after quantization-aware training.
        within_bound: it loses at most the allowed accuracy.
    """

    name: str
    scheme: str
    options: Mapping[str, Any]
    difference_points: float
    interval_points: tuple[float, float]
    agreement: float
    model_bytes: int
    duration_s: float | None
    within_bound: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values; from_json() is the inverse."""
        return {
            "name": self.name,
            "scheme": self.scheme,
            CANDIDATE_JSON_KEYS["options"]: dict(self.options),
            "difference_points": self.difference_points,
            "interval_points": list(self.interval_points),
            "agreement": self.agreement,
            "model_bytes": self.model_bytes,
            "duration_s": self.duration_s,
            CANDIDATE_JSON_KEYS["within_bound"]: self.within_bound,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Candidate:
        """Read what to_json() returned.

        Raises:
            DataError: a field is missing or has another type.
        """
        record, keys = schema.Fields(fields), CANDIDATE_JSON_KEYS
        return cls(
            name=record.text("name"),
            scheme=record.text("scheme"),
            options=record.plain(keys["options"]),
            difference_points=record.number("difference_points"),
            interval_points=record.interval("interval_points"),
            agreement=record.share("agreement"),
            model_bytes=record.count("model_bytes"),
            duration_s=record.optional(record.amount, "duration_s"),
            within_bound=record.flag(keys["within_bound"]),
        )


@dataclass(frozen=True)
class AccuracySearch:
    """A complete search.

    Attributes:
        max_drop_points: accuracy that a model may lose against the float network, in percentage points.
        methods: calibration methods; the one with the highest ``float_agreement`` comes first.
        candidates: every model that was scored, in order; the last one was selected.
    """

    max_drop_points: float
    methods: tuple[MethodResult, ...]
    candidates: tuple[Candidate, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; from_json() is the inverse."""
        return {
            "max_drop_points": self.max_drop_points,
            "methods": [method.to_json() for method in self.methods],
            SEARCH_JSON_KEYS["candidates"]: [candidate.to_json() for candidate in self.candidates],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> AccuracySearch:
        """Read what to_json() returned.

        Raises:
            DataError: a field is missing or has another type.
        """
        record = schema.Fields(fields)
        return cls(
            max_drop_points=record.number("max_drop_points"),
            methods=tuple(map(MethodResult.from_json, record.objects("methods"))),
            candidates=tuple(map(Candidate.from_json, record.objects(SEARCH_JSON_KEYS["candidates"]))),
        )
