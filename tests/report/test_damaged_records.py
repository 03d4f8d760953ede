"""Every value of every kind of record is replaced by invalid ones; each is reported as an error or rendered."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator

import pytest

from edgefer.errors import EdgeferError
from edgefer.escaping import printable
from edgefer.report import document
from edgefer.report.comparison import to_json
from edgefer.report.html.page import render_page
from edgefer.report.markdown import to_markdown
from edgefer.report.quantization_costs import costs_to_json
from edgefer.report.report_data import read_report_data
from edgefer.report.sections.report import build_report
from edgefer.results import schema
from edgefer.results.inspection import Contract, Inspection, OpFacts, Target, TensorFacts

MISSING = object()
VALUES = (
    MISSING, None, True, -1, 0, 1.5, 10**25, 10**400, float("nan"), float("inf"), "x", "", "\ud800\x1b[31m", [], [None],
    [1, 2], [[1]], {}, {"a": {}},
)  # fmt: skip


@pytest.fixture
def records(run_folder, evaluated):
    """Return one record of every kind that edgefer reads."""
    records = {name: json.loads((run_folder / f"{name}.json").read_text()) for name in ("int8", "bench", "parity")}
    tensor = TensorFacts("face", "int8", (1, 48, 48, 1), False, 1 / 255, -128)
    inspection = Inspection(
        file="a.tflite", file_bytes=100, sha256="a" * 64, description="", declared_runtime=None, minimum_runtime="1.14",
        runtime="litert", runtime_version="2.3.0", first_run="ok", subgraphs=1, inputs=(tensor,), outputs=(tensor,),
        ops=(OpFacts(0, "ADD", 1, False, "1.5", "int8", (1, 7), 0, 0, None),), parameters=80, parameter_bytes=104,
        macs=41_472, macs_unknown_ops=0, arena_peak_bytes=9216, variable_bytes=0, unsized_tensors=0, delegate_groups=1,
        delegate_detail="", targets=(Target("tflm", "no", "by its ops", ("Mystery",), ("note",)),),
        contract=Contract("ok", labels=("happy",), scheme="int8", input={"height": 48}, provenance={"a": [1]}),
    )  # fmt: skip
    training = {
        **schema.header("training", 1), "run": "runs/first", "duration_s": 9.0, "best_epoch": 2, "epochs": 2,
        "settings": {"system": "small", "input": {"width": 48}}, "evaluation": evaluated().to_json(),
        "environment": {
            "data": {"layout": "csv", "images": {"Training": 9}}, "packages": {"keras": "3"}, "parent": {"run": "a"},
            "teachers": [{"run": "b"}],
        },
    }  # fmt: skip
    del records["bench"]["measurements"][0]["samples"]
    plain = json.loads(json.dumps([inspection.to_json(), training, evaluated().to_json()]))
    return {**records, "inspection": plain[0], "training": plain[1], "evaluation": plain[2]}


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value, with only the first item of each list."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    )
    for name, child in children:
        yield from places(child, (*path, name))


def damaged(record: object, path: tuple[str | int, ...], value: object) -> object:
    copied = copy.deepcopy(record)
    if not path:
        return value
    parent = copied
    for name in path[:-1]:
        parent = parent[name]
    if value is MISSING:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return copied


@pytest.mark.parametrize("kind", ["int8", "bench", "parity", "inspection", "training", "evaluation"])
def test_damaged_records_are_reported_or_rendered(records, kind, tmp_path):
    path, messages, rendered = tmp_path / "record.json", [], 0
    for place in places(records[kind]):
        # Other kinds of records cover these parts.
        if kind != "evaluation" and len(place) > 1 and place[0] in ("parent", "evaluation", "measurement"):
            continue
        for value in VALUES if place else VALUES[1:]:
            path.write_text(json.dumps(damaged(records[kind], place, value)))
            try:
                data = read_report_data([path])
            except EdgeferError as error:
                messages.append(str(error))
            else:
                render(data)
                rendered += 1
    assert rendered > 5
    assert len(messages) > 20
    assert all(f"{path}: " in message and "expected" in message for message in messages if "kind" not in message)


def render(data):
    """Render all texts and plain values that ``edgefer report`` prints."""
    texts = [printable(table.text()) for table in data.results.tables()]
    plain = [costs_to_json(data.results.quantizations), data.results.least_agreements]
    with contextlib.suppress(EdgeferError):  # a record without a SHA-256 cannot be compared
        groups = data.result_groups
        plain.append(to_json(groups))
        texts += [printable(document.text(groups)), document.markdown(groups)]
    report = build_report(data)
    texts += [to_markdown(report), render_page(report)]
    json.dumps(plain, allow_nan=False)
    for text in texts:
        text.encode()
