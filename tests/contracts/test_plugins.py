"""Every plug-in fulfills the contract of its kind; a new plug-in is tested here without a new test."""

import functools
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import click
import numpy as np
import pytest
from command_tree import leaf_commands

from edgefer import plugins
from edgefer.contract.labels import LABELS
from edgefer.data.records import ReadOptions
from edgefer.errors import EdgeferError, IncompatibleError, UsageError
from edgefer.fleet.registry import Device
from edgefer.inference.runtime import RuntimeModule, select_runtime
from edgefer.results.device_state import DeviceState
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import DEFAULTS, QuantizationOptions
from edgefer.workstation.quantization.qat.fake_quantization import fake_quantize
from edgefer.workstation.quantization.qat.model import folded
from edgefer.workstation.training.model import build_network
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import from_toml, to_toml
from edgefer.workstation.workflows.train import load_system

ARCHITECTURES = "edgefer.workstation.networks.architectures"
SYSTEMS = "edgefer.workstation.training.systems"
SCHEMES = "edgefer.workstation.quantization.schemes"
FORMATS = "edgefer.data.formats"
RUNTIMES = "edgefer.inference.runtimes"
CONNECTIONS = "edgefer.fleet.connections"
PLATFORMS = "edgefer.device.platforms"
DETECTORS = "edgefer.inference.detectors"
CAMERAS = "edgefer.live.cameras"
COMMANDS = "edgefer.cli.commands"
JUDGES = "edgefer.search.judges"
PACKAGES = (
    ARCHITECTURES, SYSTEMS, SCHEMES, FORMATS, RUNTIMES, CONNECTIONS, PLATFORMS, DETECTORS, CAMERAS, COMMANDS, JUDGES,
)  # fmt: skip
FIXTURES = Path(__file__).parents[1] / "fixtures"


def entries(package):
    return pytest.mark.parametrize("name", plugins.names(package))


def keywords(function):
    return [item.name for item in inspect.signature(function).parameters.values() if item.kind is item.KEYWORD_ONLY]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_of_plugins_has_modules_and_a_docstring(package):
    assert plugins.names(package)
    assert importlib.import_module(package).__doc__


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in PACKAGES for name in plugins.names(package)]
)
def test_a_plugin_has_a_docstring(package, name):
    assert plugins.load(package, name).__doc__


# Commands


each_command = pytest.mark.parametrize(
    ("path", "command"), [pytest.param(path, command, id="-".join(path)) for path, command in leaf_commands()]
)


@each_command
def test_a_command_has_help_an_example_and_the_common_options(path, command):
    assert {"as_json", "out", "debug"} <= {parameter.name for parameter in command.params}
    example = command.help.partition("Example:")[2]
    assert f"edgefer {' '.join(path)}" in example
    # In a terminal of 80 columns click folds the text but not the example.
    assert max(map(len, textwrap.dedent(example).splitlines())) <= 80 - len("      ")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@each_command
def test_the_options_of_an_example_exist(path, command):
    known = {option for parameter in command.params for option in parameter.opts}
    # Options after " -- " belong to another command.
    example = re.sub(r" -- .*", "", command.help.partition("Example:")[2])
    assert set(re.findall(r"--[a-z0-9-]+", example)) <= known


@entries(COMMANDS)
def test_the_first_line_of_a_command_file_is_its_short_help(name):
    from edgefer.cli.main import load_command, summary

    line = plugins.load(COMMANDS, name).__doc__.splitlines()[0]
    assert load_command(name).short_help == summary(name) == line
    # The list of commands folds no line in a terminal of 80 columns.
    assert line.endswith(".")
    assert len(line) <= 66


@each_command
def test_a_command_names_its_parameters(path, command):
    function = inspect.unwrap(command.callback)
    parameters = inspect.signature(function).parameters.values()
    assert all(parameter.annotation is not parameter.empty for parameter in parameters)
    assert not [parameter.name for parameter in parameters if parameter.kind is parameter.VAR_KEYWORD]


@entries(COMMANDS)
def test_a_command_that_needs_the_workstation_declares_it_with_a_bool(name):
    assert isinstance(getattr(plugins.load(COMMANDS, name), "NEEDS_WORKSTATION", False), bool)


