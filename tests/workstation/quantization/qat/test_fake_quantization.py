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
    shown = faces.split("Training").pixels[:100]
    return qat_base(load_network(load_keras(), finished_run), finished_run.settings(), shown)


@pytest.fixture
def model(base, faces):
    return fake_quantize(base, faces.split("Training").pixels[:100])


def variables_of(model):
    return {variable.name.partition(":")[0]: variable for layer in model.layers for variable in layer.weights}


def test_it_starts_close_to_its_float_parent(base, model, faces):
    shown = faces.split("PublicTest").pixels
    answers, expected = keras_logits(model, shown), keras_logits(base, shown)
    assert np.abs(answers - expected).max() > 0
    assert (answers.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


def test_ranges_are_what_the_faces_produce(base, model, faces):
    logits = keras_logits(base, faces.split("Training").pixels[:100])
    found = variables_of(model)
    low, high = (float(found[f"quant_logits/post_activation_{end}"]) for end in ("min", "max"))
    assert (low, high) == pytest.approx((logits.min(), logits.max()), rel=1e-4)
    assert float(found["quant_average/output_min"]) == 0.0


def test_the_input_stays_pinned_whatever_training_shows_it(model):
    bright = np.full((4, 48, 48, 1), 1.5, np.float32)
    model(bright, training=True)
    ends = [variables_of(model)[f"quantize_layer/quantize_layer_{end}"] for end in ("min", "max")]
    assert float(ends[1]) == 1.5
    sync_ranges(model)
    assert [float(end) for end in ends] == [0.0, 1.0]
    params = select_runtime().open_model(int8_qat.convert(FloatNetwork(model), DEFAULTS)).input.params
    assert (params.zero_point, params.scale) == (-128, pytest.approx(1 / 255, rel=1e-6))


@pytest.mark.parametrize(("io", "zero_point"), [("int8", -128), ("uint8", 0)])
def test_an_input_of_either_type_is_the_pixel(model, io, zero_point):
    options = dataclasses.replace(DEFAULTS, io=io)
    runtime = select_runtime().open_model(int8_qat.convert(FloatNetwork(model), options))
    assert runtime.input.params.dtype == runtime.output.params.dtype == io
    assert runtime.input.params.zero_point == zero_point
    assert runtime.input.params.scale == pytest.approx(1 / 255, rel=1e-6)


def test_the_range_of_a_kernel_follows_a_step_of_training(model):
    found = variables_of(model)
    kernel, high = found["stem_conv/kernel"], found["quant_stem_conv/kernel_max"]
    kernel.assign(2 * kernel)
    before = high.numpy()
    sync_ranges(model)
    np.testing.assert_allclose(high.numpy(), 2 * before, rtol=1e-6)
    np.testing.assert_allclose(high.numpy(), np.abs(kernel.numpy()).max(axis=(0, 1, 2)), rtol=1e-6)


def test_a_channel_that_has_died_still_gives_its_bias(model, faces):
    found = variables_of(model)
    kernel, bias = found["stem_conv/kernel"].numpy(), found["stem_conv/bias"].numpy()
    kernel[..., 0], bias[0] = 0.0, 3.0
    found["stem_conv/kernel"].assign(kernel)
    found["stem_conv/bias"].assign(bias)
    sync_ranges(model)
    shown = faces.split("PublicTest").pixels[:40]
    runtime = select_runtime().open_model(int8_qat.convert(FloatNetwork(model), DEFAULTS))
    answers = []
    for face in shown:
        runtime.set_input((face.astype(np.int16) - 128).astype(np.int8).reshape(runtime.input.shape))
        runtime.invoke()
        answers.append(int(runtime.get_output().argmax()))
    assert (np.array(answers) == keras_logits(model, shown).argmax(axis=1)).mean() > 0.9
