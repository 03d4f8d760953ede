import dataclasses
import json

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.results.inspection import Contract, Inspection, OpFacts, Target, TensorFacts


@pytest.fixture
def inspection() -> Inspection:
    face = TensorFacts("face", "int8", (1, 48, 48, 1), False, 1 / 255, -128)
    logits = TensorFacts("logits", "int8", (1, 7), False, 0.1, 3)
    ops = (
        OpFacts(0, "CONV_2D", 3, False, "1.14", "int8", (1, 24, 24, 8), 41_472, 80, True),
        OpFacts(0, "Mystery", 1, True, None, None, None, None, 0, None),
        OpFacts(1, "ADD", 1, False, "1.5", "int8", (1, 7), 0, 0, None),
    )
    return Inspection(
        file="a.tflite", file_bytes=100, sha256="ab" * 32, description="", declared_runtime=None,
        minimum_runtime="1.14", runtime="litert", runtime_version="2.3.0", first_run="ok", subgraphs=2, inputs=(face,),
        outputs=(logits,), ops=ops, parameters=80, parameter_bytes=104, macs=41_472, macs_unknown_ops=1,
        arena_peak_bytes=9216, variable_bytes=0, unsized_tensors=0, delegate_groups=1, delegate_detail="",
        targets=(Target("litert", "yes", "run here"), Target("tflm", "no", "by its ops", ("Mystery",), ("note",))),
        contract=Contract("ok", labels=("happy", "sad"), scheme="int8", input={"height": 48}, provenance={"a": [1, 2]}),
    )  # fmt: skip


def test_there_and_back(inspection: Inspection) -> None:
    assert Inspection.from_json(json.loads(json.dumps(inspection.to_json()))) == inspection


def test_a_record_has_its_kind_and_version(inspection: Inspection) -> None:
    assert (inspection.to_json()["kind"], inspection.to_json()["schema_version"]) == ("inspection", 1)
    with pytest.raises(DataError):
        Inspection.from_json({**inspection.to_json(), "kind": "bench"})
    with pytest.raises(IncompatibleError):
        Inspection.from_json({**inspection.to_json(), "schema_version": 2})


@pytest.mark.parametrize("scale", [5.3e36, 1e-45, 3.4028234e38])
def test_every_scale_of_float32_is_read_again(inspection: Inspection, scale: float) -> None:
    face = TensorFacts("face", "int8", (1, 48, 48, 1), False, scale, -128)
    record = {**inspection.to_json(), "inputs": [dataclasses.asdict(face)]}
    assert Inspection.from_json(record).inputs == (face,)
    record["inputs"][0]["scale"] = 1e39
    with pytest.raises(DataError, match="scale is 1e\\+39"):
        Inspection.from_json(record)


def test_main_ops_and_targets(inspection: Inspection) -> None:
    assert [op.name for op in inspection.main_ops] == ["CONV_2D", "Mystery"]
    assert inspection.target("tflm").obstacles == ("Mystery",)
    with pytest.raises(KeyError):
        inspection.target("abacus")