# Architectures and systems


def built(keras, name, **options):
    return plugins.load(ARCHITECTURES, name).build(keras, input_shape=(48, 48, 1), classes=len(LABELS), **options)


@entries(ARCHITECTURES)
def test_an_architecture_ends_in_logits(name):
    network = built(load_keras(), name)
    assert network.input_shape == (None, 48, 48, 1)
    assert network.output_shape == (None, len(LABELS))
    assert network.layers[-1].activation.__name__ == "linear"
    assert not [layer for layer in network.layers if type(layer).__name__ == "Softmax"]


@entries(ARCHITECTURES)
def test_an_architecture_is_the_same_network_in_both_frameworks(name):
    tf_keras = pytest.importorskip("tf_keras")
    keras = load_keras()
    keras.utils.set_random_seed(1)
    network, copy = built(keras, name), built(tf_keras, name)
    weights = network.get_weights()
    assert [array.shape for array in copy.get_weights()] == [array.shape for array in weights]
    # Initial normalization parameters and biases are all ones or zeros, which would hide a swap.
    generator = np.random.default_rng(2)
    weights = [each + generator.uniform(0.01, 0.05, each.shape).astype(np.float32) for each in weights]
    network.set_weights(weights)
    copy.set_weights(weights)
    faces = generator.random((4, 48, 48, 1), np.float32)
    logits = np.asarray(network(faces, training=False))
    assert logits.shape == (4, len(LABELS))
    assert not np.allclose(logits.sum(axis=1), 1)
    np.testing.assert_allclose(np.asarray(copy(faces, training=False)), logits, rtol=1e-5, atol=1e-5)


@entries(ARCHITECTURES)
def test_an_architecture_accepts_other_input_sizes(name):
    network = plugins.load(ARCHITECTURES, name).build(load_keras(), input_shape=(64, 56, 1), classes=3)
    assert (network.input_shape, network.output_shape) == ((None, 64, 56, 1), (None, 3))


def test_compact_uses_only_layers_with_int8_kernels():
    network = built(load_keras(), "compact")
    assert {type(layer).__name__ for layer in network.layers} <= {
        "InputLayer", "Conv2D", "BatchNormalization", "ReLU", "Add", "MaxPooling2D", "GlobalAveragePooling2D",
        "Dropout", "Dense",
    }  # fmt: skip
    for layer in network.layers:
        if type(layer).__name__ == "Conv2D":
            (follower,) = {node.operation for node in layer._outbound_nodes}
            assert type(follower).__name__ == "BatchNormalization"
            assert layer.activation.__name__ == "linear"


@pytest.mark.parametrize(
    ("system", "least", "most"),
    [("compact_nano", 0, 0.1e6), ("compact_small", 0.25e6, 0.35e6), ("compact_base", 0.65e6, 0.75e6)],
)
def test_compact_systems_have_the_documented_size(system, least, most):
    assert least < build_network(load_keras(), load_system(system), classes=7).count_params() < most


@entries(SYSTEMS)
def test_a_system_can_be_built_and_saved(name):
    settings = load_system(name)
    assert isinstance(settings, TrainSettings)
    assert settings.system == name
    assert from_toml(to_toml(settings)) == settings
    build = plugins.load(ARCHITECTURES, settings.architecture).build
    assert set(settings.model) <= set(keywords(build)) - {"input_shape", "classes"}
    assert build_network(load_keras(), settings, classes=5).output_shape == (None, 5)


# Operators with the highest version that the last release of tflite-runtime, 2.14, has a kernel for. Each is one that
# XNNPACK takes in int8 too.
OPERATORS = {
    "ADD": 4, "AVERAGE_POOL_2D": 3, "CONV_2D": 8, "DEPTHWISE_CONV_2D": 7, "DEQUANTIZE": 3, "FULLY_CONNECTED": 10,
    "MAX_POOL_2D": 3, "MEAN": 3, "PAD": 4, "QUANTIZE": 3, "RESHAPE": 1,
}  # fmt: skip


