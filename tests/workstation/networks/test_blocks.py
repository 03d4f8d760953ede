import numpy as np
import pytest

from edgefer.workstation.networks.architectures.residual import build as build_residual
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.networks.blocks import pooled_logits, residual_block, residual_stage


@pytest.fixture(scope="module")
def keras():
    return load_keras(backend="tensorflow")


def layers_of(keras, body):
    face = keras.Input((8, 8, 4), name="face")
    return {layer.name: layer for layer in keras.Model(face, body(keras.layers, face)).layers}


@pytest.mark.parametrize(("filters", "strides", "has_convolution"), [(4, 1, False), (8, 1, True), (4, 2, True)])
def test_the_shortcut_has_a_convolution_only_if_the_shape_changes(keras, filters, strides, has_convolution):
    layers = layers_of(keras, lambda layers, x: residual_block(layers, x, filters, strides=strides, name="block"))
    assert ("block_shortcut_conv" in layers) is has_convolution
    assert layers["block_relu2"].output.shape[1:] == (8 // strides, 8 // strides, filters)


def test_only_the_first_block_of_a_stage_is_strided(keras):
    layers = layers_of(keras, lambda layers, x: residual_stage(layers, x, 8, blocks=3, strides=2, name="stage"))
    strides = [layers[f"stage_block{index}_1_conv"].strides for index in (1, 2, 3)]
    assert strides == [(2, 2), (1, 1), (1, 1)]


def test_convolutions_have_no_bias_and_logits_stay_in_float32(keras):
    def body(layers, x):
        return pooled_logits(layers, residual_block(layers, x, 8, name="block"), classes=7, dropout=0.1)

    layers = layers_of(keras, body)
    assert not any(layer.use_bias for layer in layers.values() if isinstance(layer, keras.layers.Conv2D))
    assert layers["logits"].output.dtype == np.dtype("float32")


@pytest.mark.parametrize(("stem_stride", "sides"), [(1, (16, 8)), (2, (8, 4))])
def test_a_strided_stem_halves_every_stage(keras, stem_stride, sides):
    model = build_residual(
        keras,
        input_shape=(16, 16, 1),
        classes=7,
        stem=16,
        stem_stride=stem_stride,
        widths=(16, 32),
        depths=(1, 1),
    )
    stages = [model.get_layer(f"stage{index}_block1_relu2").output.shape[1] for index in (1, 2)]
    assert tuple(stages) == sides
