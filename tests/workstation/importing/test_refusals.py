"""Files that cannot be imported are refused with a reason and a hint, before or after a subprocess has read them."""

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="imports are for a workstation")

from edgefer.errors import DataError, EdgeferError, IncompatibleError, UsageError
from edgefer.workstation.importing.network import read_network

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")


@pytest.fixture(scope="module")
def keras(frameworks):
    return frameworks[False]


@pytest.fixture
def private(tmp_path):
    (tmp_path / "private").mkdir()
    return tmp_path / "private"


def small(keras, *, shape=(16, 16, 1), layer=None):
    """Build a classifier of three classes with one more layer."""
    face = keras.Input(shape)
    x = layer(face) if layer else face
    return keras.Model(face, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))


def rebuilt(keras, path, *, layer):
    small(keras, layer=layer).save(path)
    return path


def test_lambda_layer_needs_trust(keras, read, private, tmp_path):
    path = rebuilt(keras, tmp_path / "net.keras", layer=keras.layers.Lambda(lambda x: x * 2))
    with pytest.raises(UsageError, match="could run code of its author") as refused:
        read_network(path, folder=private)
    assert refused.value.why == "it contains a Lambda layer"
    assert "--trust" in refused.value.hint
    network = read_network(path, folder=private, trust=True)
    assert len(network.flatbuffer) > 500
    # Later commands do not run the code again.
    assert network.keras is None
    assert "int8 and float32" in network.notes[0]


def test_lambda_layer_in_a_legacy_file_needs_trust(frameworks, read, private, tmp_path):
    keras = frameworks[True]
    path = rebuilt(keras, tmp_path / "net.h5", layer=keras.layers.Lambda(lambda x: x * 2))
    with pytest.raises(UsageError, match="could run code"):
        read_network(path, folder=private)
    source, flatbuffer, _ = read(path, trust=True)
    assert source.keras is None
    assert len(flatbuffer) > 500


def test_class_of_another_program_is_refused_and_cannot_be_loaded_with_trust(keras, read, private, tmp_path):
    class Twice(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    path = rebuilt(keras, tmp_path / "net.keras", layer=Twice())
    with pytest.raises(UsageError, match="could run code") as refused:
        read_network(path, folder=private)
    assert "Twice" in refused.value.why
    with pytest.raises(DataError, match=r"Keras cannot load net\.keras") as failed:
        read_network(path, folder=private, trust=True)
    assert "model.export('my_model')" in failed.value.hint


@pytest.mark.parametrize(("name", "is_old"), [("net.keras", False), ("net.h5", False), ("net.h5", True)])
@pytest.mark.parametrize("kind", ["layer", "function"])
def test_a_layer_or_function_of_the_author_is_named_with_the_format_that_works(
    frameworks, read, tmp_path, name, is_old, kind
):
    keras = frameworks[is_old]

    class Twice(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    def bent(x):
        return x * x

    # Keras records the module of a class, except that of the program itself.
    Twice.__module__ = bent.__module__ = "__main__"
    path = rebuilt(keras, tmp_path / name, layer=Twice() if kind == "layer" else keras.layers.Activation(bent))
    with pytest.raises(DataError, match="Keras cannot load net") as failed:
        read(path)
    assert failed.value.why == f"it contains {'Twice' if kind == 'layer' else 'bent'}, which is no part of Keras"
    assert "model.export('my_model')" in failed.value.hint


def test_keras_file_of_keras_2_is_refused_with_the_format_that_works(frameworks, read, tmp_path):
    small(frameworks[True]).save(tmp_path / "net.keras")
    with pytest.raises(DataError, match=r"it is a \.keras file of Keras 2\.") as refused:
        read(tmp_path / "net.keras")
    assert "model.save('my_model.h5')" in refused.value.hint


def test_subclass_of_a_model_is_named_with_the_format_that_works(keras, read, tmp_path):
    class Scorer(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.scores = keras.layers.Dense(3)

        def call(self, x):
            return self.scores(keras.ops.reshape(x, (-1, 256)))

    Scorer.__module__ = "__main__"
    model = Scorer()
    model(np.zeros((1, 16, 16, 1), np.float32))
    model.save(tmp_path / "net.keras")
    with pytest.raises(DataError, match=r"Keras cannot load net\.keras: it contains Scorer") as failed:
        read(tmp_path / "net.keras")
    assert "model.export('my_model')" in failed.value.hint


def test_weights_without_an_architecture_are_refused(keras, read, tmp_path):
    path = tmp_path / "net.weights.h5"
    small(keras).save_weights(path)
    with pytest.raises(DataError, match="is not a whole model") as refused:
        read_network(path, folder=tmp_path)
    assert "without an architecture" in refused.value.why
    assert "model.save('my_model.keras')" in refused.value.hint


def test_two_inputs_are_refused(keras, read, tmp_path):
    faces = [keras.Input((16, 16, 1)) for _ in range(2)]
    x = keras.layers.Flatten()(keras.layers.Add()(faces))
    keras.Model(faces, keras.layers.Dense(3)(x)).save(tmp_path / "net.keras")
    with pytest.raises(IncompatibleError, match="2 inputs and 1 output:") as refused:
        read(tmp_path / "net.keras")
    assert refused.value.hint


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((None, None, 1), "fixed numbers"),
        ((None, None, 3), "fixed numbers"),
        ((1, 16, 16), "channels seem to come first"),
        ((16, 16, 4), "1 or 3 channels"),
    ],
)
def test_input_that_is_no_image_of_fixed_size_is_refused(keras, read, tmp_path, shape, reason):
    small(keras, shape=shape).save(tmp_path / "net.keras")
    with pytest.raises(IncompatibleError, match="has an input of shape") as refused:
        read(tmp_path / "net.keras")
    assert reason in refused.value.why
    assert refused.value.hint
    if reason == "fixed numbers":
        assert f"keras.Input((48, 48, {shape[-1]}))" in refused.value.hint


@pytest.mark.parametrize("share", [0.5, 0.05])
@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_incomplete_keras_file_is_refused(frameworks, private, tmp_path, name, share):
    path = tmp_path / name
    small(frameworks[name.endswith(".h5")]).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises((DataError, UsageError), match=name) as refused:
        read_network(path, folder=private)
    assert refused.value.hint


@pytest.fixture
def exported(keras, tmp_path):
    small(keras).export(tmp_path / "my_model", verbose=False)
    return tmp_path / "my_model"


@pytest.mark.parametrize("content", [b"", b"\x08\x01\x12\xff\xff\xff\xff\xff", bytes(range(256)) * 4])
def test_damaged_saved_model_is_refused(exported, private, content):
    (exported / "saved_model.pb").write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_network(exported, folder=private)
    assert "my_model" in str(refused.value)
    assert refused.value.hint == "model.export('my_model')"


def test_saved_model_without_its_weights_is_refused(exported, read):
    for path in (exported / "variables").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="TensorFlow cannot load"):
        read(exported)


