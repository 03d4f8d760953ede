"""Files that an earlier edgefer wrote stay readable: result records, a run folder and an artifact."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.cli import main
from edgefer.contract.artifact import Artifact
from edgefer.data import dataset
from edgefer.data.synthetic import draw
from edgefer.report.report_data import read_report_data
from edgefer.report.training_record import Training
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.evaluation import Evaluation
from edgefer.results.inspection import Inspection
from edgefer.results.parity import read_least_agreement
from edgefer.results.quantization import Quantization

OLD = Path(__file__).parents[1] / "fixtures" / "before"
RUN, MODEL = OLD / "run", OLD / "run" / "demo-int8.tflite"
RECORDS = ("train", "quantize", "evaluate", "bench", "inspect", "verify")
# Warnings are computed again, in today's words, and so are the intervals over the rounds of a benchmark.
RECOMPUTED = ("doubts", "invalid", "p50_interval_95_us", "interval")
SPLITS = {"Training": 140, "PublicTest": 70, "PrivateTest": 35}


def record(name):
    return json.loads((OLD / f"{name}.json").read_text())


@pytest.fixture
def edgefer(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; return what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGEFER_DATA", raising=False)

    def run(*arguments):
        code = main.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return run


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    pixels, emotion = draw(sum(SPLITS.values()), seed=3)
    path = tmp_path_factory.mktemp("data") / "faces.npz"
    np.savez(path, pixels=pixels, emotion=emotion, usage=np.repeat(list(SPLITS), list(SPLITS.values())))
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [("quantize", Quantization), ("evaluate", Evaluation), ("inspect", Inspection), ("bench", BenchmarkResult)],
)
def test_old_records_are_read_and_written_again_with_the_same_entries(name, kind):
    old = record(name)
    new = json.loads(json.dumps(kind.from_json(old).to_json()))

    def check(before, after, place):
        if isinstance(before, dict):
            # A later edgefer can add entries, but it must not lose or rename any.
            for key, value in before.items():
                if key not in RECOMPUTED:
                    check(value, after[key], f"{place}.{key}")
                assert key in after, place
        elif isinstance(before, list):
            assert len(before) == len(after), place
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                check(one, other, f"{place}[{index}]")
        else:
            assert after == (pytest.approx(before) if isinstance(before, float) else before), place

    check(old, new, name)


def test_old_training_and_parity_records_are_read():
    training = Training.from_json(record("train"))
    assert (training.system, training.epochs, training.best_epoch) == ("demo", 1, record("train")["best_epoch"])
    assert training.evaluation.accuracy.n == 1400
    sha256, least = read_least_agreement(record("verify"))
    assert sha256 == record("inspect")["sha256"] == Artifact.load(MODEL).sha256
    assert least == record("verify")["least_agreement"]


def test_old_run_folder_is_read():
    training = Training.from_run(RUN)
    assert training.settings["model"] == {"stem": 4, "width": 8, "depth": 1}
    assert len(training.history) == 1
    (model,) = read_report_data([RUN]).models
    assert model.artifact.scheme == "int8"
    assert len(model.changes) == round((1 - record("quantize")["verdict"]["agreement"]) * 1400)


def test_report_renders_old_records(edgefer, tmp_path):
    files = [OLD / f"{name}.json" for name in RECORDS]
    text = edgefer("report", *files)
    comparison = record("quantize")["verdict"]
    assert f"{comparison['difference_points']:+.2f}" in text
    assert f"{record('bench')['measurements'][0]['invoke']['p50_us']:.1f}" in text
    edgefer("report", RUN, *files, "--html", "report.html")
    page = (tmp_path / "report.html").read_text()
    for section in ("training", "models", "verdicts", "flips", "confusion", "latency", "benches", "reproduce"):
        assert f'id="{section}"' in page
    edgefer("report", MODEL, *files, "--card", "card.md")
    assert f"{100 * record('evaluate')['accuracy']['share']:.2f} %" in (tmp_path / "card.md").read_text()


def test_old_artifact_predicts_and_is_evaluated(edgefer, faces, tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), np.load(faces)["pixels"][0])
    (prediction,) = json.loads(edgefer("predict", "face.png", "--no-detect", "--model", MODEL, "--json"))["predictions"]
    assert prediction["faces"][0]["label"] in Artifact.load(MODEL).labels
    scored = json.loads(edgefer("evaluate", MODEL, "--data", faces, "--json"))
    assert scored["n"] == SPLITS["PublicTest"]
    assert scored["subject"]["sha256"] == record("evaluate")["subject"]["sha256"]


def test_old_run_folder_is_quantized_with_its_settings_and_weights(edgefer, faces, tmp_path):
    run = shutil.copytree(RUN, tmp_path / "run")
    environment = json.loads((run / "environment.json").read_text())
    # Drawing the synthetic faces takes half a minute.
    environment["data"]["sha256"] = dataset.load(faces).sha256
    (run / "environment.json").write_text(json.dumps(environment))
    options = ("--int8", "--data", faces, "--calibration-size", 50, "--json")
    quantized = json.loads(edgefer("quantize", "run", *options))
    assert quantized["provenance"]["settings"]["model"] == {"stem": 4, "width": 8, "depth": 1}
    assert quantized["verdict"]["agreement"] > 0.8
    assert quantized["model_bytes"] == pytest.approx(record("quantize")["model_bytes"], rel=0.2)


@pytest.mark.parametrize(
    ("file", "content", "place"),
    [
        ("environment.json", "{}", "backend is missing"),
        ("environment.json", "[]", "a list of 0"),
        ("environment.json", '{"backend": "jax", "data": "x"}', "data is 'x'"),
        ("environment.json", '{"backend": "jax", "data": {"sha256": NaN}}', "data.sha256 is nan"),
        ("metrics.json", '{"best_epoch": "x"}', "best_epoch is 'x'"),
    ],
)
def test_damaged_file_of_a_run_is_named_with_its_entry(tmp_path, monkeypatch, capsys, file, content, place):
    monkeypatch.chdir(tmp_path)
    (shutil.copytree(RUN, tmp_path / "run") / file).write_text(content)
    assert main.run(["quantize", "run", "--int8", "--data", "nonexistent.csv"]) == 1
    error = capsys.readouterr().err
    assert f"run/{file}: " in error
    assert place in error
