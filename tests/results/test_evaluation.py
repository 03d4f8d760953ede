from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.results.evaluation import Accuracy, Evaluation, evaluate
from edgefer.statistics import wilson_interval

NAMES = ("angry", "happy", "sad")


def logits_for(predictions: list[int], classes: int = 3) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[predictions] * 2


@pytest.fixture
def evaluation() -> Evaluation:
    """Return scores of labels 0 0 0 1 1 2 and predictions 0 0 1 1 1 0: sad is never predicted."""
    return evaluate(
        logits_for([0, 0, 1, 1, 1, 0]),
        np.array([0, 0, 0, 1, 1, 2]),
        label_names=NAMES,
        split="public",
        model="tiny",
        data="drawn",
        seen_in_training=np.array([True, False, False, True, False, False]),
        subject={"sha256": "abc", "size_bytes": 12},
    )


def test_accuracy_and_confusion(evaluation: Evaluation) -> None:
    assert evaluation.n == 6
    assert evaluation.accuracy == Accuracy(4, 6)
    assert evaluation.accuracy.share == pytest.approx(2 / 3)
    assert evaluation.accuracy.interval == wilson_interval(4, 6)
    assert evaluation.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert evaluation.confusion_shares == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 1, 0], [1, 0, 0]]))


def test_images_that_occur_in_training_are_excluded(evaluation: Evaluation) -> None:
    assert evaluation.deduplicated == Accuracy(2, 4)
    without_mask = evaluate(logits_for([0]), np.array([0]), label_names=NAMES, split="public")
    assert without_mask.deduplicated is None


def test_class_scores(evaluation: Evaluation) -> None:
    angry, happy, sad = evaluation.per_class
    assert (angry.n, angry.predicted) == (3, 3)
    assert (angry.precision, angry.recall, angry.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (happy.precision, happy.recall, happy.f1) == pytest.approx((2 / 3, 1, 4 / 5))
    assert (sad.precision, sad.recall, sad.f1) == (None, 0, 0)
    assert evaluation.macro_f1 == pytest.approx((2 / 3 + 4 / 5 + 0) / 3)


def test_a_class_that_never_occurs_has_no_scores_and_no_weight() -> None:
    evaluation = evaluate(logits_for([0, 1]), np.array([0, 1]), label_names=NAMES, split="public")
    sad = evaluation.per_class[2]
    assert (sad.precision, sad.recall, sad.f1) == (None, None, None)
    assert evaluation.macro_f1 == 1.0
    assert evaluation.to_json()["confusion_shares"][2] is None


def test_cross_entropy_is_in_nats() -> None:
    logits = np.array([[0, 0, 0], [np.log(2), 0, 0]], np.float32)
    evaluation = evaluate(logits, np.array([1, 0]), label_names=NAMES, split="public")
    assert evaluation.cross_entropy == pytest.approx((np.log(3) + np.log(2)) / 2)
    far = evaluate(np.array([[1000.0, 0.0, 0.0]]), np.array([1]), label_names=NAMES, split="public")
    assert far.cross_entropy == pytest.approx(1000)


def test_all_images_seen_in_training() -> None:
    evaluation = evaluate(
        logits_for([0]), np.array([0]), label_names=NAMES, split="public", seen_in_training=np.array([True])
    )
    assert evaluation.deduplicated == Accuracy(0, 0)
    assert evaluation.deduplicated.share is None
    assert evaluation.to_json()["accuracy_unseen_in_training"]["interval_95"] is None


def test_json_round_trip(evaluation: Evaluation) -> None:
    # allow_nan=False: NaN is not valid JSON.
    text = json.dumps(evaluation.to_json(), allow_nan=False)
    again = Evaluation.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert (again.confusion == evaluation.confusion).all()
    assert again.deduplicated == evaluation.deduplicated
    fields = json.loads(text)
    assert fields["accuracy"]["share"] == pytest.approx(2 / 3)
    assert fields["per_class"][2]["precision"] is None
    assert fields["subject"]["sha256"] == "abc"


def test_other_records_are_refused(evaluation: Evaluation) -> None:
    with pytest.raises(DataError, match="evaluation"):
        Evaluation.from_json(evaluation.to_json() | {"kind": "measurement"})
    with pytest.raises(IncompatibleError, match="version 2"):
        Evaluation.from_json(evaluation.to_json() | {"schema_version": 2})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": np.zeros((2, 4))}, r"shape \(2, 4\)"),
        ({"logits": np.zeros((0, 3)), "labels": np.zeros(0, np.int64)}, "n >= 1"),
        ({"labels": np.array([0, 3])}, r"labels in 0\.\.3"),
        ({"labels": np.array([-1, 0])}, r"labels in -1\.\.0"),
        ({"logits": np.array([[0, 0, np.nan], [0, 0, 0]])}, "1 of 2 images"),
        ({"seen_in_training": np.array([0, 1])}, "seen_in_training"),
        ({"seen_in_training": np.array([True])}, "seen_in_training"),
    ],
)
def test_arrays_that_do_not_match_are_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"logits": np.zeros((2, 3)), "labels": np.array([0, 1]), **changes}
    with pytest.raises(DataError, match=message):
        evaluate(arguments.pop("logits"), arguments.pop("labels"), label_names=NAMES, split="public", **arguments)