def test_saved_model_that_augments_its_input_is_refused(keras, read, tmp_path):
    # Keras exports RandomFlip as it works during training, so the outputs would be random.
    small(keras, layer=keras.layers.RandomFlip()).export(tmp_path / "my_model", verbose=False)
    with pytest.raises(IncompatibleError, match="gives random outputs") as refused:
        read(tmp_path / "my_model")
    assert "StatelessRandomUniform" in refused.value.why
    assert "model.save('my_model.keras')" in refused.value.hint


def test_operators_that_tensorflow_lite_lacks_are_named(keras, read, tmp_path):
    path = rebuilt(keras, tmp_path / "net.keras", layer=lambda x: keras.ops.erfinv(keras.ops.tan(x)))
    with pytest.raises(EdgeferError, match="cannot be converted") as refused:
        read(path)
    assert refused.value.why == "TensorFlow Lite has no operator for Tan, Erfinv"


def test_two_outputs_are_refused(keras, read, tmp_path):
    face = keras.Input((16, 16, 1))
    x = keras.layers.Flatten()(face)
    keras.Model(face, [keras.layers.Dense(3)(x), keras.layers.Dense(1)(x)]).save(tmp_path / "net.keras")
    with pytest.raises(IncompatibleError, match="1 input and 2 outputs") as refused:
        read(tmp_path / "net.keras")
    assert refused.value.why == "expected one image and one row of scores"


def test_saved_model_that_runs_python_needs_trust(private, tmp_path):
    import tensorflow as tf

    class Program(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 16, 16, 1], tf.float32)])
        def serve(self, face):
            scores = tf.py_function(lambda x: x, [tf.reduce_mean(face, axis=[1, 2])], tf.float32)
            return tf.tile(tf.ensure_shape(scores, [None, 1]), [1, 3])

    program = Program()
    tf.saved_model.save(program, str(tmp_path / "my_model"), signatures=program.serve)
    with pytest.raises(UsageError, match="could run code of its author") as refused:
        read_network(tmp_path / "my_model", folder=private)
    assert "EagerPyFunc" in refused.value.why


def test_subprocess_that_crashes_is_a_damaged_file(keras, private, tmp_path, monkeypatch):
    """A Lambda layer that ends the process stands for any code that crashes on a file."""
    path = tmp_path / "net.keras"
    end = lambda x: __import__("os").abort() if __import__("os").environ.get("EDGEFER_TEST_END") else x  # noqa: E731
    rebuilt(keras, path, layer=keras.layers.Lambda(end, output_shape=(16, 16, 1)))
    monkeypatch.setenv("EDGEFER_TEST_END", "1")
    with pytest.raises(DataError, match=r"cannot read .*net\.keras") as refused:
        read_network(path, folder=private, trust=True)
    assert "ended by SIGABRT" in refused.value.why
    assert refused.value.hint