def converted(name, *, scheme):
    """Return the object tree of an untrained architecture's flatbuffer."""
    flatbuffer_utils = pytest.importorskip("ai_edge_litert.tools.flatbuffer_utils")
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(converted_bytes(name, scheme)))


@functools.cache  # two tests read each int8 model
def converted_bytes(name, scheme):
    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48), np.uint8)
    return converted_by(plugins.load(SCHEMES, scheme), faces, name)


def converted_by(scheme, faces, name, **options):
    """Return the flatbuffer of an untrained network; a scheme that needs training does not train it either."""
    calibration = faces if scheme.NEEDS_CALIBRATION else None
    if not scheme.NEEDS_TRAINING:
        network = built(load_keras(), name, **options)
        return scheme.convert(FloatNetwork(network, calibration), DEFAULTS)
    keras = load_keras() and pytest.importorskip("tf_keras")
    base = folded(built(keras, name, **options))
    return scheme.convert(FloatNetwork(fake_quantize(base, faces)), DEFAULTS)


def operators_of(model):
    """Yield (name, version, operator) of each operator, in execution order."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    names = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
    (graph,) = model.subgraphs
    for operator in graph.operators:
        kind = model.operatorCodes[operator.opcodeIndex]
        yield names[max(kind.builtinCode, kind.deprecatedBuiltinCode)], kind.version, operator


@pytest.mark.parametrize("scheme", plugins.names(SCHEMES))
@entries(ARCHITECTURES)
def test_an_architecture_converts_to_operators_of_old_runtimes(name, scheme):
    model = converted(name, scheme=scheme)
    used = {(operator, version) for operator, version, _ in operators_of(model)}
    assert not {(operator, version) for operator, version in used if version > OPERATORS.get(operator, 0)}
    (graph,) = model.subgraphs
    (face,) = graph.inputs
    assert graph.tensors[face].shape.tolist() == [1, 48, 48, 1]
    # A dynamic batch size would be -1 here.
    assert graph.tensors[face].shapeSignature is None


@pytest.mark.parametrize("scheme", ["int8", "int8_qat"])
@entries(ARCHITECTURES)
def test_an_int8_architecture_has_no_float_tensor(name, scheme):
    from ai_edge_litert.schema_py_generated import TensorType

    model = converted(name, scheme=scheme)
    (graph,) = model.subgraphs
    assert {tensor.type for tensor in graph.tensors} <= {TensorType.INT8, TensorType.INT32}
    for operator, _, node in operators_of(model):
        tensors = [graph.tensors[index] for index in (*node.inputs, *node.outputs)]
        assert tensors[0].type == tensors[-1].type == TensorType.INT8
        if operator == "CONV_2D":
            weights = tensors[1]
            assert len(weights.quantization.scale) == weights.shape[0]
            assert not np.any(weights.quantization.zeroPoint)
        if operator == "FULLY_CONNECTED":
            assert len(tensors[1].quantization.scale) == 1


# Schemes


@entries(SCHEMES)
def test_a_scheme_converts_to_a_model_that_runs(name):
    scheme = plugins.load(SCHEMES, name)
    assert scheme.DESCRIPTION
    assert isinstance(scheme.NEEDS_CALIBRATION, bool)
    # Training starts from calibrated ranges.
    assert scheme.NEEDS_TRAINING in (False, scheme.NEEDS_CALIBRATION)
    assert list(inspect.signature(scheme.convert).parameters) == ["network", "options"]
    assert set(scheme.SUPPORTED_OPTIONS) <= set(QuantizationOptions.__dataclass_fields__)
    generator = np.random.default_rng(0)
    faces = generator.integers(0, 256, (8, 48, 48), np.uint8)
    flatbuffer = converted_by(scheme, faces, "compact", stem=4, width=4, depth=1)
    runtime = select_runtime().open_model(flatbuffer)
    assert (runtime.input.shape, runtime.output.shape) == ((1, 48, 48, 1), (1, len(LABELS)))
    # In every format the real value of the input is pixel / 255.
    if runtime.input.params.dtype != "float32":
        assert runtime.input.params.scale == pytest.approx(1 / 255, rel=1e-6)


# Data formats


@entries(FORMATS)
def test_a_format_matches_only_its_own_files(name, tmp_path):
    data_format = plugins.load(FORMATS, name)
    assert list(inspect.signature(data_format.read).parameters) == ["path", "options", "bad", "progress"]
    (tmp_path / "empty").touch()
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "text.csv").write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    for other in ("empty", "noise", "text.csv", "folder", "nowhere"):
        assert data_format.matches(tmp_path / other) is False
    (tmp_path / "source").write_text("anything")
    assert isinstance(data_format.cache_key(tmp_path / "source", options=ReadOptions()), str)
    assert isinstance(data_format.is_complete(tmp_path / "source"), bool)


# Runtimes, connections and platforms


@entries(RUNTIMES)
def test_a_runtime_implements_its_protocol(name):
    module = plugins.load(RUNTIMES, name)
    assert module.INSTALL.startswith("pip install ")
    assert isinstance(module.PREFERENCE, int)
    for function in ("available", "load", "open_model"):
        promised = inspect.signature(getattr(RuntimeModule, function)).parameters
        assert list(inspect.signature(getattr(module, function)).parameters) == [
            parameter for parameter in promised if parameter != "self"
        ]
    assert module.available() is None or re.match(r"\d+\.\d+", module.available())


@entries(RUNTIMES)
def test_an_installed_runtime_runs_a_model(name):
    module = plugins.load(RUNTIMES, name)
    if module.available() is None:
        with pytest.raises(IncompatibleError) as caught:
            select_runtime(name)
        assert caught.value.hint == module.INSTALL
        return
    runtime = module.open_model((FIXTURES / "tiny-int8.tflite").read_bytes(), threads=1)
    assert (runtime.name, runtime.version) == (name, module.available())
    runtime.set_input(np.zeros(runtime.input.shape, np.int8))
    runtime.invoke()
    assert runtime.get_output().shape == runtime.output.shape == (1, len(LABELS))


def test_no_two_runtimes_have_the_same_preference():
    preferences = [plugins.load(RUNTIMES, name).PREFERENCE for name in plugins.names(RUNTIMES)]
    assert len(set(preferences)) == len(preferences)


@entries(CONNECTIONS)
def test_a_connection_takes_a_device(name):
    connect = plugins.load(CONNECTIONS, name).connect
    device, stop = inspect.signature(connect, eval_str=True).parameters.values()
    assert device.annotation is Device
    assert (stop.name, stop.default) == ("stop", None)


@entries(PLATFORMS)
def test_a_platform_has_a_preference_and_reads_files_below_any_root(name, tmp_path):
    module = plugins.load(PLATFORMS, name)
    assert isinstance(module.PREFERENCE, int)
    assert module.detect(root=tmp_path) is (name == "generic_linux")
    assert set(module.sample(root=tmp_path, run=lambda command: None)) <= set(DeviceState.__dataclass_fields__)


# Detectors


@entries(DETECTORS)
def test_a_detector_declares_its_crop_and_detects_no_face_in_a_gray_image(name, tmp_path):
    module = plugins.load(DETECTORS, name)
    assert 0.5 < module.CROP_SCALE < 2
    assert -0.5 < module.CROP_SHIFT < 0.5
    if module.NEEDS_MODEL:
        with pytest.raises(UsageError, match=name):
            module.open_detector(None)
    else:
        wall = np.full((64, 64, 3) if module.USES_COLOR else (64, 64), 90, np.uint8)
        assert module.open_detector(None).detect(wall) == []
    with pytest.raises(EdgeferError):
        module.open_detector(tmp_path / "nowhere")


# Cameras


@entries(CAMERAS)
def test_a_camera_declares_live_as_a_bool_and_rejects_a_missing_source(name, tmp_path):
    module = plugins.load(CAMERAS, name)
    assert isinstance(module.LIVE, bool)
    assert list(inspect.signature(module.open_camera).parameters) == ["location", "size"]
    assert keywords(module.open_camera) == ["size"]
    nowhere = "97" if name in ("picamera2", "v4l2") else f"file://{tmp_path}/nowhere"
    with pytest.raises(EdgeferError) as caught:
        module.open_camera(nowhere, size=(640, 480))
    assert caught.value.hint
