"""Result of temperature scaling: the fitted temperature and the calibration error without and with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgefer.results import schema

__all__ = ["HIGHEST_TEMPERATURE", "LOWEST_TEMPERATURE", "TemperatureFit"]

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1 / 8, 8.0
"""Bounds of the fit: the optimum tends to 0 if all labels are right, and to infinity if they are no better than
chance."""


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature and its effect on the expected calibration error (ECE).

    Attributes:
        n: images of the fit.
        temperature: fitted divisor of the logits, rounded to four decimals.
        ece: ECE without the temperature, in 0..1.
        calibrated_ece: cross-validated ECE with a temperature, in 0..1: each half of the images uses the temperature
            fitted on the other half.
    """

    n: int
    temperature: float
    ece: float
    calibrated_ece: float

    @property
    def at_bound(self) -> bool:
        """True if the fit ended at a bound, so that the optimum may lie outside."""
        return not LOWEST_TEMPERATURE * 1.001 < self.temperature < HIGHEST_TEMPERATURE / 1.001

    def to_json(self) -> dict[str, Any]:
        """Return plain values; from_json() is the inverse."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> TemperatureFit:
        """Read what to_json() returned.

        Raises:
            DataError: a field is missing or has another type.
        """
        record = schema.Fields(fields)
        return cls(
            n=record.count("n"),
            temperature=record.number("temperature", low=LOWEST_TEMPERATURE, high=HIGHEST_TEMPERATURE),
            ece=record.share("ece"),
            calibrated_ece=record.share("calibrated_ece"),
        )
