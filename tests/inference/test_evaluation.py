from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.errors import DataError
from edgefer.inference.classifier import Classifier
from edgefer.inference.evaluation import (
    EvaluationRequest,
    compute_logits,
    evaluate_logits,
    evaluate_request,
    pack_test_set,
)


def test_an_evaluation_counts_correct_predictions(int8_classifier: Classifier, faces: np.ndarray) -> None:
    logits = compute_logits(int8_classifier, faces)
    labels = logits.argmax(axis=1)
    labels[:10] = (labels[:10] + 1) % 7
    seen = np.zeros(len(faces), np.bool_)
    seen[:5] = True
    evaluation = evaluate_logits(int8_classifier, logits, labels, split="public", seen_in_training=seen)
    assert evaluation.accuracy.correct == len(faces) - 10
    assert evaluation.deduplicated is not None
    assert (evaluation.deduplicated.correct, evaluation.deduplicated.n) == (len(faces) - 10, len(faces) - 5)
    assert evaluation.label_names == int8_classifier.artifact.labels


def test_the_subject_identifies_the_model_and_takes_further_values(
    int8_classifier: Classifier, faces: np.ndarray
) -> None:
    logits, labels = compute_logits(int8_classifier, faces), np.zeros(len(faces), np.int64)
    evaluation = evaluate_logits(int8_classifier, logits, labels, split="public", subject={"file": "a.tflite"})
    artifact = int8_classifier.artifact
    expected = {"sha256": artifact.sha256, "size_bytes": len(artifact.model), "scheme": "int8", "system": "tiny"}
    assert expected.items() <= evaluation.subject.items()
    assert evaluation.subject["file"] == "a.tflite"
    assert evaluation.subject["runtime"] == int8_classifier.runtime.name


def test_progress_reaches_the_number_of_faces(int8_classifier: Classifier, faces: np.ndarray) -> None:
    calls: list[tuple[int, int]] = []
    compute_logits(
        int8_classifier,
        np.concatenate([faces] * 4),
        progress=lambda done, total, note: calls.append((done, total)),
    )
    assert calls == [(128, 160), (160, 160)]


def test_logits_and_labels_must_match(int8_classifier: Classifier, faces: np.ndarray) -> None:
    logits = compute_logits(int8_classifier, faces)
    with pytest.raises(DataError):
        evaluate_logits(int8_classifier, logits, np.zeros(3, np.int64), split="public")
    with pytest.raises(DataError):
        evaluate_logits(int8_classifier, logits[:0], np.zeros(0, np.int64), split="public")


@pytest.mark.parametrize("most", [None, 8])
def test_a_request_evaluates_a_packed_test_set(
    model_path: Path, int8_classifier: Classifier, faces: np.ndarray, tmp_path: Path, most: int | None
) -> None:
    labels = compute_logits(int8_classifier, faces).argmax(axis=1)
    arrays = pack_test_set(faces, labels, None, label_names=LABELS, split="PublicTest", data="drawn")
    np.savez(tmp_path / "test.npz", **arrays)
    evaluation = evaluate_request(EvaluationRequest(str(model_path), str(tmp_path / "test.npz"), most))
    assert (evaluation.accuracy.correct, evaluation.n) == (most or len(faces), most or len(faces))
    assert (evaluation.split, evaluation.data, evaluation.deduplicated) == ("PublicTest", "drawn", None)


@pytest.mark.parametrize("count", [0, 40])
def test_a_test_set_with_too_few_labels_is_rejected(
    model_path: Path, faces: np.ndarray, tmp_path: Path, count: int
) -> None:
    labels = np.zeros(3, np.int64)
    arrays = pack_test_set(faces[:count], labels, None, label_names=LABELS, split="PublicTest", data="drawn")
    np.savez(tmp_path / "test.npz", **arrays)
    with pytest.raises(DataError, match=f"{count} faces and 3 labels"):
        evaluate_request(EvaluationRequest(str(model_path), str(tmp_path / "test.npz")))


def test_a_test_set_with_another_order_of_labels_is_refused(
    model_path: Path, faces: np.ndarray, tmp_path: Path
) -> None:
    labels = np.zeros(len(faces), np.int64)
    arrays = pack_test_set(faces, labels, None, label_names=LABELS[::-1], split="PublicTest", data="drawn")
    np.savez(tmp_path / "test.npz", **arrays)
    with pytest.raises(DataError, match="has the labels neutral, surprise") as caught:
        evaluate_request(EvaluationRequest(str(model_path), str(tmp_path / "test.npz")))
    assert "has angry, disgust" in caught.value.why
