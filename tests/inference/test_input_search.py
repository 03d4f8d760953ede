"""The input and the order of the outputs of a model are found from labeled faces."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from edgefer.contract.input_description import describe_input, parse_input
from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder, prepare_all
from edgefer.contract.quantization_params import QuantParams
from edgefer.data.dataset import Split
from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.inference.input_search import count_classes, find_output, search_input, select_faces, tensor_input
from edgefer.inference.model_import import ForeignModel, choose_input
from edgefer.inference.runtime import TensorSpec

CLASSES = ("angry", "happy", "sad", "neutral")


def faces_of(classes, *, per_class=60, shape=(12, 12), noise=40, seed=0):
    """Return noisy copies of one random template per class, of different brightness, with their labels."""
    generator = np.random.default_rng(seed)
    channels = shape[2] if len(shape) == 3 else 1
    levels = [generator.permutation(np.linspace(60, 200, classes)) for _ in range(channels)]
    brightness = np.stack(levels, axis=1).reshape(classes, 1, 1, *shape[2:])
    templates = brightness + generator.uniform(-40, 40, (classes, *shape))
    labels = np.repeat(np.arange(classes), per_class)
    pixels = templates[labels] + generator.normal(0, noise, (len(labels), *shape))
    return templates.astype(np.uint8), np.clip(pixels, 0, 255).astype(np.uint8), labels


class TemplateModel:
    """Runtime that compares its input with templates in the range of ``spec``; another range misleads it."""

    name, version = "template", "1"

    def __init__(self, templates, spec, *, order, softmax=False):
        values = encode(encoder(FLOAT32, spec), prepare_all(templates, spec)).reshape(len(templates), -1)
        # A bias that fits only inputs in the range of the spec.
        self._weights, self._bias = values, -0.5 * (values**2).sum(axis=1)
        self._order, self._softmax = np.argsort(order), softmax
        self.input = TensorSpec(spec.tensor_shape, FLOAT32)
        self.output = TensorSpec((1, len(templates)), QuantParams(0.0, 0, "float32"))

    def set_input(self, array):
        self._input = array.reshape(-1)

    def invoke(self):
        pass

    def get_output(self):
        logits = (self._weights @ self._input + self._bias)[self._order]
        if self._softmax:
            shares = np.exp((logits - logits.max()) / 50)
            logits = shares / shares.sum()
        return logits[None].astype(np.float32)


@pytest.mark.parametrize("words", ["gray,0..1", "gray,-1..1", "gray,0..255"])
def test_range_and_order_of_a_gray_model_are_found(words):
    templates, faces, labels = faces_of(4)
    spec = parse_input(words, InputSpec(12, 12))
    search = search_input(TemplateModel(templates, spec, order=(2, 0, 3, 1)), faces, labels, classes=CLASSES)
    assert search.problem == ""
    assert search.best.spec == spec
    assert search.labels == ("happy", "neutral", "angry", "sad")
    assert search.best.accuracy > 0.95
    assert [trial.accuracy for trial in search.trials] == sorted(
        (trial.accuracy for trial in search.trials), reverse=True
    )


@pytest.mark.parametrize("words", ["rgb,-1..1", "bgr,-1..1", "rgb,0..1", "bgr,caffe"])
def test_channels_of_a_color_model_are_found_on_faces_in_color(words):
    templates, faces, labels = faces_of(4, shape=(12, 12, 3))
    spec = parse_input(words, InputSpec(12, 12))
    search = search_input(TemplateModel(templates, spec, order=range(4)), faces, labels, classes=CLASSES)
    assert search.problem == ""
    assert describe_input(search.best.spec) == describe_input(spec)


def test_gray_faces_do_not_ask_for_the_order_of_channels():
    templates, faces, labels = faces_of(4)
    spec = parse_input("bgr,-1..1", InputSpec(12, 12))
    search = search_input(TemplateModel(templates, spec, order=range(4)), faces, labels, classes=CLASSES)
    assert search.problem == ""
    assert describe_input(search.best.spec) == "rgb 12x12, -1..1"


def test_standardized_pixels_are_found():
    templates, faces, labels = faces_of(4)
    spec = InputSpec(12, 12, mean=(float(faces.mean()),), std=(float(faces.std()),))
    search = search_input(TemplateModel(templates, spec, order=range(4)), faces, labels, classes=CLASSES)
    assert search.best.spec.mean == pytest.approx(spec.mean, abs=0.001)
    assert search.best.spec.std == pytest.approx(spec.std, abs=0.001)


def test_softmax_at_the_end_is_recognized():
    templates, faces, labels = faces_of(4)
    for softmax, output in ((True, "probabilities"), (False, "logits")):
        model = TemplateModel(templates, InputSpec(12, 12), order=range(4), softmax=softmax)
        assert search_input(model, faces, labels, classes=CLASSES).output == output


@pytest.mark.parametrize(
    ("scores", "output"),
    [
        ([[1.5, -0.5]], "logits"), ([[0.2, -0.5]], "logits"), ([[0.25, 1.5]], "logits"),
        ([[0.25, 0.75]], "probabilities"),
        ([[0.9, 0.8]], "probabilities"), ([[0.1, 0.2]], "probabilities"), ([[0.0, 0.0]], "probabilities"),
    ],
)  # fmt: skip
def test_scores_in_0_to_1_are_probabilities_also_of_a_sigmoid(scores, output):
    assert find_output(np.float32(scores)) == output


def test_labels_of_the_caller_are_not_searched():
    templates, faces, labels = faces_of(4)
    model = TemplateModel(templates, InputSpec(12, 12), order=(2, 0, 3, 1))
    names = ("happy", "neutral", "angry", "sad")
    right = search_input(model, faces, labels, classes=CLASSES, outputs=names)
    wrong = search_input(model, faces, labels, classes=CLASSES, outputs=CLASSES)
    assert right.best.accuracy > 0.95
    assert wrong.problem
    with pytest.raises(DataError, match="3 labels"):
        search_input(model, faces, labels, classes=CLASSES, outputs=names[:3])
    with pytest.raises(DataError, match="a different name"):
        search_input(model, faces, labels, classes=CLASSES, outputs=("happy", "happy", "angry", "sad"))


def test_output_without_a_class_in_the_data_needs_its_label():
    templates, faces, labels = faces_of(5)
    known = labels < 4
    model = TemplateModel(templates, InputSpec(12, 12), order=range(5))
    with pytest.raises(DataError, match="5 outputs are unknown"):
        search_input(model, faces[known], labels[known], classes=CLASSES)
    search = search_input(model, faces[known], labels[known], classes=CLASSES, outputs=(*CLASSES, "contempt"))
    assert search.problem == ""
    assert search.best.accuracy > 0.95


def test_a_model_with_random_outputs_has_no_input():
    _, faces, labels = faces_of(4)
    other, _, _ = faces_of(4, seed=9)
    search = search_input(TemplateModel(other, InputSpec(12, 12), order=range(4)), faces, labels, classes=CLASSES,
        outputs=CLASSES)  # fmt: skip
    assert search.problem


def take_share(faces, labels, counts):
    """Return the first ``counts`` faces of each class, with their labels."""
    rows = np.concatenate([np.flatnonzero(labels == label)[:count] for label, count in enumerate(counts)])
    return faces[rows], labels[rows]


@pytest.mark.parametrize("counts", [(60, 10, 10, 10), (60, 0, 0, 0), (60, 60, 0, 0)])
def test_a_model_that_always_answers_the_largest_class_is_not_right(counts):
    templates, faces, labels = faces_of(4)
    model = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    model._weights[:], model._bias = 0, np.float32([1, 0, 0, 0])
    faces, labels = take_share(faces, labels, counts)
    search = search_input(model, faces, labels, classes=CLASSES, outputs=CLASSES)
    assert search.best.accuracy == counts[0] / sum(counts)
    assert "hardly more than chance" in search.problem


def test_a_good_model_is_right_on_faces_of_very_different_classes():
    templates, faces, labels = faces_of(4, noise=20)
    model = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    search = search_input(model, *take_share(faces, labels, (60, 6, 6, 6)), classes=CLASSES, outputs=CLASSES)
    assert search.problem == ""


def test_two_classes_that_the_model_confuses_have_no_order():
    templates, _, _ = faces_of(4)
    templates[1] = templates[0]
    generator = np.random.default_rng(5)
    labels = np.repeat(np.arange(4), 60)
    faces = np.clip(templates[labels] + generator.normal(0, 40, (240, 12, 12)), 0, 255).astype(np.uint8)
    search = search_input(TemplateModel(templates, InputSpec(12, 12), order=range(4)), faces, labels, classes=CLASSES)
    assert "angry and happy cannot be distinguished" in search.problem


@pytest.mark.parametrize(
    ("words", "shape"), [("gray,0..255", (12, 12)), ("gray,-1..1", (12, 12)), ("bgr,-1..1", (12, 12, 3))]
)
def test_the_error_suggests_the_best_input_and_what_is_missing(words, shape):
    # A few faces do not separate the inputs.
    templates, faces, labels = faces_of(4, per_class=1, shape=shape)
    runtime = TemplateModel(templates, parse_input(words, InputSpec(12, 12)), order=range(4))
    dataset = SimpleNamespace(labels=CLASSES, split=lambda name: Split(faces, labels, np.arange(len(labels))))
    model = ForeignModel("net.tflite", b"", runtime, tensor_input(runtime), len(CLASSES))
    for given, hint in ((None, f"--input {words} and --labels A,B,..., as"), (CLASSES, f"--input {words}, as")):
        with pytest.raises(UsageError, match="the input of net.tflite cannot be found") as refused:
            choose_input(model, labels=given, dataset=dataset)
        assert refused.value.hint.startswith(hint)


def test_the_error_does_not_ask_for_an_input_that_is_certain():
    templates, faces, labels = faces_of(4)
    templates[1] = templates[0]
    runtime = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    dataset = SimpleNamespace(labels=CLASSES, split=lambda name: Split(faces, labels, np.arange(len(labels))))
    model = ForeignModel("net.tflite", b"", runtime, tensor_input(runtime), len(CLASSES))
    with pytest.raises(UsageError, match="the labels of net.tflite cannot be found") as refused:
        choose_input(model, dataset=dataset)
    assert refused.value.hint == "--labels A,B,..., as the model was trained"


def test_the_progress_has_no_step_without_inputs_to_try():
    templates, faces, labels = faces_of(4)
    steps = []
    runtime = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    search_input(runtime, faces, labels, classes=CLASSES, progress=lambda *step: steps.append(step))
    assert steps
    assert all(total for _, total, _ in steps)


def test_inputs_that_the_faces_do_not_distinguish_are_noted():
    templates, faces, labels = faces_of(4)
    runtime = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    # Scale and offset of the pixels do not change the largest of these scores.
    runtime._weights -= runtime._weights.mean(axis=1, keepdims=True)
    runtime._weights /= np.linalg.norm(runtime._weights, axis=1, keepdims=True)
    runtime._bias = 0
    dataset = SimpleNamespace(labels=CLASSES, split=lambda name: Split(faces, labels, np.arange(len(labels))))
    model = ForeignModel("net.tflite", b"", runtime, tensor_input(runtime), len(CLASSES))
    choice = choose_input(model, dataset=dataset)
    (note,) = choice.notes
    assert "do not distinguish the input gray 12x12, 0..1 from gray 12x12, -1..1, gray 12x12, 0..255" in note
    assert choose_input(model, dataset=dataset, words="gray,-1..1").notes == ()


def test_given_channels_are_those_of_the_model():
    runtime = TemplateModel(faces_of(4)[0], InputSpec(12, 12), order=range(4))
    model = ForeignModel("net.tflite", b"", runtime, tensor_input(runtime), len(CLASSES))
    with pytest.raises(UsageError, match=r"--input rgb,-1\.\.1: the model takes gray 12x12") as refused:
        choose_input(model, labels=CLASSES, words="rgb,-1..1")
    assert refused.value.hint == "--input gray,0..1"


def test_given_input_is_the_only_one_tried():
    templates, faces, labels = faces_of(4)
    model = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    spec = parse_input("gray,-1..1", InputSpec(12, 12))
    search = search_input(model, faces, labels, classes=CLASSES, spec=spec)
    assert [trial.spec for trial in search.trials] == [spec]


def test_faces_of_another_size_try_every_interpolation():
    templates, faces, labels = faces_of(4, shape=(24, 24), noise=80)
    model = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    search = search_input(model, faces, labels, classes=CLASSES)
    assert {trial.spec.resize for trial in search.trials} == {"area", "linear", "nearest", "cubic"}
    assert search.best.spec.resize == "area"


@pytest.mark.parametrize("shape", [(1, 12, 12, 2), (4, 12, 12, 1), (1, 144), (1, 1, 12, 12)])
def test_model_whose_input_is_not_one_image_is_refused(shape):
    templates, _, _ = faces_of(4)
    model = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    model.input = dataclasses.replace(model.input, shape=shape)
    with pytest.raises(IncompatibleError, match="an input of shape"):
        tensor_input(model)


@pytest.mark.parametrize("shape", [(1, 1), (4,), (1, 4, 4), (2, 4)])
def test_model_without_a_row_of_scores_is_refused(shape):
    templates, _, _ = faces_of(4)
    model = TemplateModel(templates, InputSpec(12, 12), order=range(4))
    model.output = dataclasses.replace(model.output, shape=shape)
    with pytest.raises(IncompatibleError, match="an output of shape") as refused:
        count_classes(model)
    assert ("for two" in str(refused.value.hint)) == (shape == (1, 1))


def test_selected_faces_are_balanced():
    labels = np.repeat([0, 1, 4], [500, 30, 200])
    chosen = select_faces(labels)
    assert np.bincount(labels[chosen]).tolist() == [100, 30, 0, 0, 100]
    assert (np.diff(chosen) > 0).all()
