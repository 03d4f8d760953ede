from __future__ import annotations

import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.inference.classifier import Classifier
from edgefer.inference.evaluation import evaluate_classifier


def test_counts_what_the_classifier_answers(int8_classifier: Classifier, faces: np.ndarray) -> None:
    answers = int8_classifier.logits(faces).argmax(axis=1)
    labels = answers.copy()
    labels[:10] = (labels[:10] + 1) % 7
    seen = np.zeros(len(faces), np.bool_)
    seen[:5] = True
    evaluation = evaluate_classifier(int8_classifier, faces, labels, split="public", seen_in_training=seen)
    assert evaluation.accuracy.correct == len(faces) - 10
    assert evaluation.deduplicated is not None
    assert (evaluation.deduplicated.correct, evaluation.deduplicated.n) == (len(faces) - 10, len(faces) - 5)
    assert evaluation.label_names == int8_classifier.artifact.labels


def test_subject_identifies_the_model_and_takes_more(int8_classifier: Classifier, faces: np.ndarray) -> None:
    labels = np.zeros(len(faces), np.int64)
    evaluation = evaluate_classifier(int8_classifier, faces, labels, split="public", subject={"file": "a.tflite"})
    artifact = int8_classifier.artifact
    expected = {"sha256": artifact.sha256, "size_bytes": len(artifact.model), "scheme": "int8", "system": "tiny"}
    assert expected.items() <= evaluation.subject.items()
    assert evaluation.subject["file"] == "a.tflite"
    assert evaluation.subject["runtime"] == int8_classifier.runtime.name


def test_progress_reaches_the_end(int8_classifier: Classifier, faces: np.ndarray) -> None:
    calls: list[tuple[int, int]] = []
    many = np.concatenate([faces] * 4)
    evaluate_classifier(
        int8_classifier,
        many,
        np.zeros(len(many), np.int64),
        split="public",
        progress=lambda done, total, note: calls.append((done, total)),
    )
    assert calls == [(128, 160), (160, 160)]


def test_faces_and_labels_must_match(int8_classifier: Classifier, faces: np.ndarray) -> None:
    with pytest.raises(DataError, match="40 faces and 3 labels"):
        evaluate_classifier(int8_classifier, faces, np.zeros(3, np.int64), split="public")
