import dataclasses
import re

import pytest

from edgefer.report.card import Known, card as card_of
from edgefer.report.quantization import Quantization


@pytest.fixture
def made(quantized):
    def read(**fields):
        return Quantization.from_json(quantized(**fields))

    return read


def card(quantization, *, run="RUN", **known):
    return card_of(dataclasses.replace(Known.of(quantization), **known), run=run)


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
        "    edgefer quantize runs/x --scheme int8 --calibration fer2013-500 --ranges min-max --per-tensor "
        "--skip-layer '^stem$'\n"
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
