import numpy as np
import pytest

from edgefer.inference.runtime import open_interpreter
from edgefer.inspection.delegate import read_partition


class ListedNodes:
    """An interpreter that lists the given nodes."""

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
    """Return CONV_2D -> AVERAGE_POOL_2D -> FULLY_CONNECTED -> SOFTMAX; tensors 5 to 7 are constants."""
    tensors = [make.tensor() for _ in range(5)] + [make.tensor(constant=True) for _ in range(3)]
    ops = [make.op("CONV_2D", (0, 5), (1,)), make.op("AVERAGE_POOL_2D", (1,), (2,)),
           make.op("FULLY_CONNECTED", (2, 6, 7), (3,)), make.op("SOFTMAX", (3,), (4,))]  # fmt: skip
    return make.graph(tensors, ops, (0,), (4,))


@pytest.mark.parametrize("scheme", ["int8", "float32"])
def test_xnnpack_runs_every_operator_of_the_tiny_models(tiny, litert, tiny_content, scheme: str) -> None:
    content = tiny_content[scheme]
    interpreter = open_interpreter(litert, content, name="litert", version="")
    partition = read_partition(interpreter, tiny[scheme].main)
    assert (partition.delegated, partition.groups) == ({0, 1, 2, 3}, 1)


def test_builtin_kernels_delegate_no_operator(tiny, litert, tiny_content) -> None:
    content = tiny_content["int8"]
    interpreter = open_interpreter(litert, content, kernels="builtin", name="litert", version="")
    partition = read_partition(interpreter, tiny["int8"].main)
    assert (partition.delegated, partition.groups) == (frozenset(), 0)


def test_two_groups_around_an_operator_that_is_not_delegated(chain) -> None:
    partition = read_partition(ListedNodes(chain, [((0, 5), (1,)), ((2, 6, 7), (3,))]), chain)
    assert (partition.delegated, partition.groups) == ({0, 2}, 2)


def test_a_group_ends_at_its_inputs(chain) -> None:
    partition = read_partition(ListedNodes(chain, [((1, 6, 7), (3,))]), chain)
    assert partition.delegated == {1, 2}


def test_runtime_without_a_node_list_gives_no_partition(chain) -> None:
    partition = read_partition(object(), chain)
    assert partition.delegated is None
    assert "list" in partition.why


def test_nodes_that_differ_from_the_file_give_no_partition(chain, make) -> None:
    other = make.graph(list(chain.tensors), list(chain.ops[:3]), (0,), (3,))
    partition = read_partition(ListedNodes(chain, []), other)
    assert partition.delegated is None
    assert "4 nodes for 3 operators" in partition.why


def test_node_names_that_are_not_utf8_give_no_partition(chain) -> None:
    class Broken:
        def _get_ops_details(self):
            return b"\xdf".decode()

    assert read_partition(Broken(), chain).delegated is None
