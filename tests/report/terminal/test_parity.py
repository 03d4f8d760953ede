import dataclasses

import pytest

from edgefer.report.terminal.parity import parity_text
from edgefer.results.parity import Configuration, Divergence, Parity, Row

PYTHON = "/somewhere/in/a/folder/with/a/long/name/tflite-venv/bin/python"
DIVERGENCE = Divergence(3, "CONV_2D", "stage1/relu", 32, 0.000824, 1.0, "steps")


@pytest.fixture
def parity():
    """Return fifteen rows of three runtimes, one in another Python; the reference kernels diverge at op 3."""
    rows = [
        Row(Configuration(name, kernels, threads, python), version, "", 1.0, True, 0.0547, 3.0, 0.9844, divergence)
        for name, version, python in (
            ("litert", "2.3.0", ""),
            ("tensorflow", "2.21.0", ""),
            ("tflite_runtime", "2.14.0", PYTHON),
        )
        for kernels, threads, divergence in (
            ("default", 1, None), ("default", 4, None), ("builtin", 1, None), ("builtin", 4, None),
            ("reference", 1, DIVERGENCE),
        )
    ]  # fmt: skip
    rows[0] = Row(rows[0].configuration, "2.3.0", "", 0.0, True)
    subject = {"file": "small-int8.tflite", "scheme": "int8", "sha256": "a" * 64}
    pythons = {"": "Python 3.13.1, numpy 2.4.6", PYTHON: "Python 3.11.7, numpy 1.26.4"}
    return Parity(subject, "PublicTest of fer2013.csv", 3589, 24, 4.0, "steps", pythons, tuple(rows), 0.984375, (0, 4))


def with_row(parity, position, **changes):
    rows = list(parity.rows)
    rows[position] = dataclasses.replace(rows[position], **changes)
    return dataclasses.replace(parity, rows=tuple(rows))


def test_the_table_fits_a_terminal_without_folding_names(parity):
    lines = parity_text(parity).splitlines()
    assert max(len(line) for line in lines if PYTHON not in line) <= 80
    (last,) = [line for line in lines if line.startswith("15 ")]
    assert last.split() == ["15", "tflite_runtime", "a", "reference", "1", "5.47", "98.44", "3", "1", "op", "3"]


def test_every_column_is_explained(parity):
    text = parity_text(parity)
    for column in ("kernels", "same", "top-1", "worst", "golden", "diverges"):
        assert f"\n  {column:<9} " in text
    assert "Each row is compared with row 1." in text
    assert "in steps; tolerance 4" in text


def test_versions_are_listed_once_per_python(parity):
    text = parity_text(parity)
    assert "litert 2.3.0, tensorflow 2.21.0 on Python 3.13.1, numpy 2.4.6" in text
    assert "a: tflite_runtime 2.14.0 on Python 3.11.7, numpy 1.26.4" in text
    assert "faces: 3,589 of PublicTest of fer2013.csv" in text


def test_rows_with_the_same_divergence_share_a_sentence(parity):
    text = " ".join(parity_text(parity).split())
    assert "Rows 5, 10, 15 diverge at op 3, CONV_2D: 0.082 % of its values differ, by at most 1 step" in text
    assert "Lowest top-1 agreement between any two rows: 98.44 %, rows 1 and 5." in text


def test_problems_are_reported(parity):
    odd = with_row(parity, 0, problem="the runtime litert is not installed here", golden_ok=None)
    odd = with_row(odd, 6, golden_ok=False, golden_worst=9.0)
    odd = with_row(odd, 9, divergence=None, divergence_problem="the flatbuffer schema is not installed here")
    text = " ".join(parity_text(odd).split())
    assert "Row 1 did not run: the runtime litert is not installed here." in text
    assert "Each row is compared with row 2." in text
    assert "Row 7: the golden vectors exceed" in text
    assert "Row 10: the first different operator is unknown: the flatbuffer schema" in text


def test_golden_vectors_replace_real_faces(parity):
    text = " ".join(parity_text(dataclasses.replace(parity, data="", faces=24)).split())
    assert "faces: the 24 golden vectors (synthetic), because no real faces are available" in text


def test_a_single_row_cannot_be_compared(parity):
    alone = dataclasses.replace(parity, rows=parity.rows[:1], least_agreement=None, least_pair=None)
    assert "no comparison is possible" in parity_text(alone)


def test_a_difference_that_is_not_a_number_is_none_in_the_record(parity):
    record = with_row(parity, 3, largest_difference=float("nan")).to_json()
    assert (record["kind"], record["schema_version"]) == ("parity", 1)
    assert record["rows"][3]["largest_difference"] is None
    assert record["rows"][4]["parting"]["tensor"] == "stage1/relu"
    assert record["rows"][14]["configuration"]["python"] == PYTHON
