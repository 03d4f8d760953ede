import pytest

from edgefer.board.cost import macs, parameters


def test_tiny_by_hand(tiny) -> None:
    # 3x3 kernels on 24x24x8 and 12x12x16 outputs, then 16 x 7.
    expected = [24 * 24 * 8 * 9 * 1, 12 * 12 * 16 * 9 * 8, 0, 16 * 7]
    for anatomy in tiny.values():
        graph = anatomy.main
        assert [macs(graph, op) for op in graph.ops] == expected
        counts = [sum(tensor.elements for tensor in parameters(graph, op)) for op in graph.ops]
        # Weights and biases; the axes of MEAN are no parameters.
        assert counts == [9 * 8 + 8, 9 * 8 * 16 + 16, 0, 16 * 7 + 7]


def test_the_model_that_ships_by_hand(shipped) -> None:
    graph = shipped.main
    total_macs, total_parameters = 48 * 48 * 16 * 9, 9 * 16 + 16
    size, before = 48, 16
    for stage, (width, blocks) in enumerate([(16, 2), (32, 2), (72, 3)]):
        size //= 2 if stage else 1
        for _ in range(blocks):
            shortcut = [(1, before)] if before != width else []
            for kernel, source in ((9, before), (9, width), *shortcut):
                total_macs += size * size * width * kernel * source
                total_parameters += kernel * source * width + width
            before = width
    total_macs, total_parameters = total_macs + 72 * 7, total_parameters + 72 * 7 + 7
    assert sum(macs(graph, op) for op in graph.ops) == total_macs == 77_350_392
    assert sum(tensor.elements for op in graph.ops for tensor in parameters(graph, op)) == total_parameters == 299_703


@pytest.mark.parametrize(
    ("name", "shapes", "output", "options", "expected"),
    [
        ("CONV_2D", [(1, 6, 6, 4), (8, 3, 3, 2)], (1, 4, 4, 8), {}, 4 * 4 * 8 * 9 * 2),  # two groups
        ("DEPTHWISE_CONV_2D", [(1, 6, 6, 4), (1, 3, 3, 8)], (1, 4, 4, 8), {}, 4 * 4 * 8 * 9),
        ("CONV_3D", [(1, 4, 4, 4, 2), (3, 3, 3, 2, 5)], (1, 2, 2, 2, 5), {}, 2 * 2 * 2 * 5 * 27 * 2),
        ("TRANSPOSE_CONV", [(4,), (8, 3, 3, 2), (1, 5, 5, 2)], (1, 10, 10, 8), {}, 5 * 5 * 2 * 9 * 8),
        ("CONV_3D_TRANSPOSE", [(5,), (2, 2, 2, 8, 3), (1, 2, 2, 2, 3)], (1, 4, 4, 4, 8), {}, 8 * 3 * 8 * 8),
        ("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), {}, 2 * 3 * 5 * 4),
        ("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], (2, 3, 5), {"AdjX": 1}, 2 * 3 * 5 * 4),
        ("FULLY_CONNECTED", [(2, 4), (5, 4)], (2, 5), {}, 2 * 5 * 4),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [(2, 9, 3), *[(4, 3)] * 4, *[(4, 4)] * 4], (2, 9, 4), {}, 18 * 4 * (12 + 16)),
        ("RNN", [(2, 3), (4, 3), (4, 4)], (2, 4), {}, 2 * (12 + 16)),
        ("ADD", [(1, 8), (1, 8)], (1, 8), {}, 0),
        ("SOFTMAX", [(1, 8)], (1, 8), {}, 0),
        ("WHILE", [(1, 8)], (1, 8), {}, None),
        ("CONV_2D", [(1, 6, 6, 4)], (1, 4, 4, 8), {}, None),
        ("CONV_2D", [(1, 6, 6, 4), (8, 3, 3, 4)], (1, -1, 4, 8), {}, None),
    ],
)
def test_formulas(make, name, shapes, output, options, expected) -> None:
    tensors = [*(make.tensor(shape=shape) for shape in shapes), make.tensor(shape=output)]
    op = make.op(name, tuple(range(len(shapes))), (len(shapes),), options=options)
    assert macs(make.graph(tensors, [op], (0,), (len(shapes),)), op) == expected


def test_weights_that_were_left_out_cost_nothing(make) -> None:
    # The coupled input gate of an LSTM: one pair of weights is missing.
    tensors = [make.tensor(shape=(1, 3)), make.tensor(shape=(4, 3)), make.tensor(shape=(4, 4)), make.tensor()]
    op = make.op("LSTM", (0, -1, 1, 1, 1, -1, 2, 2, 2), (3,))
    assert macs(make.graph(tensors, [op], (0,), (3,)), op) == 3 * 12 + 3 * 16


def test_a_custom_operator_is_unknown(make) -> None:
    op = make.op("CONV_2D", (0,), (0,), custom=True)
    assert macs(make.graph([make.tensor()], [op], (0,), (0,)), op) is None


def test_what_a_loop_begins_with_is_no_parameter(make) -> None:
    graph = make.graph([make.tensor(constant=True), make.tensor()], [], (), (1,))
    assert parameters(graph, make.op("WHILE", (0,), (1,))) == []
    assert parameters(graph, make.op("MUL", (0,), (1,))) == [graph.tensors[0]]
