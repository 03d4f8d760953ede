from itertools import pairwise

import pytest

from edgefer.inference.runtime import open_interpreter
from edgefer.inspection.resources import ALIGNMENT, count_macs, parameter_tensors, plan_arena


def test_plan_of_a_chain(make) -> None:
    # in (64) -> a (256) -> b (128) -> out (64): a and b live at the same time, a and out do not.
    sizes = (64, 256, 128, 64)
    ops = [make.op("RELU", (index,), (index + 1,)) for index in range(3)]
    plan = plan_arena(make.graph([make.tensor(shape=(size,)) for size in sizes], ops, (0,), (3,)))
    # The input comes first, then the largest tensor, then b; the output takes the place of a.
    assert plan.offsets == {0: 0, 1: 64, 2: 320, 3: 64}
    assert plan.peak_bytes == 64 + 256 + 128


def test_plan_uses_the_smallest_gap_that_fits(make) -> None:
    # After the three largest, t3 lives at the same time as t0 and t2, and fits the gap of t1 between them.
    tensors = [make.tensor(shape=(size,)) for size in (64, 640, 320, 128, 64)]
    ops = [make.op("RELU", (0,), (1,)), make.op("RELU", (1,), (2,)), make.op("ADD", (0, 2), (3,))]
    ops += [make.op("ADD", (2, 3), (4,))]
    plan = plan_arena(make.graph(tensors, ops, (0,), (4,)))
    assert plan.offsets == {0: 0, 1: 64, 2: 704, 3: 64, 4: 192}
    assert plan.peak_bytes == 704 + 320


def test_offsets_are_aligned(make) -> None:
    tensors = [make.tensor(shape=(size,)) for size in (1, 100, 7)]
    ops = [make.op("RELU", (0,), (1,)), make.op("RELU", (1,), (2,))]
    plan = plan_arena(make.graph(tensors, ops, (0,), (2,)))
    assert all(offset % ALIGNMENT == 0 for offset in plan.offsets.values())
    assert plan.peak_bytes == 64 + 128 + 7


def test_arena_excludes_constants_and_variables(make) -> None:
    tensors = [make.tensor(shape=(64,)), make.tensor(shape=(640,), constant=True)]
    tensors += [make.tensor(shape=(70,), variable=True), make.tensor("string", (4,))]
    plan = plan_arena(make.graph(tensors, [make.op("ADD", (0, 1, 2), (3,))], (0,), (3,)))
    assert (plan.peak_bytes, plan.variable_bytes, plan.unsized) == (64, 128, 1)


def test_tensors_that_live_at_the_same_time_do_not_overlap(shipped) -> None:
    graph, plan = shipped.main, plan_arena(shipped.main)
    for op in graph.ops:
        places = sorted({(plan.offsets[index], graph.tensors[index].size_bytes) for index in (*op.inputs, *op.outputs)
                         if index in plan.offsets})  # fmt: skip
        assert all(offset + size <= after for (offset, size), (after, _) in pairwise(places))


@pytest.mark.parametrize("scheme", ["int8", "float32"])
def test_plan_has_the_size_of_the_memory_that_the_interpreter_allocates(tiny, litert, scheme, tiny_content) -> None:
    content = tiny_content[scheme]
    graph, plan = tiny[scheme].main, plan_arena(tiny[scheme].main)
    # The reference kernels need no scratch memory.
    interpreter = open_interpreter(litert, content, kernels="reference", name="litert", version="")
    begins = {index: interpreter.tensor(index)().__array_interface__["data"][0] for index in plan.offsets}
    ends = [begin + graph.tensors[index].size_bytes for index, begin in begins.items()]
    assert max(ends) - min(begins.values()) == plan.peak_bytes


def test_costs_of_the_tiny_models(tiny) -> None:
    # 3x3 kernels with 24x24x8 and 12x12x16 outputs, then 16 x 7.
    expected = [24 * 24 * 8 * 9 * 1, 12 * 12 * 16 * 9 * 8, 0, 16 * 7]
    for model in tiny.values():
        graph = model.main
        assert [count_macs(graph, op) for op in graph.ops] == expected
        counts = [sum(tensor.elements for tensor in parameter_tensors(graph, op)) for op in graph.ops]
        # Weights and biases; the axes of MEAN are not parameters.
        assert counts == [9 * 8 + 8, 9 * 8 * 16 + 16, 0, 16 * 7 + 7]


def test_costs_of_a_trained_model(small_1) -> None:
    graph = small_1.main
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
    assert sum(count_macs(graph, op) for op in graph.ops) == total_macs == 77_350_392
    parameters = [tensor for op in graph.ops for tensor in parameter_tensors(graph, op)]
    assert sum(tensor.elements for tensor in parameters) == total_parameters == 299_703


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
def test_macs_of_each_operator(make, name, shapes, output, options, expected) -> None:
    tensors = [*(make.tensor(shape=shape) for shape in shapes), make.tensor(shape=output)]
    op = make.op(name, tuple(range(len(shapes))), (len(shapes),), options=options)
    assert count_macs(make.graph(tensors, [op], (0,), (len(shapes),)), op) == expected


def test_omitted_weights_have_no_macs(make) -> None:
    # An LSTM with a coupled input gate has one pair of weights less.
    tensors = [make.tensor(shape=(1, 3)), make.tensor(shape=(4, 3)), make.tensor(shape=(4, 4)), make.tensor()]
    op = make.op("LSTM", (0, -1, 1, 1, 1, -1, 2, 2, 2), (3,))
    assert count_macs(make.graph(tensors, [op], (0,), (3,)), op) == 3 * 12 + 3 * 16


def test_macs_of_a_custom_operator_are_unknown(make) -> None:
    op = make.op("CONV_2D", (0,), (0,), custom=True)
    assert count_macs(make.graph([make.tensor()], [op], (0,), (0,)), op) is None


def test_initial_values_of_a_loop_are_not_parameters(make) -> None:
    graph = make.graph([make.tensor(constant=True), make.tensor()], [], (), (1,))
    assert parameter_tensors(graph, make.op("WHILE", (0,), (1,))) == []
    assert parameter_tensors(graph, make.op("MUL", (0,), (1,))) == [graph.tensors[0]]
