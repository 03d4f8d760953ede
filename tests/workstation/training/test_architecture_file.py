"""An architecture in a Python file of the user."""

import dataclasses

import pytest

from edgefer.errors import DataError, UsageError
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.architecture_file import find_build, is_file_architecture, register_file, source_of
from edgefer.workstation.training.model import build_network, check_options
from edgefer.workstation.training.run import Run, new_run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import from_toml, to_toml

SOURCE = """
def build(keras, *, input_shape, classes, width=4):
    image = keras.Input(input_shape)
    x = keras.layers.Conv2D(width, 3, strides=4, activation="relu")(image)
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.GlobalAveragePooling2D()(x)))
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_net.py"
    path.write_text(SOURCE)
    return path


def test_function_of_the_file_builds_the_network(file):
    name = register_file(file)
    settings = TrainSettings(architecture=name, model={"width": 6})
    assert name.startswith("my_net-")
    assert name.endswith(":build")
    check_options(settings)
    network = build_network(load_keras(), settings, classes=3)
    assert network.output_shape == (None, 3)
    assert network.layers[1].filters == 6


def test_another_source_has_another_name(file):
    first = register_file(file)
    file.write_text(SOURCE.replace("width=4", "width=5"))
    assert register_file(file) != first
    assert source_of(first) == SOURCE.encode()


def test_name_survives_the_settings_file(file):
    settings = TrainSettings(architecture=register_file(file))
    assert from_toml(to_toml(settings)) == settings


def test_run_keeps_the_source(file, tmp_path):
    settings = TrainSettings(architecture=register_file(file))
    run = new_run(tmp_path / "runs", settings)
    file.unlink()
    assert run.architecture.read_text() == SOURCE
    assert Run(run.folder).settings() == settings
    assert not new_run(tmp_path / "runs", TrainSettings()).architecture.exists()


def test_name_without_a_source_is_reported():
    name = "my_net-0123456789ab:build"
    assert is_file_architecture(name)
    with pytest.raises(DataError, match=r"source of the architecture my_net-0123456789ab:build is missing"):
        find_build(name)


@pytest.mark.parametrize("name", ["compact", "residual", "my_net.py", "a-b:c", "x-0123456789ab:not a name"])
def test_other_names_are_of_the_catalog(name):
    assert not is_file_architecture(name)
    assert source_of(name) is None


@pytest.mark.parametrize(
    ("source", "function", "reason"),
    [
        ("def make(): pass\n", "build", "it defines make"),
        ("", "build", "it defines no function"),
        ("import missing_module_x\n", "build", "ModuleNotFoundError"),
        ("def build(:\n", "build", "SyntaxError"),
    ],
)
def test_file_without_the_function_is_refused(tmp_path, source, function, reason):
    path = tmp_path / "net.py"
    path.write_text(source)
    with pytest.raises(UsageError, match=reason):
        register_file(path, function)


def test_imported_run_has_no_architecture_to_train():
    with pytest.raises(UsageError, match="an imported run has no architecture") as caught:
        check_options(TrainSettings(architecture="imported"))
    assert "--init-from" in caught.value.hint


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot read the architecture"):
        register_file(tmp_path / "missing.py")


def test_any_failure_of_the_function_is_an_error_of_its_settings(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("def build(keras, *, input_shape, classes, width=4):\n    return 1 / 0\n")
    settings = dataclasses.replace(TrainSettings(), architecture=register_file(path))
    with pytest.raises(UsageError, match="division by zero"):
        build_network(load_keras(), settings, classes=7)


HEAD = "def build(keras, *, input_shape, classes):\n    k, image = keras.layers, keras.Input(input_shape)\n"


@pytest.mark.parametrize(
    ("body", "what", "hint"),
    [
        ("pass", "is not a model of keras", "return keras.Model"),
        ("return keras.Sequential([k.Flatten(), k.Dense(classes)])", "is not a functional", "keras.Input(input_shape)"),
        ("return type('Net', (keras.Model,), {})()", "Net has no graph of layers", "keras.Model(image, logits)"),
        ("return keras.Model(image, k.Dense(5)(k.Flatten()(image)))", "one output (None, 7)", "Dense(classes)"),
        ("return keras.Model(image, k.Conv2D(classes, 3)(image))", "to (None, 46, 46, 7)", "Dense(classes)"),
        ("x = k.Dense(classes)(k.Flatten()(image)); return keras.Model(image, [x, x])", "(None, 7), (None", "Dense"),
        ("x = keras.Input((64, 64, 1)); return keras.Model(x, k.Dense(classes)(k.Flatten()(x)))", "64, 64, 1", "Input"),
        ("return keras.Model(image, k.Dense(classes, 'softmax')(k.Flatten()(image)))", "ends in a softmax", "remove"),
        ("return keras.Model(image, k.Softmax()(k.Dense(classes)(k.Flatten()(image))))", "in a softmax", "remove"),
        ("return keras.Model(image, k.Dense(classes, 'sigmoid')(k.Flatten()(image)))", "in a sigmoid", "remove"),
        ("return keras.Model(image, keras.ops.softmax(k.Dense(classes)(k.Flatten()(image))))", "a softmax", "remove"),
        ("raise SystemExit('usage')", "usage", "correct it"),
    ],
    ids=[
        "nothing", "sequential", "subclass", "classes", "rank", "outputs", "size", "softmax", "softmax-layer",
        "sigmoid", "softmax-operation", "exit",
    ],
)  # fmt: skip
def test_function_that_returns_no_network_of_logits_is_refused(tmp_path, body, what, hint):
    path = tmp_path / "net.py"
    path.write_text(f"{HEAD}    {body}\n")
    settings = TrainSettings(architecture=register_file(path))
    check_options(settings)
    with pytest.raises(UsageError) as caught:
        build_network(load_keras(), settings, classes=7)
    assert what in str(caught.value)
    assert hint in caught.value.hint


def test_file_may_define_dataclasses(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n"
        f"@dataclass\nclass Block:\n    width: int = 6\n\n{SOURCE.replace('width=4', 'width=Block().width')}"
    )
    network = build_network(load_keras(), TrainSettings(architecture=register_file(path)), classes=3)
    assert network.layers[1].filters == 6


def test_file_that_exits_is_refused(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("import sys\nsys.exit('usage: net.py')\n")
    with pytest.raises(UsageError, match=r"SystemExit: usage: net\.py"):
        register_file(path)


@pytest.mark.parametrize(
    ("parameters", "model", "what"),
    [
        ("keras, input_shape, num_classes", {}, r"no parameter classes: it has input_shape, num_classes"),
        ("keras", {}, "no parameter input_shape"),
        ("", {}, "no parameter input_shape"),
        ("keras, *, input_shape, classes, width", {}, r"needs model\.width: it has no default"),
        ("keras, *, input_shape, classes, width=4", {"keras": 1}, r"no option model\.keras"),
        ("keras, *, input_shape, classes, width=4", {"width": "a"}, "expected a value of type int"),
    ],
)
def test_parameters_of_the_function_are_checked(tmp_path, parameters, model, what):
    path = tmp_path / "net.py"
    path.write_text(f"def build({parameters}):\n    return None\n")
    with pytest.raises(UsageError, match=what):
        check_options(TrainSettings(architecture=register_file(path), model=model))


@pytest.mark.parametrize("parameter", ["width", "width=None", "**options"])
def test_option_without_a_typed_default_takes_any_value(tmp_path, parameter):
    path = tmp_path / "net.py"
    path.write_text(f"def build(net, *, input_shape, classes, {parameter}):\n    return None\n")
    check_options(TrainSettings(architecture=register_file(path), model={"width": 3}))


def test_option_of_an_architecture_without_options_is_refused(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(HEAD)
    with pytest.raises(UsageError, match="it has no options"):
        check_options(TrainSettings(architecture=register_file(path), model={"width": 3}))
