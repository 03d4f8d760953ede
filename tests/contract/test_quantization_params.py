import numpy as np
import pytest

from edgefer.contract.preprocessing import encoder
from edgefer.contract.quantization_params import QuantParams, dequantize, quantize

INT8_PIXEL = QuantParams(float(np.float32(1 / 255)), -128, "int8")


def test_halves_are_rounded_away_from_zero():
    params = QuantParams(1.0, 0, "int8")
    real = np.float32([-2.5, -1.5, -0.5, -0.49, 0.49, 0.5, 1.5, 2.5])
    assert quantize(real, params).tolist() == [-3, -2, -1, 0, 0, 1, 2, 3]


def test_values_out_of_range_saturate():
    assert quantize(np.float32([-1e9, 1e9]), QuantParams(0.5, 3, "int8")).tolist() == [-128, 127]
    assert quantize(np.float32([-1, 300]), QuantParams(1.0, 0, "uint8")).tolist() == [0, 255]


def test_dequantize_subtracts_in_a_wide_integer():
    assert dequantize(np.int8([-128, 127]), QuantParams(1.0, 100, "int8")).tolist() == [-228, 27]


def test_floats_keep_their_values():
    params = QuantParams(0.0, 0, "float32")
    values = np.float32([0.1, -7.0])
    assert np.array_equal(quantize(values, params), values)
    assert np.array_equal(dequantize(values, params), values)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_quantized_values_survive_a_round_trip(dtype):
    params = QuantParams(0.037, 5, dtype)
    limits = np.iinfo(dtype)
    steps = np.arange(limits.min, limits.max + 1, 7).astype(dtype)
    assert np.array_equal(quantize(dequantize(steps, params), params), steps)


def test_int8_input_is_pixel_minus_128():
    assert encoder(INT8_PIXEL).tolist() == list(range(-128, 128))


def test_uint8_input_is_the_pixel():
    assert encoder(QuantParams(float(np.float32(1 / 255)), 0, "uint8")).tolist() == list(range(256))


def test_float_input_is_pixel_over_255():
    table = encoder(QuantParams(0.0, 0, "float32"))
    assert table.dtype == np.float32
    assert np.array_equal(table, np.arange(256, dtype=np.float32) / np.float32(255))
