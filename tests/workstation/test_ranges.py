import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.workstation.convert import convert
from edgefer.workstation.flatbuffer import Flatbuffer
from edgefer.workstation.ranges import SAMPLE, Ranges


@pytest.fixture
def graph(small_network):
    return Flatbuffer(convert(small_network))


def seen(graph, faces):
    """What ranges come of activations that are ``faces``, one array for all tensors of a face."""
    observed = Ranges(graph)
    for values in faces:
        observed.see(lambda tensor, values=values: np.float32(values))
    return observed


def test_each_method_on_values_that_are_known(graph):
    tensor = graph.ops[0].outputs[0]
    observed = seen(graph, [[-1.0, 0.0, 2.0], [-3.0, 1.0, 6.0]])
    assert observed.range_of(tensor, "min-max") == (-3.0, 6.0)
    assert observed.range_of(tensor, "moving-average") == (-2.0, 4.0)
    low, high = observed.range_of(tensor, "percentile")
    assert (low, high) == pytest.approx(np.percentile([-1, 0, 2, -3, 1, 6], [0.01, 99.99]), rel=1e-6)
    assert (low, high) != (-3.0, 6.0)


def test_a_single_outlier_does_not_widen_the_percentile(graph):
    tensor = graph.ops[0].outputs[0]
    calm = np.linspace(-1, 1, 2000)
    observed = seen(graph, [calm] * 19 + [np.append(calm[1:], 1000.0)])
    assert observed.range_of(tensor, "min-max")[1] == 1000.0
    assert observed.range_of(tensor, "percentile")[1] < 1.01


@pytest.mark.parametrize("shape", [(1, 24, 24, 9), (1, 12, 12, 48), (1, 24, 24, 3), (1, 48, 48, 16), (1, 7)])
def test_every_channel_is_sampled(graph, shape):
    channel = np.broadcast_to(np.arange(shape[-1], dtype=np.float32), shape)
    observed = seen(graph, [channel])
    (sample,) = observed._samples[graph.ops[0].outputs[0]]
    counts = np.bincount(sample.astype(int), minlength=shape[-1])
    assert counts.min() >= 0.8 * counts.max() > 0
    assert len(sample) <= 2 * SAMPLE


def test_the_input_is_from_0_to_1_whatever_was_seen(graph):
    observed = seen(graph, [[0.2, 0.3]])
    for method in ("percentile", "min-max", "moving-average"):
        observed.note(method)
        found = graph._graph.tensors[graph.inputs[0]].quantization
        assert (found.min, found.max) == ([0.0], [1.0])


def noted(graph, tensor):
    found = graph._graph.tensors[tensor].quantization
    return found.min[0], found.max[0]


def test_what_is_always_zero_has_a_range_all_the_same(graph):
    seen(graph, [[0.0, 0.0]]).note("percentile")
    assert noted(graph, graph.ops[0].outputs[0]) == (0.0, 1.0)


def test_what_is_hardly_ever_above_zero_keeps_the_range_of_what_was_seen(graph):
    rare = np.zeros(100_000)
    rare[1] = 0.5
    observed = seen(graph, [rare])
    assert observed.range_of(graph.ops[0].outputs[0], "percentile") == (0.0, 0.0)
    observed.note("percentile")
    assert noted(graph, graph.ops[0].outputs[0]) == (0.0, 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_by_name(graph, value):
    with pytest.raises(DataError, match="conv puts out values that are not finite"):
        seen(graph, [[0.0, value]]).note("min-max")
