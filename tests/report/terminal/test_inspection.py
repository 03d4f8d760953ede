from dataclasses import replace

import pytest

from edgefer.report.terminal.inspection import inspection_text
from edgefer.results.inspection import Contract, Inspection, OpFacts, Target, TensorFacts


def op(name: str = "CONV_2D", **changes: object) -> OpFacts:
    plain = {
        "subgraph": 0, "name": name, "version": 3, "custom": False, "minimum_runtime": "1.14", "output_dtype": "int8",
        "output_shape": (1, 1024, 1024, 256), "macs": 123_456_789_012, "parameters": 12_345_678, "in_delegate": True,
    }  # fmt: skip
    return OpFacts(**(plain | changes))


@pytest.fixture
def inspection() -> Inspection:
    face = TensorFacts("serving_default_some_rather_long_keras_tensor:0", "float32", (1, 48, 48, 1), True, None, None)
    logits = TensorFacts("StatefulPartitionedCall_1:0", "int8", (1, 7), False, 0.123456789, -128)
    return Inspection(
        file="a.tflite", file_bytes=100_000, sha256="ab" * 32, description="MLIR Converted.", declared_runtime="1.14.0",
        minimum_runtime="1.14", runtime="litert", runtime_version="2.3.0", first_run="ok", subgraphs=1, inputs=(face,),
        outputs=(logits,), ops=(op(), op("ADD", macs=None, in_delegate=False)), parameters=80, parameter_bytes=2048,
        macs=41_472, macs_unknown_ops=1, arena_peak_bytes=9216, variable_bytes=512, unsized_tensors=2,
        delegate_groups=1, delegate_detail="",
        targets=(Target("tflm", "no", "by its operators", ("no " * 60,), ("note",)),), contract=Contract("none"),
    )  # fmt: skip


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_the_text_fits_a_terminal(inspection: Inspection) -> None:
    assert widest(inspection_text(inspection)) <= 80


def test_the_text_contains_every_fact(inspection: Inspection) -> None:
    text = " ".join(inspection_text(inspection).split())
    for part in (
        "TensorFlow Lite 1.14 or later", "1x48x48x1 *", "2.0 KiB", "9.0 KiB", "plus 0.5 KiB of variables",
        "excluding 1 operator of unknown cost", "excluding 2 tensors",
        "delegates 1 of 2 operators, in 1 group", "runs on tflm: no", "edgefer did not write this file",
    ):  # fmt: skip
        assert part in text, part


def test_a_long_list_has_one_row_per_kind_of_operator(inspection: Inspection) -> None:
    text = inspection_text(replace(inspection, ops=(op(), op("ADD", in_delegate=False), op("ADD")) * 30))
    assert text.count("CONV_2D") == 1
    assert "30 of 60" in text
    assert widest(text) <= 80


def test_an_unknown_delegation_is_reported_with_its_reason(inspection: Inspection) -> None:
    unknown = replace(inspection, ops=(op(in_delegate=None),), delegate_groups=None, delegate_detail="no list of nodes")
    assert "XNNPACK: unknown: no list of nodes" in inspection_text(unknown)


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (Contract("damaged", "bad ZIP"), "contract: damaged: bad ZIP"),
        (
            Contract("mismatch", "", ("happy", "sad"), "int8", {"width": 48, "height": 48}, {}, 24, 9.0, 3.0, "steps"),
            "mismatch, up to 9 steps off in 24 vectors; tolerance 3 steps",
        ),
        (
            Contract("ok", "", ("sad",), "int8", {}, {}, 24, 0.0, 3.0, "steps", temperature=0.85),
            "probabilities: softmax of logits / 0.85",
        ),
        (
            Contract("ok", "", ("sad",), "imported", {}, {}, 9, 0, 4, "steps", temperature=1, output="probabilities"),
            "probabilities: outputs / their sum",
        ),
        (
            Contract("ok", "", ("sad",), "int8", {}, {}, 9, 0, 4, "steps", temperature=0.85, output="probabilities"),
            "probabilities: softmax of log(outputs) / 0.85",
        ),
        (
            Contract("not replayed", "no run", ("sad",), "int8", {}, {"system": "demo"}, 24, None, 3.0, "steps"),
            "golden vectors: not replayed: no run",
        ),
    ],
)
def test_the_contract_is_summarized(inspection: Inspection, contract: Contract, words: str) -> None:
    assert words in inspection_text(replace(inspection, contract=contract))


def test_control_characters_in_a_file_do_not_reach_the_terminal(inspection: Inspection) -> None:
    evil = "\x1b[2J\x07\ud800" + "A" * 10_000
    contract = Contract("not replayed", evil, (evil,), evil, {}, {evil: evil}, 1, None, 0.0, "steps")
    face = replace(inspection.inputs[0], name=evil)
    text = inspection_text(
        replace(inspection, ops=(op(evil),), description=evil, inputs=(face,), contract=contract, first_run=evil)
    )
    assert "\x1b" not in text
    text.encode()
    assert len(text) < 10_000
    assert [line for line in text.splitlines() if len(line) > 80] == []
