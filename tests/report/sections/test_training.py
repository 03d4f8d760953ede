import dataclasses
import json
import re

import pytest

from edgefer import plugins
from edgefer.contract.input_description import parse_input
from edgefer.contract.preprocessing import InputSpec
from edgefer.report.commands import import_command
from edgefer.report.report_data import ReportData, read_report_data
from edgefer.report.sections.blocks import Code, Columns, Details
from edgefer.report.sections.provenance import reproduce_section
from edgefer.report.sections.training import training_section
from edgefer.report.training_record import Training


def test_a_training_is_read_from_its_run_folder(run_folder, cells):
    data = read_report_data([run_folder])
    rows = {row["property"]: row["value"] for row in cells(data, "Training of small")}
    assert rows["SHA-256 of the data"] == "d" * 64
    assert rows["epochs"] == "2; best epoch: 2"
    assert rows["duration"] == "2.1 min"
    assert rows["accuracy on PublicTest"].startswith("75.00 % (")
    settings = {row["setting"]: row["value"] for row in cells(data, "Settings")}
    assert settings == {"system": "small", "epochs": "2", "augment.flip": "true"}


def test_each_curve_has_training_and_validation_lines(run_folder):
    section = training_section(read_report_data([run_folder]))
    (columns,) = [block for block in section.blocks if isinstance(block, Columns)]
    assert [list(chart.series) for chart in columns.blocks] == [["Training", "PublicTest"]] * 2 + [["learning rate"]]
    assert columns.blocks[0].series == {"Training": [1.9, 1.5], "PublicTest": [1.8, 1.6]}


def test_a_training_in_progress_is_marked_as_unfinished(run_folder, cells):
    (run_folder / "metrics.json").unlink()
    rows = {row["property"]: row["value"] for row in cells(read_report_data([run_folder]), "Training of small")}
    assert rows["epochs"] == "2 of 2, not finished"


def test_an_imported_run_has_no_epochs_and_is_imported_again(run_folder, cells):
    for name in ("metrics.json", "history.csv"):
        (run_folder / name).unlink()
    path = run_folder / "environment.json"
    environment = json.loads(path.read_text())
    imported = {"file": "my model.h5", "kind": "a Keras model", "labels_from": "the data"}
    path.write_text(json.dumps({**environment, "imported": imported}))
    data = read_report_data([run_folder])
    rows = {row["property"]: row["value"] for row in cells(data, "Import of small")}
    assert (rows["file"], rows["format"], rows["SHA-256 of the data"]) == ("my model.h5", "a Keras model", "d" * 64)
    assert "epochs" not in rows
    (commands,) = [block.text for block in reproduce_section(data).blocks if isinstance(block, Code)]
    assert "edgefer import 'my model.h5' --data DATA --input gray,0..1 --run runs/first" in commands
    assert "edgefer train" not in commands
    given = {"data": {}, "labels": ["happy", "sad"], "imported": {**imported, "labels_from": "--labels"}}
    line = "edgefer import 'my model.h5' --labels happy,sad --input bgr,caffe,nearest --run runs/a"
    spec = parse_input("caffe,nearest", InputSpec(48, 48, channels="rgb"))
    assert import_command("runs/a", environment=given, spec=spec) == line


@pytest.mark.parametrize("system", ["compact_small", "vgg_clahe"])
def test_training_accepts_the_settings_in_the_report(system):
    workstation = pytest.importorskip("edgefer.workstation.training.settings_toml")
    settings = plugins.load("edgefer.workstation.training.systems", system).SYSTEM
    training = Training(name=system, settings=dataclasses.asdict(settings), environment={})
    section = reproduce_section(ReportData(trainings=(training,)))
    (details,) = [block for block in section.blocks if isinstance(block, Details)]
    (code,) = details.blocks
    assert workstation.from_toml(code.text) == settings


def test_the_commands_reproduce_the_run(run_folder):
    section = reproduce_section(read_report_data([run_folder]))
    (commands,) = [block.text for block in section.blocks if isinstance(block, Code)]
    assert "edgefer train --settings first.toml --data fer2013.csv --run runs/first" in commands
    line = "edgefer quantize runs/first --scheme int8 --calibration fer2013-500 --calibration-method min-max"
    assert f"{line} --per-tensor --keep-float '^stem$'" in commands
    assert re.search(r"^edgefer bench small-int8\.tflite --samples", commands, re.MULTILINE)
