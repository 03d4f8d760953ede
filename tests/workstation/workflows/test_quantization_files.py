import csv
import json
import math

import cv2
import pytest

from edgefer.workstation.quantization.sensitivity import Distance, LayerError
from edgefer.workstation.workflows.quantization_files import layer_record, write_layers

LONG = "stage{0}_block{0}_{1}_convolution_with_a_name_that_is_long"
DISTANCE = Distance(12.3, 0.97, 0.25)
EXACT = Distance(math.inf, 1.0, 0.0)


@pytest.fixture
def layers():
    names = [LONG.format(index // 2 + 1, index % 2 + 1) for index in range(12)]
    errors = [
        LayerError(index, "CONV_2D", name, DISTANCE, DISTANCE if index % 2 else None, 1.5 if index < 4 else -0.2)
        for index, name in enumerate(names)
    ]
    return [layer_record(error) for error in [*errors, LayerError(12, "MEAN", "average", EXACT, None)]]


def test_the_csv_has_one_row_per_layer(layers, tmp_path):
    write_layers(layers, (), tmp_path / "small-int8.tflite")
    with (tmp_path / "small-int8.layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == [layer["layer"] for layer in layers]
    assert (rows[1]["activation_snr_db"], rows[1]["weight_cosine"], rows[1]["float_gain_db"]) == ("12.3", "0.97", "1.5")
    assert (rows[0]["weight_snr_db"], rows[12]["activation_snr_db"], rows[12]["float_gain_db"]) == ("", "", "")


def test_a_layer_without_error_has_no_ratio_in_the_record(layers):
    assert json.dumps(layers, allow_nan=False)
    assert layers[1]["weight_saturation"] == 0.25
    assert layers[12]["activation_snr_db"] is None
    assert layer_record(LayerError(0, "MEAN", "average", EXACT, None, math.nan))["float_gain_db"] is None


def test_the_plot_grows_with_the_number_of_layers(layers, tmp_path):
    write_layers(layers, [layers[0]["layer"]], tmp_path / "tall.tflite")
    write_layers(layers[:2], (), tmp_path / "low.tflite")
    tall, low = (cv2.imread(str(tmp_path / f"{name}.layers.png")) for name in ("tall", "low"))
    assert tall.shape[0] > 2 * low.shape[0] > 0
    assert tall.std() > 10


def test_layers_without_any_error_are_drawn_too(layers, tmp_path):
    write_layers(layers[12:], (), tmp_path / "exact.tflite")
    assert (tmp_path / "exact.layers.png").exists()
