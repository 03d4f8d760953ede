import csv
import json
import math

import cv2
import pytest

from edgefer.text_table import Result
from edgefer.workstation.quantization.sensitivity import Distance, LayerError
from edgefer.workstation.workflows.summary import with_layers

LONG = "stage{0}_block{0}_{1}_convolution_with_a_name_that_is_long"
FAR = Distance(12.3, 0.97, 0.25)


@pytest.fixture
def errors():
    layers = [LONG.format(index // 2 + 1, index % 2 + 1) for index in range(12)]
    found = [
        LayerError(index, "CONV_2D", layer, FAR, FAR if index % 2 else None, 1.5 if index < 4 else -0.2)
        for index, layer in enumerate(layers)
    ]
    return [*found, LayerError(12, "MEAN", "average", Distance(math.inf, 1.0, 0.0), None)]


@pytest.fixture
def told(errors, tmp_path):
    before = Result({"kind": "quantization", "schema_version": 1}, "what there was\nnext: a command")
    return with_layers(before, errors, tmp_path / "compact_small-int8_qat.tflite")


def test_the_table_is_a_file_that_programs_read(told, errors, tmp_path):
    with (tmp_path / "compact_small-int8_qat.layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == [error.layer for error in errors]
    assert (rows[1]["activation_snr_db"], rows[1]["weight_cosine"], rows[1]["float_gain_db"]) == ("12.3", "0.97", "1.5")
    assert (rows[0]["weight_snr_db"], rows[12]["activation_snr_db"], rows[12]["float_gain_db"]) == ("", "", "")


def test_the_record_is_json_and_names_the_culprits(told, errors):
    record = json.loads(json.dumps(told.record, allow_nan=False))
    assert record["kind"] == "quantization"
    assert record["culprits"] == [error.layer for error in errors[:4]]
    assert record["layers"][1]["weight_saturation"] == 0.25
    assert record["layers"][12]["activation_snr_db"] is None


def test_the_text_is_80_columns_wide_and_ends_with_what_comes_next(told):
    lines = told.text.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert (lines[0], lines[-1]) == ("what there was", "next: a command")
    assert "culprits:" in told.text
    assert LONG.format(1, 2) in told.text


def test_without_a_culprit_it_says_so(errors, tmp_path):
    told = with_layers(Result({}, "next"), errors[4:], tmp_path / "m.tflite")
    assert "no layer alone costs the logits 1 dB" in told.text
    unasked = [LayerError(0, "MEAN", "average", FAR, None)]
    assert "culprit" not in with_layers(Result({}, "next"), unasked, tmp_path / "m.tflite").text


def test_the_bars_are_a_picture_that_grows_with_the_layers(told, errors, tmp_path):
    tall = cv2.imread(str(tmp_path / "compact_small-int8_qat.layers.png"))
    with_layers(Result({}, "next"), errors[:2], tmp_path / "m.tflite")
    low = cv2.imread(str(tmp_path / "m.layers.png"))
    assert tall.shape[0] > 2 * low.shape[0] > 0
    assert tall.std() > 10


def test_a_model_without_any_error_is_drawn_too(tmp_path):
    same = [LayerError(0, "MEAN", "average", Distance(math.inf, 1.0, 0.0), None, math.nan)]
    told = with_layers(Result({}, "next"), same, tmp_path / "m.tflite")
    assert json.dumps(told.record, allow_nan=False)
    assert (tmp_path / "m.layers.png").exists()
