import dataclasses
import json
import re

import pytest

from edgefer.contract.artifact import Artifact
from edgefer.models import SHIPPED
from edgefer.report.html.loading import read_report_data
from edgefer.report.loading import Results
from edgefer.report.model_card import ModelCardData, card as card_of
from edgefer.report.quantization_record import Quantization
from edgefer.results import schema


@pytest.fixture
def made(quantized):
    def read(**fields):
        return Quantization.from_json(quantized(**fields))

    return read


def card(quantization, *, run="RUN", **known):
    return card_of(dataclasses.replace(ModelCardData.of(quantization), **known), run=run)


def test_a_card_says_what_the_model_is_not_for(made):
    text = " ".join(card(made()).split())
    for said in (
        "A perceived expression is not an emotion",
        "inferring emotions at work and in schools is prohibited (AI Act, article 5)",
        "high-risk",
    ):
        assert said in text


def test_each_class_has_its_numbers(made):
    quantization = made()
    line = r"^\| (\w+) \| (\d+) \| ([\d.-]+) \| ([\d.-]+) \| ([\d.-]+) \| (\S+) \|$"
    rows = re.findall(line, card(quantization), re.MULTILINE)
    for row, score, delta in zip(rows, quantization.evaluation.per_class, quantization.verdict.per_class, strict=True):
        shares = [f"{100 * each:.1f}" for each in (score.precision, score.recall, score.f1)]
        assert row == (score.label, str(score.n), *shares, f"{delta.delta_points:+.1f}")


def test_what_it_cost_is_the_verdict(made):
    verdict = made().verdict
    text = " ".join(card(made()).split())
    assert f"{verdict.difference_points:+.2f} points" in text
    assert f"McNemar p = {verdict.p_value:.2g}" in text
    assert "The same label for 90.00 % of 20 images" in text


def test_a_temperature_is_told_with_what_it_is_worth(made):
    confidence = {"n": 20, "temperature": 0.8125, "ece": 0.04, "calibrated_ece": 0.0123}
    text = " ".join(card(made(confidence=confidence)).split())
    assert "the softmax of logits / 0.8125, a temperature that was fitted on the same images" in text
    assert "to 1.2 %, told on images that had no say in it" in text
    assert "logits /" not in card(made())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fer2013.csv", "has not established"), ("icml", "Goodfellow"), ("synthetic", "no person is in them"),
        ("npz", "for that person to know"),
    ],
)  # fmt: skip
def test_the_data_and_their_licence_are_named(made, quantized, name, said):
    provenance = {**quantized()["provenance"], "data": {"name": name, "sha256": "e" * 64}}
    text = " ".join(card(made(provenance=provenance)).split())
    assert said in text
    assert f"Trained on {name}, sha256 `{'e' * 64}`" in text


def test_boards_are_listed_and_other_machines_are_no_boards(made, measured):
    assert "## Boards measured\n\nNone yet: `edgefer bench" in card(made())
    assert "| no board: Cortex-A76 | litert 2.3.0 | 1 | 100.0 |" in card(made())
    board = measured(p50_us=1234, device={"board": "Raspberry Pi 4"})
    text = card(made(), benches=(board, board))
    assert text.count("| Raspberry Pi 4 | litert 2.3.0 | 1 | 1,234.0 | 1,357.4 |") == 1
    assert "None yet" not in text


def test_one_command_makes_it_again(made):
    assert card(made(), run="runs/x").endswith(
        "    edgefer quantize runs/x --scheme int8 --calibration fer2013-500 --calibration-method min-max --per-tensor \\\n"
        "        --keep-float '^stem$'\n"
    )


def test_drawn_faces_and_training_have_their_options(made, quantized):
    drawn = {"system": "small", "calibration": {"faces": 50, "seed": 3}, "qat": {"epochs": 2, "learning_rate": 0.001}}
    assert made(provenance=drawn, scheme="int8_qat").command("a b") == (
        "edgefer quantize 'a b' --scheme int8_qat --calibration-size 50 --seed 3 --qat-epochs 2 "
        "--qat-learning-rate 0.001"
    )


