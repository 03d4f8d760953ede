import dataclasses

import numpy as np
import pytest

from edgefer.inference.runtime import select_runtime
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import DEFAULTS
from edgefer.workstation.quantization.qat.fake_quantization import fake_quantize, sync_ranges
from edgefer.workstation.quantization.qat.model import qat_base
from edgefer.workstation.quantization.schemes import int8_qat
from edgefer.workstation.training.keras_inference import keras_logits, load_network


@pytest.fixture(scope="module")
def base(finished_run, faces):
    pixels = faces.split("Training").pixels[:100]
    return qat_base(load_network(load_keras(), finished_run), finished_run.settings(), pixels)


@pytest.fixture
def model(base, faces):
    return fake_quantize(base, faces.split("Training").pixels[:100])


def variables_of(model):
    return {variable.name.partition(":")[0]: variable for layer in model.layers for variable in layer.weights}


def test_the_untrained_model_is_close_to_the_float_network(base, model, faces):
    pixels = faces.split("PublicTest").pixels
    logits, expected = keras_logits(model, pixels), keras_logits(base, pixels)
    assert np.abs(logits - expected).max() > 0
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


def test_initial_ranges_are_those_of_the_faces(base, model, faces):
    logits = keras_logits(base, faces.split("Training").pixels[:100])
    variables = variables_of(model)
    low, high = (float(variables[f"quant_logits/post_activation_{end}"]) for end in ("min", "max"))
    assert (low, high) == pytest.approx((logits.min(), logits.max()), rel=1e-4)
    assert float(variables["quant_average/output_min"]) == 0.0


def test_the_input_range_is_reset_after_training(model):
    bright = np.full((4, 48, 48, 1), 1.5, np.float32)
    model(bright, training=True)
    ends = [variables_of(model)[f"quantize_layer/quantize_layer_{end}"] for end in ("min", "max")]
    assert float(ends[1]) == 1.5
    sync_ranges(model)
    assert [float(end) for end in ends] == [0.0, 1.0]
    # An int8 or uint8 input is the identity on pixels.
    for io, zero_point in (("int8", -128), ("uint8", 0)):
        options = dataclasses.replace(DEFAULTS, io=io)
        runtime = select_runtime().open_model(int8_qat.convert(FloatNetwork(model), options))
        assert runtime.input.params.dtype == runtime.output.params.dtype == io
        assert runtime.input.params.zero_point == zero_point
        assert runtime.input.params.scale == pytest.approx(1 / 255, rel=1e-6)


def test_sync_updates_the_range_of_a_kernel(model):
    variables = variables_of(model)
    kernel, high = variables["stem_conv/kernel"], variables["quant_stem_conv/kernel_max"]
    kernel.assign(2 * kernel)
    before = high.numpy()
    sync_ranges(model)
    np.testing.assert_allclose(high.numpy(), 2 * before, rtol=1e-6)
    np.testing.assert_allclose(high.numpy(), np.abs(kernel.numpy()).max(axis=(0, 1, 2)), rtol=1e-6)


def test_a_channel_of_zero_weights_outputs_its_bias(model, faces):
    variables = variables_of(model)
    kernel, bias = variables["stem_conv/kernel"].numpy(), variables["stem_conv/bias"].numpy()
    kernel[..., 0], bias[0] = 0.0, 3.0
    variables["stem_conv/kernel"].assign(kernel)
    variables["stem_conv/bias"].assign(bias)
    sync_ranges(model)
    pixels = faces.split("PublicTest").pixels[:40]
    runtime = select_runtime().open_model(int8_qat.convert(FloatNetwork(model), DEFAULTS))
    predictions = []
    for face in pixels:
        runtime.set_input((face.astype(np.int16) - 128).astype(np.int8).reshape(runtime.input.shape))
        runtime.invoke()
        predictions.append(int(runtime.get_output().argmax()))
    assert (np.array(predictions) == keras_logits(model, pixels).argmax(axis=1)).mean() > 0.9
