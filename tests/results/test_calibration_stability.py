import json

import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.results.calibration_stability import CalibrationStability, pairwise_agreement

STABILITY = CalibrationStability(size=50, split="PublicTest", n=200, correct=(120, 124, 122), agreement=0.975)


def test_the_record_has_the_spread():
    record = STABILITY.to_json()
    assert (record["min"], record["max"]) == (0.6, 0.62)
    assert record["std_points"] == pytest.approx(np.std([60, 62, 61], ddof=1))
    assert record["sets"] == 3


def test_the_record_is_read_back():
    assert CalibrationStability.from_json(json.loads(json.dumps(STABILITY.to_json()))) == STABILITY
    with pytest.raises(DataError, match="mean_agreement"):
        CalibrationStability.from_json({**STABILITY.to_json(), "mean_agreement": "all"})


def test_agreement_is_averaged_over_pairs():
    assert pairwise_agreement([np.array([0, 1]), np.array([0, 1]), np.array([0, 2])]) == pytest.approx(2 / 3)
