import dataclasses

import pytest

from edgefer.workstation.quantization.calibration_data import calibration_pool
from edgefer.workstation.quantization.calibration_set import load_set, to_csv
from edgefer.workstation.quantization.options import DEFAULTS
from edgefer.workstation.workflows.calibration_stability import CalibrationTrials, measure_stability
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantize import quantize


@pytest.fixture(scope="module")
def sets(faces):
    return calibration_pool(faces).select_disjoint(sets=2, size=35)


def test_each_trial_has_the_accuracy_of_a_model_with_its_calibration_set(finished_run, faces, sets, tmp_path):
    # Only two of the three sets are requested, so the last one may be empty.
    empty = dataclasses.replace(sets[1], faces=sets[1].faces[:0])
    trials = CalibrationTrials(QuantizationContext(finished_run, faces), [*sets, empty])
    stability = measure_stability(trials, "int8", DEFAULTS, sets=2)
    path = tmp_path / "first.csv"
    path.write_text(to_csv(sets[0]))
    quantized = quantize(QuantizationContext(finished_run, faces, load_set(path, faces)), "int8")
    assert stability.correct[0] == quantized.evaluation.accuracy.correct
    assert (stability.size, stability.split, stability.n) == (35, "PublicTest", 140)
    assert 0.5 < stability.agreement <= 1
    assert len(stability.correct) == 2


def test_equal_calibration_sets_give_equal_models(finished_run, faces, sets):
    trials = CalibrationTrials(QuantizationContext(finished_run, faces), [sets[0], sets[0]])
    stability = measure_stability(trials, "int8", DEFAULTS, sets=2)
    assert stability.agreement == 1
    assert stability.std_points == 0
