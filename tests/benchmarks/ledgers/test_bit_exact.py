"""benchmarks/ledgers/bit_exact.py: models with and without bit-exact scales as a table."""

import pytest
from ledgers.bit_exact import bit_exact_table, read_bit_exact

from edgefer.errors import DataError
from edgefer.results import schema

MODEL = {
    "model": "my_nano", "bit_exact": False, "model_bytes": 98672, "correct": 2417, "n": 3589,
    "float_agreement": 0.9819, "kernels_agreement": 0.98913, "kernels_identical": 0.01783, "kernels_compared": 6,
}  # fmt: skip
EXACT = {**MODEL, "bit_exact": True, "correct": 2416, "kernels_agreement": 1.0, "kernels_identical": 1.0}


def record(*models, **changes):
    return {**schema.header("bit-exact", 1), "calibration_faces": 4000, "models": list(models), **changes}


def test_row_has_the_accuracy_and_the_agreement_of_the_kernels():
    text = bit_exact_table(read_bit_exact(record(MODEL, EXACT))).markdown()
    assert "| my_nano | no | 96 | 67.34 (65.8-68.9) | 98.19 | 98.91 | 1.8 |" in text
    assert "| my_nano | yes | 96 | 67.32 (65.8-68.8) | 98.19 | 100.00 | 100.0 |" in text
    assert "6 kinds of kernels" in " ".join(text.split())


@pytest.mark.parametrize("change", [{"correct": 3590}, {"bit_exact": 1}, {"kernels_agreement": "all"}])
def test_damaged_model_is_refused(change):
    with pytest.raises(DataError):
        read_bit_exact(record({**MODEL, **change}))


@pytest.mark.parametrize("changes", [{"kind": "peers"}, {"calibration_faces": "all"}, {"models": None}])
def test_damaged_record_is_refused(changes):
    with pytest.raises(DataError):
        read_bit_exact(record(MODEL, **changes))
