import dataclasses
import json
import re

import pytest

from edgefer.contract.artifact import Artifact
from edgefer.models import SHIPPED
from edgefer.report.loading import Results
from edgefer.report.model_card import card as card_of
from edgefer.report.model_card_data import ModelCardData
from edgefer.report.report_data import read_report_data
from edgefer.results import schema
from edgefer.results.quantization import Quantization


@pytest.fixture
def made(quantized):
    def read(**fields):
        return Quantization.from_json(quantized(**fields))

    return read


def card(quantization, *, run="RUN", **known):
    return card_of(dataclasses.replace(ModelCardData.of(quantization), **known), run=run)


def test_a_card_names_prohibited_uses(made):
    text = " ".join(card(made()).split())
    for statement in (
        "A perceived expression is not an emotion",
        "inferring emotions at work and in schools is prohibited (AI Act, article 5)",
        "high-risk",
    ):
        assert statement in text


def test_each_class_has_its_numbers(made):
    quantization = made()
    line = r"^\| (\w+) \| (\d+) \| ([\d.-]+) \| ([\d.-]+) \| ([\d.-]+) \| (\S+) \|$"
    rows = re.findall(line, card(quantization), re.MULTILINE)
    deltas = quantization.comparison.per_class
    for row, score, delta in zip(rows, quantization.evaluation.per_class, deltas, strict=True):
        shares = [f"{100 * each:.1f}" for each in (score.precision, score.recall, score.f1)]
        assert row == (score.label, str(score.n), *shares, f"{delta.delta_points:+.1f}")


def test_the_cost_is_the_paired_comparison(made):
    comparison = made().comparison
    text = " ".join(card(made()).split())
    assert f"{comparison.difference_points:+.2f} points" in text
    assert f"McNemar p = {comparison.p_value:.2g}" in text
    assert "Both models give the same label to 90.00 % of 20 images" in text


def test_the_card_of_an_imported_model_has_its_input_its_output_and_its_origin(made):
    quantization = made()
    for output, words in (("logits", "2 logits; the host applies softmax."), ("probabilities", "2 probabilities.")):
        spec = {"height": 64, "width": 96, "clahe": None, "channels": "rgb", "mean": [123.5], "std": [58.5, 57, 57.25]}
        imported = {"file": "theirs.h5", "output": output}
        provenance = {**quantization.provenance, "settings": {"input": spec}, "imported": imported}
        text = " ".join(card(dataclasses.replace(quantization, provenance=provenance)).split())
        assert "raw RGB pixels, 96 x 64, of which the model takes (pixel - 123.5) / 58.5, 57, 57.25." in text
        assert words in text
        assert "Imported from `theirs.h5`, which another program trained on unknown data." in text
        assert "Trained on" not in text
        assert "The best epoch" not in text


def test_a_temperature_comes_with_its_calibration_error(made):
    confidence = {"n": 20, "temperature": 0.8125, "ece": 0.04, "calibrated_ece": 0.0123}
    text = " ".join(card(made(confidence=confidence)).split())
    assert "the softmax of logits / 0.8125. This temperature was fitted on the same images" in text
    assert "the expected calibration error is 1.2 % instead of" in text
    assert "logits /" not in card(made())


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("fer2013.csv", "has not established"), ("icml", "Goodfellow"), ("synthetic", "They show no person"),
        ("npz", "the responsibility of the person who trained"),
    ],
)  # fmt: skip
def test_the_data_and_their_license_are_named(made, quantized, name, statement):
    provenance = {**quantized()["provenance"], "data": {"name": name, "sha256": "e" * 64}}
    text = " ".join(card(made(provenance=provenance)).split())
    assert statement in text
    assert f"Trained on {name}, sha256 `{'e' * 64}`" in text


def test_boards_and_other_machines_are_listed_separately(made, measured):
    assert "## Measured boards\n\nNone yet: `edgefer bench" in card(made())
    assert "| no board: Cortex-A76 | litert 2.3.0 | 1 | 100.0 |" in card(made())
    board = measured(p50_us=1234, device={"board": "Raspberry Pi 4"})
    text = card(made(), benches=(board, board))
    assert text.count("| Raspberry Pi 4 | litert 2.3.0 | 1 | 1,234.0 | 1,357.4 |") == 1
    assert "None yet" not in text


def test_one_command_reproduces_the_model(made):
    assert card(made(), run="runs/x").endswith(
        "    edgefer quantize runs/x --scheme int8 --calibration fer2013-500 --calibration-method min-max "
        "--per-tensor \\\n        --keep-float '^stem$'\n"
    )


def test_teachers_that_are_files_have_their_digest(artifact, quantized, tmp_path):
    teachers = [{"run": "wide-float16.tflite", "sha256": "c" * 64}, {"run": "wide-1", "sha256": "d" * 64}]
    record = quantized(artifact.sha256, provenance={**artifact.provenance, "teachers": teachers})
    (tmp_path / "int8.json").write_text(json.dumps(record))
    text = card_of_file(artifact, tmp_path)
    assert "--teacher wide-float16.tflite,runs/wide-1" in " ".join(text.split())
    assert f"SHA-256 of the teachers:\n\n- `wide-float16.tflite`: `{'c' * 64}`\n" in f"{text}\n"
    assert "d" * 64 not in text


