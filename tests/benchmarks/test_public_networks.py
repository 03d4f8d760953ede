"""benchmarks/public_networks.py: their graphs have the sizes of the published ones."""

import keras
import public_networks
import pytest

from edgefer.fleet.latency_model import DTYPES
from edgefer.inference.runtime import select_runtime


@pytest.mark.parametrize(
    ("name", "million_parameters"),
    # Howard et al. 2017, Sandler et al. 2018, Howard et al. 2019.
    [("mobilenet_v1", 4.2), ("mobilenet_v2", 3.4), ("ssdlite_mobilenet_v2", 4.3), ("mobilenet_v3_small", 2.5)],
)
def test_networks_have_the_parameters_of_the_papers(name, million_parameters):
    network = public_networks.NETWORKS[name]()
    assert network.count_params() / 1e6 == pytest.approx(million_parameters, rel=0.06)


def test_a_network_is_converted_with_batch_one_in_both_dtypes():
    inputs = keras.Input((8, 8, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs))
    for dtype in DTYPES:
        runtime = select_runtime("litert").open_model(public_networks.convert(network, dtype))
        assert (runtime.input.shape, runtime.input.params.dtype) == ((1, 8, 8, 3), dtype)
        assert (runtime.output.shape, runtime.output.params.dtype) == ((1, 6, 6, 4), dtype)
