import numpy as np
import pytest

from edgefer.data.evaluation_set import EvaluationSet, ModelOutputs
from edgefer.results.evaluation import evaluate
from edgefer.statistics import softmax
from edgefer.workstation.plots.error_analysis import error_pairs, random_answers, samples

NAMES = ("angry", "happy", "sad")


def scored_with(logits, labels, **more):
    labels = np.asarray(labels)
    images = EvaluationSet(
        data="drawn",
        split="PublicTest",
        faces=np.zeros((len(labels), 48, 48), np.uint8),
        labels=labels,
        rows=np.arange(len(labels)) * 10 + 1000,
        seen_in_training=None,
    )
    return ModelOutputs(images, logits, evaluate(logits, labels, label_names=NAMES, split="PublicTest"), **more)


@pytest.fixture
def scored():
    generator = np.random.default_rng(3)
    return scored_with(generator.normal(0, 2, (90, 3)).astype(np.float32), generator.integers(0, 3, 90))


def test_pairs_are_counted_as_numpy_counts_them(scored):
    labels, predictions = scored.images.labels, scored.logits.argmax(axis=1)
    pairs = error_pairs(scored)
    assert len(pairs) == 6
    assert [pair.n for pair in pairs] == sorted((pair.n for pair in pairs), reverse=True)
    for pair in pairs:
        assert pair.n == ((labels == pair.label) & (predictions == pair.prediction)).sum()
        assert pair.share_of_label == pytest.approx(pair.n / (labels == pair.label).sum())
    assert sum(pair.n for pair in pairs) == (labels != predictions).sum()
    assert sum(pair.share_of_errors for pair in pairs) == pytest.approx(1)


def test_examples_are_the_surest_of_their_pair(scored):
    probabilities = softmax(scored.logits.astype(np.float64))
    for pair in error_pairs(scored, examples=3):
        own = (scored.images.labels == pair.label) & (scored.logits.argmax(axis=1) == pair.prediction)
        surest = np.sort(probabilities[own].max(axis=1))[::-1][:3]
        assert [answer.confidence for answer in pair.examples] == pytest.approx(surest)
        for answer in pair.examples:
            assert (answer.label, answer.prediction, answer.right) == (pair.label, pair.prediction, False)
            assert answer.row == scored.images.rows[answer.index] == 1000 + 10 * answer.index


def test_confidence_is_at_the_temperature_of_the_model(scored):
    warm = scored_with(scored.logits, scored.images.labels, temperature=3.0)
    probabilities = softmax(scored.logits.astype(np.float64) / 3)
    for plain, answer in zip(random_answers(scored), random_answers(warm)):
        assert answer.prediction == plain.prediction
        assert answer.confidence == pytest.approx(probabilities[answer.index].max())
        assert answer.confidence < plain.confidence
    for pair in error_pairs(warm, examples=90):
        sureness = [answer.confidence for answer in pair.examples]
        assert sureness == sorted(sureness, reverse=True)


def test_a_model_without_errors_has_no_pairs():
    labels = np.arange(9) % 3
    assert error_pairs(scored_with(5 * np.eye(3, dtype=np.float32)[labels], labels)) == ()


def test_random_answers_repeat_with_their_seed(scored):
    drawn = random_answers(scored, count=50)
    assert drawn == random_answers(scored, count=50)
    assert drawn != random_answers(scored, count=50, seed=1)
    indices = [answer.index for answer in drawn]
    assert indices == sorted(set(indices))
    assert len(indices) == 50
    for answer in drawn:
        assert answer.label == scored.images.labels[answer.index]
        assert answer.prediction == scored.logits[answer.index].argmax()


def test_random_answers_are_all_where_there_are_fewer(scored):
    assert len(random_answers(scored, count=500)) == 90


def test_samples_are_of_their_class(scored):
    chosen = samples(scored.images, classes=4, per_class=5)
    assert [len(indices) for indices in chosen] == [5, 5, 5, 0]
    for label, indices in enumerate(chosen):
        assert set(scored.images.labels[list(indices)]) <= {label}
        assert len(set(indices)) == len(indices)
    assert chosen == samples(scored.images, classes=4, per_class=5)
    assert chosen != samples(scored.images, classes=4, per_class=5, seed=1)
