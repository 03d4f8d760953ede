import numpy as np
import pytest

from edgefer.text_table import Result
from edgefer.workstation.quantization.calibration_data import candidates
from edgefer.workstation.quantization.calibration_set import load_set, to_csv
from edgefer.workstation.workflows.calibration_stability import Stability, stability, with_stability
from edgefer.workstation.workflows.quantize import quantize

FOUND = Stability(size=50, split="PublicTest", n=200, correct=(120, 124, 122), agreement=0.975)


@pytest.fixture(scope="module")
def sets(faces):
    return candidates(faces).choose_disjoint(sets=2, size=35)


def test_each_model_is_the_one_that_its_set_gives(finished_run, faces, sets, tmp_path):
    found = stability(finished_run, "int8", faces, sets)
    path = tmp_path / "first.csv"
    path.write_text(to_csv(sets[0]))
    own = quantize(finished_run, "int8", faces, calibration=load_set(path, faces))
    assert found.correct[0] == own.evaluation.accuracy.correct
    assert (found.size, found.split, found.n) == (35, "PublicTest", 140)
    assert 0.5 < found.agreement <= 1


def test_the_same_faces_agree_with_themselves(finished_run, faces, sets):
    found = stability(finished_run, "int8", faces, [sets[0], sets[0]])
    assert found.agreement == 1
    assert found.std_points == 0


def test_the_record_has_the_spread():
    record = FOUND.to_json()
    assert (record["min"], record["max"]) == (0.6, 0.62)
    assert record["std_points"] == pytest.approx(np.std([60, 62, 61], ddof=1))
    assert record["sets"] == 3


def test_the_text_has_it_above_the_next_step():
    result = with_stability(Result({"kind": "quantization"}, "a table\nnext: edgefer bench"), FOUND)
    assert result.record == {"kind": "quantization", "stability": FOUND.to_json()}
    first, *middle, last = result.text.splitlines()
    assert (first, last) == ("a table", "next: edgefer bench")
    assert "60.00 to 62.00 %, std 1.00 points" in middle[0]
    assert max(map(len, middle)) <= 80