def test_lines_are_short_and_missed_thresholds_are_limitations(made):
    text = card(made(gates_broken=["2.00 points were lost, 1 may be"]))
    assert "misses the accuracy thresholds that were set: 2.00 points were lost, 1 may be." in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if not line.startswith(("|", "    "))) <= 120


# The card of a .tflite, from result files


@pytest.fixture
def artifact():
    return Artifact.load(SHIPPED)


@pytest.fixture
def results(artifact, quantized, evaluated, measured, tmp_path):
    """Write results of a shipped model, and an evaluation of another model."""
    board = measured(artifact.sha256, device={"board": "Raspberry Pi 5"}, p50_us=300)
    inspection = {**json.loads(INSPECTION), "sha256": artifact.sha256}
    records = {
        "int8": quantized(artifact.sha256, provenance=dict(artifact.provenance)),
        "private": evaluated(artifact.sha256, right=12, split="PrivateTest").to_json(),
        "board": board.to_json(),
        "other": evaluated("f" * 64, right=1, split="PrivateTest").to_json(),
        "parity": {**schema.header("parity", 1), "subject": {"sha256": artifact.sha256}, "least_agreement": 0.97},
        "inspection": inspection,
    }  # fmt: skip
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    return tmp_path


INSPECTION = json.dumps(
    {
        **schema.header("inspection", 1), "file": "x.tflite", "file_bytes": 9, "description": "", "sha256": "",
        "declared_runtime": None, "minimum_runtime": "2.11", "runtime": "litert", "runtime_version": "2.3.0",
        "first_run": "ok", "subgraphs": 1, "inputs": [], "outputs": [], "ops": [], "parameters": 302_791,
        "parameter_bytes": 9, "macs": 22_500_000, "macs_unknown_ops": 0, "arena_peak_bytes": 51_200,
        "variable_bytes": 0, "unsized_tensors": 0, "delegate_groups": 1, "delegate_detail": "", "targets": [],
        "contract": {"status": "ok"},
    }
)  # fmt: skip


def card_of_file(artifact, folder, **options):
    data = read_report_data([folder])
    return card_of(ModelCardData.of_file(artifact, 331_515, data.results, data.quantizations), **options)


def test_a_card_contains_all_results_of_its_model_and_of_no_other(artifact, results):
    text = card_of_file(artifact, results)
    flat = " ".join(text.split())
    assert "PublicTest of fer2013.csv: 75.00 % (" in flat
    assert "PrivateTest of fer2013.csv: 60.00 % (" in flat
    assert "5.00 %" not in flat.replace("75.00 %", "")
    assert flat.count("The best epoch was selected on") == 1
    assert "| Raspberry Pi 5 | litert 2.3.0 | 1 | 300.0 |" in text
    assert "agree on at least 97.00 % of labels" in flat
    assert "302,791 parameters. An inference takes 22.5 million multiply-accumulates and 50 KiB" in flat
    # The change of recall is known only for the split that quantization was scored on.
    assert text.count("recall change from float") == 1


def test_a_caller_can_add_notes_on_boards(artifact, results):
    text = card_of_file(artifact, results, board_notes=["| board | watts |", "Measured at the wall."])
    assert "\n\n| board | watts |\n\nMeasured at the wall.\n\n## Reproduce\n" in text


def test_a_card_without_results_names_the_missing_commands(artifact):
    text = card_of(ModelCardData.of_file(artifact, 331_515, Results()))
    assert "Not measured: `edgefer evaluate" in text
    assert "Unknown: no record of `edgefer quantize --out`" in text
    assert "None yet: `edgefer bench" in text
    assert "prohibited (AI Act" in " ".join(text.split())


def test_training_accepts_the_settings_in_a_card(artifact):
    settings = pytest.importorskip("edgefer.workstation.training.settings_toml")
    text = card_of(ModelCardData.of_file(artifact, 331_515, Results()))
    flat = " ".join(text.replace("\\\n", " ").split())
    # A continued training gets a new run folder, not that of its initial run.
    parent = artifact.provenance["parent"]["run"]
    assert f"edgefer train --settings settings.toml --data fer2013.csv --run runs/{parent}-on --init-from" in flat
    assert f"--init-from runs/{parent} --teacher b1-int8.tflite," in flat
    assert f"edgefer quantize runs/{parent}-on " in flat
    lines = re.search(r"```toml\n(.*?)\n```", text, re.DOTALL)[1]
    read = settings.from_toml(lines)
    recorded = artifact.provenance["settings"]
    assert (read.system, read.epochs) == ("small", recorded["epochs"])
    assert read.augment.erasing == recorded["augment"]["erasing"]
