import numpy as np
import pytest

from edgefer.data.evaluation_set import EvaluationSet, ModelOutputs
from edgefer.results.evaluation import evaluate
from edgefer.statistics import softmax
from edgefer.workstation.plots.error_analysis import error_pairs, random_predictions, sample_images

NAMES = ("angry", "happy", "sad")


def outputs_of(logits, labels, **more):
    labels = np.asarray(labels)
    images = EvaluationSet(
        data="synthetic",
        split="PublicTest",
        faces=np.zeros((len(labels), 48, 48), np.uint8),
        labels=labels,
        rows=np.arange(len(labels)) * 10 + 1000,
        seen_in_training=None,
    )
    return ModelOutputs(images, logits, evaluate(logits, labels, label_names=NAMES, split="PublicTest"), **more)


@pytest.fixture
def outputs():
    generator = np.random.default_rng(3)
    return outputs_of(generator.normal(0, 2, (90, 3)).astype(np.float32), generator.integers(0, 3, 90))


def test_pairs_equal_counts_by_numpy(outputs):
    labels, predictions = outputs.images.labels, outputs.logits.argmax(axis=1)
    pairs = error_pairs(outputs)
    assert len(pairs) == 6
    assert [pair.n for pair in pairs] == sorted((pair.n for pair in pairs), reverse=True)
    for pair in pairs:
        assert pair.n == ((labels == pair.label) & (predictions == pair.prediction)).sum()
        assert pair.share_of_label == pytest.approx(pair.n / (labels == pair.label).sum())
    assert sum(pair.n for pair in pairs) == (labels != predictions).sum()
    assert sum(pair.share_of_errors for pair in pairs) == pytest.approx(1)


def test_examples_are_the_most_confident_errors(outputs):
    probabilities = softmax(outputs.logits.astype(np.float64))
    for pair in error_pairs(outputs, examples=3):
        members = (outputs.images.labels == pair.label) & (outputs.logits.argmax(axis=1) == pair.prediction)
        most_confident = np.sort(probabilities[members].max(axis=1))[::-1][:3]
        assert [example.confidence for example in pair.examples] == pytest.approx(most_confident)
        for example in pair.examples:
            assert (example.label, example.prediction, example.is_correct) == (pair.label, pair.prediction, False)
            assert example.row == outputs.images.rows[example.index] == 1000 + 10 * example.index


def test_confidence_uses_the_temperature_of_the_model(outputs):
    warm = outputs_of(outputs.logits, outputs.images.labels, temperature=3.0)
    probabilities = softmax(outputs.logits.astype(np.float64) / 3)
    for plain, example in zip(random_predictions(outputs), random_predictions(warm)):
        assert example.prediction == plain.prediction
        assert example.confidence == pytest.approx(probabilities[example.index].max())
        assert example.confidence < plain.confidence
    for pair in error_pairs(warm, examples=90):
        confidences = [example.confidence for example in pair.examples]
        assert confidences == sorted(confidences, reverse=True)


def test_a_model_without_errors_has_no_pairs():
    labels = np.arange(9) % 3
    assert error_pairs(outputs_of(5 * np.eye(3, dtype=np.float32)[labels], labels)) == ()


def test_random_predictions_repeat_with_their_seed(outputs):
    drawn = random_predictions(outputs, count=50)
    assert drawn == random_predictions(outputs, count=50)
    assert drawn != random_predictions(outputs, count=50, seed=1)
    indices = [example.index for example in drawn]
    assert indices == sorted(set(indices))
    assert len(indices) == 50
    for example in drawn:
        assert example.label == outputs.images.labels[example.index]
        assert example.prediction == outputs.logits[example.index].argmax()


def test_a_small_set_yields_all_its_predictions(outputs):
    assert len(random_predictions(outputs, count=500)) == 90


def test_samples_belong_to_their_class(outputs):
    chosen = sample_images(outputs.images, classes=4, per_class=5)
    assert [len(indices) for indices in chosen] == [5, 5, 5, 0]
    for label, indices in enumerate(chosen):
        assert set(outputs.images.labels[list(indices)]) <= {label}
        assert len(set(indices)) == len(indices)
    assert chosen == sample_images(outputs.images, classes=4, per_class=5)
    assert chosen != sample_images(outputs.images, classes=4, per_class=5, seed=1)
