import json
import re

import pytest

from edgefer.errors import DataError
from edgefer.models import SHIPPED
from edgefer.report.loading import Results
from edgefer.report.report_data import ReportData, read_report_data
from edgefer.results.quantization import Quantization


def test_a_model_with_two_records_is_listed_once_with_its_layers(quantized, layer, tmp_path):
    for name, layers in (("a", []), ("b", [layer])):
        (tmp_path / f"{name}.json").write_text(json.dumps(quantized(layers=layers)))
    assert [len(each.layers) for each in read_report_data([tmp_path]).quantizations] == [1]


def test_a_benchmark_replaces_the_short_measurement_of_a_quantization(quantized, measured):
    quantizations = (Quantization.from_json(quantized()),)
    assert len(ReportData(quantizations=quantizations).measurements) == 1
    data = ReportData(results=Results(measurements=(measured(p50_us=77),)), quantizations=quantizations)
    assert [each.p50_us for each in data.measurements] == [77.0]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (f"{SHIPPED.stem}.flips.csv", "row,label\n1,happy\n"), ("metrics.json", "[" * 100_000),
        ("environment.json", '{"data": {"images": {"Training": "many"}}}'),
        ("settings.toml", "system = "), ("history.csv", "epoch,loss\n1,low\n"), ("metrics.json", "{"),
        ("metrics.json", '{"evaluation": {}}'), ("environment.json", "[1"), ("environment.json", "{}"),
        ("int8.json", '{"kind": "quantization"}'),
    ],
)  # fmt: skip
def test_a_damaged_file_of_a_run_is_named(run_folder, file, content):
    (run_folder / file).write_text(content)
    with pytest.raises(DataError, match=re.escape(file)):
        read_report_data([run_folder])


def test_the_float_network_of_an_imported_run_is_not_an_artifact(run_folder):
    names = [model.file for model in read_report_data([run_folder]).models]
    (run_folder / "network.tflite").write_bytes(b"\x1c\0\0\0TFL3 without a contract")
    assert [model.file for model in read_report_data([run_folder]).models] == names == [SHIPPED.name]


def test_a_quantization_without_its_counts_names_the_field(quantized, tmp_path):
    record = quantized()
    del record["verdict"]["only_own_correct"]
    (tmp_path / "a.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"a\.json: verdict\.only_own_correct is missing"):
        read_report_data([tmp_path])


@pytest.mark.parametrize("changes", [None, {"activation_snr_db": "loud"}, {"layer": None}])
def test_a_damaged_layer_names_the_field(quantized, layer, tmp_path, changes):
    damaged = {} if changes is None else {**layer, **changes}
    (tmp_path / "a.json").write_text(json.dumps(quantized(layers=[damaged])))
    with pytest.raises(DataError, match=r"a\.json: layers\[0\]\.(layer|activation_snr_db)"):
        read_report_data([tmp_path])
