"""The text form of a model's input, for --input and for messages."""

import numpy as np
import pytest

from edgefer.contract.input_description import RANGES, describe_input, describe_range, parse_input
from edgefer.contract.preprocessing import FLOAT32, Clahe, InputSpec, encode, encoder
from edgefer.errors import UsageError


def test_plain_input_is_described_without_its_range():
    assert describe_input(InputSpec()) == "gray 48x48"
    assert describe_input(InputSpec(clahe=Clahe())) == "gray 48x48, CLAHE"


def test_words_set_channels_range_and_interpolation():
    spec = parse_input("rgb, -1..1,nearest", InputSpec(96, 64))
    assert spec == InputSpec(96, 64, None, "rgb", (127.5,), (127.5,), "nearest")
    assert describe_input(spec) == "rgb 64x96, -1..1, resized by nearest"


@pytest.mark.parametrize("name", RANGES)
def test_every_range_is_parsed_and_described(name):
    spec = parse_input(f"bgr,{name}", InputSpec())
    assert describe_range(spec) == name
    assert describe_range(parse_input(f"bgr,{describe_range(spec)}", InputSpec())) == name


def test_mean_and_std_are_one_number_or_one_per_channel():
    spec = parse_input("rgb,mean=1/2/3,std=4", InputSpec())
    assert (spec.mean, spec.std) == ((1, 2, 3), (4,))
    assert parse_input(f"rgb,{describe_range(spec)}", InputSpec()) == spec


@pytest.mark.parametrize(
    ("words", "channels"),
    [("caffe", "bgr"), ("imagenet", "rgb"), ("rgb,caffe", "rgb"), ("caffe,rgb", "rgb"), ("bgr,imagenet", "bgr")],
)
def test_a_mean_for_each_channel_has_the_order_of_its_framework(words, channels):
    assert parse_input(words, InputSpec(channels="rgb")).channels == channels


def test_range_of_minus_one_to_one_reaches_both_ends():
    table = encoder(FLOAT32, parse_input("-1..1", InputSpec()))
    assert (table[0], table[255]) == (-1, 1)


def test_channels_with_their_own_mean_have_their_own_column():
    spec = parse_input("rgb,imagenet", InputSpec(2, 2))
    face = np.full(spec.shape, 255, np.uint8)
    expected = (255 - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    np.testing.assert_allclose(encode(encoder(FLOAT32, spec), face)[1, 1], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("gary", "unknown word 'gary'"),
        ("mean=x", "mean=x"),
        ("std=0", "std=0"),
        ("mean=nan", "mean=nan"),
        ("gray,imagenet", "does not fit the model"),
        ("rgb,mean=1/2,std=1", "does not fit the model"),
        ("rgb", "'rgb' has no range: expected one of 0..1, -1..1"),
        ("gray,nearest", "has no range"),
        ("gray,mean=127.5", "has no range"),
        ("gray,std=127.5", "has no range"),
        (",", "has no range"),
    ],
)
def test_a_contradictory_input_is_refused(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse_input(text, InputSpec())
