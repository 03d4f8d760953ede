from itertools import pairwise

import pytest

from edgefer.board.arena import ALIGNMENT, plan_arena
from edgefer.board.runtime import open_interpreter


def test_a_chain_by_hand(make) -> None:
    # in (64) -> a (256) -> b (128) -> out (64): a and b live at once, a and out never.
    sizes = (64, 256, 128, 64)
    ops = [make.op("RELU", (index,), (index + 1,)) for index in range(3)]
    plan = plan_arena(make.graph([make.tensor(shape=(size,)) for size in sizes], ops, (0,), (3,)))
    # The input stays for good, then the largest, then b behind it; the output goes where a was.
    assert plan.offsets == {0: 0, 1: 64, 2: 320, 3: 64}
    assert plan.peak_bytes == 64 + 256 + 128


def test_the_smallest_gap_that_fits_is_taken(make) -> None:
    # Three placed from the largest; then t3 lives with t0 and t2 and fits the gap between them that t1 leaves.
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


def test_constants_and_variables_are_not_in_the_arena(make) -> None:
    tensors = [make.tensor(shape=(64,)), make.tensor(shape=(640,), constant=True)]
    tensors += [make.tensor(shape=(70,), variable=True), make.tensor("string", (4,))]
    plan = plan_arena(make.graph(tensors, [make.op("ADD", (0, 1, 2), (3,))], (0,), (3,)))
    assert (plan.peak_bytes, plan.variable_bytes, plan.unsized) == (64, 128, 1)


def test_no_two_tensors_that_live_at_once_overlap(shipped) -> None:
    graph, plan = shipped.main, plan_arena(shipped.main)
    for op in graph.ops:
        places = sorted({(plan.offsets[each], graph.tensors[each].size_bytes) for each in (*op.inputs, *op.outputs)
                         if each in plan.offsets})  # fmt: skip
        assert all(offset + size <= after for (offset, size), (after, _) in pairwise(places))


@pytest.mark.parametrize("scheme", ["int8", "float32"])
def test_the_plan_is_as_large_as_what_the_interpreter_allocates(tiny, litert, scheme: str, request) -> None:
    content = (request.path.parent / "data" / f"tiny-{scheme}.tflite").read_bytes()
    graph, plan = tiny[scheme].main, plan_arena(tiny[scheme].main)
    # Plain kernels, which want no scratch memory.
    interpreter = open_interpreter(litert, content, kernels="reference", name="litert", version="")
    begins = {each: interpreter.tensor(each)().__array_interface__["data"][0] for each in plan.offsets}
    ends = [begin + graph.tensors[each].size_bytes for each, begin in begins.items()]
    assert max(ends) - min(begins.values()) == plan.peak_bytes