def test_lines_are_short_and_broken_gates_are_limits(made):
    text = card(made(gates_broken=["2.00 points were lost, 1 may be"]))
    assert "does not keep the bounds that were set: 2.00 points were lost, 1 may be." in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if not line.startswith(("|", "    "))) <= 120


# The card of a file, from results


@pytest.fixture
def artifact():
    return Artifact.load(SHIPPED)


@pytest.fixture
def results(artifact, quantized, evaluated, measured, tmp_path):
    """What result files say of the model that ships, and of another."""
    board = measured(artifact.sha256, device={"board": "Raspberry Pi 5"}, p50_us=300)
    counts = {"litert": {"Pi 4": 8_450_000}}
    inspection = {**json.loads(INSPECTION), "sha256": artifact.sha256}
    found = {
        "int8": quantized(artifact.sha256, provenance=dict(artifact.provenance)),
        "private": evaluated(artifact.sha256, right=12, split="PrivateTest").to_json(),
        "board": board.to_json(),
        "other": evaluated("f" * 64, right=1, split="PrivateTest").to_json(),
        "counts": {
            **schema.header("arm64", 1), "subject": {"file": "x.tflite", "sha256": artifact.sha256}, "data": "faces",
            "faces": 9, "instructions": counts, "parity": [],
        },
        "parity": {**schema.header("parity", 1), "subject": {"sha256": artifact.sha256}, "least_agreement": 0.97},
        "inspection": inspection,
    }  # fmt: skip
    for name, record in found.items():
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


def told(artifact, folder):
    evidence = read_report_data([folder])
    return card_of(ModelCardData.of_file(artifact, 331_515, evidence.results, evidence.quantizations))


def test_a_file_gets_all_that_results_say_of_it_and_nothing_of_others(artifact, results):
    text = told(artifact, results)
    flat = " ".join(text.split())
    assert "PublicTest of fer2013.csv: 75.00 % (" in flat
    assert "PrivateTest of fer2013.csv: 60.00 % (" in flat
    assert "5.00 %" not in flat.replace("75.00 %", "")
    assert flat.count("The best epoch was chosen on") == 1
    assert "| Raspberry Pi 5 | litert 2.3.0 | 1 | 300.0 |" in text
    assert "| x | litert | 8.45 |" in text
    assert "agree on 97.00 % of labels at least" in flat
    assert "302,791 parameters, makes 22.5 million multiply-accumulates an inference in 50 KiB" in flat
    # Recall against float is known of the split that quantizing scored, and of no other.
    assert text.count("recall against float") == 1


def test_a_file_without_results_says_what_is_not_known(artifact, tmp_path):
    text = card_of(ModelCardData.of_file(artifact, 331_515, Results()))
    assert "Not measured: `edgefer evaluate" in text
    assert "Not known: no record of `edgefer quantize --out`" in text
    assert "None yet: `edgefer bench" in text
    assert "prohibited (AI Act" in " ".join(text.split())


def test_the_settings_in_a_card_are_those_that_a_training_takes(artifact):
    settings = pytest.importorskip("edgefer.workstation.training.settings")
    text = card_of(ModelCardData.of_file(artifact, 331_515, Results()))
    flat = " ".join(text.replace("\\\n", " ").split())
    # A run goes into a folder of its own, not into that of the one that it begins with.
    parent = artifact.provenance["parent"]["run"]
    assert f"edgefer train --settings settings.toml --data fer2013.csv --run runs/{parent}-on --init-from" in flat
    assert f"--init-from runs/{parent} --teacher runs/" in flat
    assert f"edgefer quantize runs/{parent}-on " in flat
    lines = re.search(r"```toml\n(.*?)\n```", text, re.DOTALL)[1]
    read = settings.from_toml(lines)
    told = artifact.provenance["settings"]
    assert (read.system, read.epochs, read.augment.erasing) == ("small", told["epochs"], told["augment"]["erasing"])
