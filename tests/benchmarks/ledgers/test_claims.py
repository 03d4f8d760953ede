from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ledgers.claims import Claim, claims_table, read_claims

from edgefer.contract.labels import LABELS
from edgefer.errors import DataError
from edgefer.results import schema
from edgefer.results.evaluation import Accuracy, Evaluation


def scored(right: int) -> dict[str, Any]:
    confusion = np.zeros((7, 7), np.int64)
    confusion[0, 0], confusion[0, 1] = right, 1000 - right
    return Evaluation(
        model="net", data="fer2013.csv", split="PublicTest", label_names=LABELS, confusion=confusion,
        cross_entropy=1.0, deduplicated=Accuracy(right // 2, 500),
    ).to_json()  # fmt: skip


def entry(right: int, **changes: Any) -> dict[str, Any]:
    times = {"runtime": "litert", "runtime_version": "2.3.0"}
    return {
        "system": "two_conv",
        "claimed_percent": 61.87,
        "claim": "61.87 % on a test split",
        "parameters": 839047,
        "macs": 9_640_000,
        "bytes": {"float32": 3_362_816, "int8": 848_896},
        "device": {"cpu": "Cortex-A72", "cores": 4},
        "evaluations": {"float32": scored(right), "int8": scored(right - 1)},
        "latency": {
            "float32": {**times, "invoke": {"p50_us": 218.9}},
            "int8": {**times, "invoke": {"p50_us": 86.3}},
        },
        **changes,
    }


@pytest.mark.parametrize(("right", "holds"), [(609, True), (608, False), (700, True)])
def test_a_claim_holds_within_a_point(right: int, holds: bool) -> None:
    claim = Claim.from_json(entry(right))
    assert claim.holds is holds
    assert claim.missing_points == pytest.approx(61.87 - right / 10)


def test_the_row_shows_the_claim_and_the_reproduction() -> None:
    table = claims_table((Claim.from_json(entry(598)),))
    lines = table.markdown().splitlines()
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[:2] == ["two_conv", "61.87 % on a test split"]
    assert cells[2].startswith("59.80 % (")
    assert cells[3].startswith("59.80 % (")
    assert cells[4].startswith("59.70 % (")
    assert cells[5:] == ["no, 2.1 points short", "839,047", "9.6", "829", "219", "86"]
    assert "1,000 images" in " ".join(lines)
    assert "Cortex-A72, litert 2.3.0" in " ".join(lines)
    assert max(map(len, table.text().splitlines())) <= 80


def test_an_entry_without_latencies_is_refused() -> None:
    fields = entry(600)
    del fields["latency"]
    with pytest.raises(DataError, match="latency"):
        Claim.from_json(fields)


def test_a_record_gives_one_row_per_system() -> None:
    claims = read_claims({**schema.header("systems", 1), "systems": [entry(598), entry(620, system="other")]})
    lines = claims_table(claims).markdown().splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 4
    assert any(line.startswith("| other | 61.87 % on a test split | 62.00 % (") for line in lines)
    with pytest.raises(DataError, match="systems"):
        read_claims(schema.header("systems", 1))
