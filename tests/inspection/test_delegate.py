import numpy as np
import pytest

from edgefer.inference.runtime import open_interpreter
from edgefer.inspection.delegate import read_partition


class Recorded:
    """An interpreter that lists what was recorded from a real one."""

    def __init__(self, graph, groups: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
        nodes = [(op.name, op.inputs, op.outputs) for op in graph.ops]
        nodes += [("DELEGATE", inputs, outputs) for inputs, outputs in groups]
        self.nodes = [
            {"index": index, "op_name": name, "inputs": np.array(inputs), "outputs": np.array(outputs)}
            for index, (name, inputs, outputs) in enumerate(nodes)
        ]

    def _get_ops_details(self):
        return self.nodes


@pytest.fixture
def chain(make):
    """CONV_2D -> AVERAGE_POOL_2D -> FULLY_CONNECTED -> SOFTMAX; 5 to 7 are constants."""
    tensors = [make.tensor() for _ in range(5)] + [make.tensor(constant=True) for _ in range(3)]
    ops = [make.op("CONV_2D", (0, 5), (1,)), make.op("AVERAGE_POOL_2D", (1,), (2,)),
           make.op("FULLY_CONNECTED", (2, 6, 7), (3,)), make.op("SOFTMAX", (3,), (4,))]  # fmt: skip
    return make.graph(tensors, ops, (0,), (4,))


@pytest.mark.parametrize("scheme", ["int8", "float32"])
def test_xnnpack_takes_all_of_the_tiny_models(tiny, litert, request, scheme: str) -> None:
    content = (request.path.parents[1] / "fixtures" / f"tiny-{scheme}.tflite").read_bytes()
    interpreter = open_interpreter(litert, content, name="litert", version="")
    partition = read_partition(interpreter, tiny[scheme].main)
    assert (partition.delegated, partition.groups) == ({0, 1, 2, 3}, 1)


def test_without_delegates_nothing_is_taken(tiny, litert, request) -> None:
    content = (request.path.parents[1] / "fixtures" / "tiny-int8.tflite").read_bytes()
    interpreter = open_interpreter(litert, content, kernels="builtin", name="litert", version="")
    partition = read_partition(interpreter, tiny["int8"].main)
    assert (partition.delegated, partition.groups) == (frozenset(), 0)


def test_two_groups_around_an_operator_that_is_not_taken(chain) -> None:
    partition = read_partition(Recorded(chain, [((0, 5), (1,)), ((2, 6, 7), (3,))]), chain)
    assert (partition.delegated, partition.groups) == ({0, 2}, 2)


def test_a_group_ends_at_its_inputs(chain) -> None:
    partition = read_partition(Recorded(chain, [((1, 6, 7), (3,))]), chain)
    assert partition.delegated == {1, 2}


def test_a_runtime_that_lists_no_nodes_cannot_tell(chain) -> None:
    partition = read_partition(object(), chain)
    assert partition.delegated is None
    assert "list" in partition.why


def test_other_nodes_than_the_file_has_cannot_tell(chain, make) -> None:
    other = make.graph(list(chain.tensors), list(chain.ops[:3]), (0,), (3,))
    partition = read_partition(Recorded(chain, []), other)
    assert partition.delegated is None
    assert "4 nodes for 3 operators" in partition.why


def test_names_that_are_no_utf8_cannot_be_listed(chain) -> None:
    class Broken:
        def _get_ops_details(self):
            return b"\xdf".decode()

    assert read_partition(Broken(), chain).delegated is None
