"""Damaged records: results of every kind, run folders, registries of boards, contracts, and replies of boards.

A field is replaced by a hostile value, removed, renamed, repeated or moved; or the text of the record is damaged.
"""

from __future__ import annotations

import copy
import functools
import importlib
import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgefer.benchmark.remote_worker import read_event
from edgefer.fleet.probe import Facts
from edgefer.models import shipped
from edgefer.results.accuracy_search import AccuracySearch, Candidate, MethodResult
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.results.calibration_stability import CalibrationStability
from edgefer.results.measurement import BenchRequest, Measurement
from edgefer.results.schema import Fields, parse_json
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import Epoch
from edgefer.workstation.training.state import read_state
from tests.tools.fuzzing import Case, Command
from tests.tools.model_mutations import flatbuffer, read_contract, write_contract

__all__ = ["make", "prepare"]

ROOT = Path(__file__).parents[2]
# Records, and a run folder, of every kind.
RECORDS = ROOT / "tests" / "fixtures" / "before"
LONG = 10**5
HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 7, 101, 2**31, 2**63, 2**64, -(2**70), 10**400, 1e300, -1e300, 1e-320, -0.0, -0.5,
    8.5, float("nan"), float("inf"), float("-inf"), "", " ", "x", "0", "nan", "\ud800", "\x1b[2J\x07", "a\nb\r\tc",
    "\u202eabc\u2066", "\x00", "\x7f\x9b31m", "x" * LONG, "../../etc/passwd", "/", "-rf", "<script>alert(1)</script>",
    "|a|b|", "`x`](http://x)", "%s%n{0}", "$(reboot)", "2026-99-99T99:99:99", "\N{ARABIC-INDIC DIGIT ONE}", [], [None],
    [1], [1, 2], ["x"], [[]] * 9, [0] * LONG, {}, {"": None}, {"a": {"b": []}}, {"\x1b[2J": 1}, {"__class__": "x"},
    [{}], [True, False], [float("nan")] * 3,
)  # fmt: skip
# The same in TOML and in a table.
HOSTILE_TOML = (
    "nan", "inf", "-1", "0", "1e400", "9" * 5000, "true", '""', '"\\u001b[2J"', '"\\u202e"', "'\x1b[2J'", "[]", "{}",
    "[1, 'x', [2]]", "1979-05-27", "07:32:00", "0x7fffffffffffffffffff", '"""\na\n"""', "{a = 1}", "[[]]", "",
    "[" * 3000, "[nan]", '["\\u0000"]', "{ 'p90_us' = -1 }", "{ 'p90_us' = nan }", '"' + "x" * LONG + '"',
)  # fmt: skip
HOSTILE_LINES = ("[model]", "[x.y.z]", "[[model]]", "x = 1", "=", '"\\u001b" = 1', "\0", "\udcff")
HOSTILE_CELLS = (
    "", "nan", "inf", "-inf", "-1", "1e999", "x", "9" * 5000, "\x1b[2J", "\u202e", "\0", '"', "1,2", "0x1", "1_0",
    "\N{ARABIC-INDIC DIGIT ONE}", "x" * 200_000, "\udcff",
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Copy the whole records, and import what reads them."""
    for module in ("report.report_data", "report.html.page", "report.markdown", "report.comparison", "report.document",
                   "report.model_card", "report.quantization_costs", "fleet.registry"):  # fmt: skip
        importlib.import_module(f"edgefer.{module}")
    importlib.import_module("tomlkit")
    shutil.copytree(RECORDS, folder / "whole")
    for model in (RECORDS / "run").glob("*.tflite"):
        shutil.copy(model, folder / "model.tflite")
    _templates()


def make(folder: Path, seed: int) -> Case:
    """Write a damaged record."""
    rng = random.Random(seed)
    name = rng.choice(list(MAKERS))
    return Case(name, MAKERS[name](folder, rng))


@functools.cache
def _templates() -> dict[str, Any]:
    """Return a whole record of each kind that ``edgefer report`` reads, with every optional entry."""
    records = {path.stem: json.loads(path.read_text()) for path in RECORDS.glob("*.json")}
    bench = records["bench"]
    quantization = records["quantize"]
    candidate = Candidate("percentile", "int8", {"io": "uint8"}, -0.2, (-0.7, 0.2), 0.98, 97_000, 1.5, True)
    search = AccuracySearch(0.3, (MethodResult("percentile", (0.6, 0.62), 0.97, 0.95),), (candidate,))
    quantization["search"] = search.to_json()
    quantization["stability"] = CalibrationStability(300, "PublicTest", 1400, (300, 310, 320), 0.97).to_json()
    shipped_quantization = json.loads((ROOT / "benchmarks/results/shipped/nano.quantization.json").read_text())
    return {
        **records,
        "measurement": bench["measurements"][0],
        "benches": {"kind": "benches", "schema_version": 1, "benches": [bench]},
        "quantizations": {"kind": "quantizations", "schema_version": 1, "quantizations": [quantization]},
        "shipped": shipped_quantization,
    }


# Changes of JSON values


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*place, key))


def _random_place(record: Any, rng: random.Random) -> tuple[Any, ...]:
    """Return the path of a field; long lists count as one item."""
    kinds: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for place in _places(record):
        kinds.setdefault(tuple(key if isinstance(key, str) else 0 for key in place), []).append(place)
    return rng.choice(kinds[rng.choice(list(kinds))]) if kinds else ()


def _parent(record: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        record = record[key]
    return record


def _change(record: Any, rng: random.Random) -> Any:
    """Return a copy of a record with one to three hostile fields."""
    record = copy.deepcopy(record)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        place = _random_place(record, rng)
        if not place:
            break
        parent, key = _parent(record, place), place[-1]
        kind = rng.randrange(12)
        if kind < 8:
            parent[key] = copy.deepcopy(rng.choice(HOSTILE_VALUES))
        elif kind == 8:
            del parent[key]
        elif kind == 9:
            other = _random_place(record, rng)
            parent[key] = copy.deepcopy(_parent(record, other)[other[-1]])
        elif kind == 10 and isinstance(parent[key], list):
            parent[key] = parent[key] * rng.choice((0, 2, 3, 500 if len(json.dumps(parent[key])) < 2000 else 2))
        elif kind == 11 and isinstance(parent[key], (int, float)):
            parent[key] = parent[key] * rng.choice((-1, 1e-9, 1e9, 1e17))
        elif isinstance(parent, dict):
            parent[rng.choice(("", "new", "\x1b[2J", "kind"))] = parent.pop(key)
    return record


def _text(record: Any, rng: random.Random) -> bytes:
    """Return the JSON text of a record, which is seldom damaged too."""
    content = json.dumps(record, indent=rng.choice((None, 1))).encode()
    if rng.random() < 0.85:
        return content
    place = rng.randrange(len(content) + 1)
    damaged = (
        content[:place], content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :],
        b"\xef\xbb\xbf" + content, content.decode().encode("utf-16"), b"", b"null", b"[]", b'"x"', b"1",
        b"[" * LONG, b'{"a":' * 5000, b"9" * 5000,
        content + content, b"{" + content[1:-1] + b"," + content[1:], content.replace(b": ", b": 1e999, \"x\": ", 1),
        content + b"\0" * 1000, content.replace(b"1", b"\xd9\xa1"),
    )  # fmt: skip
    return rng.choice(damaged)


# Records of edgefer report


def _result(folder: Path, rng: random.Random) -> tuple[Command, ...]:
    name = rng.choice(list(_templates()))
    (folder / "input" / "result.json").write_bytes(_text(_change(_templates()[name], rng), rng))
    outputs = (("--markdown",), ("--html", "input/report.html"), ("--json",), (), ("--card", "input/card.md"))
    output = rng.choice(outputs)
    sources = ["input/result.json"]
    if rng.random() < 0.5:
        sources.append(f"whole/{rng.choice(['bench', 'evaluate', 'quantize', 'inspect', 'verify', 'train'])}.json")
    if "--card" in output or rng.random() < 0.2:
        sources.append("model.tflite")
    return (("report", *sources, *output),)


def _run_folder(folder: Path, rng: random.Random) -> tuple[Command, ...]:
    run = folder / "input" / "run"
    shutil.copytree(RECORDS / "run", run)
    if rng.random() < 0.3:
        np.savez(run / "state.npz", **_state())
        (run / "baseline.json").write_text(json.dumps({"selection_loss": 1.9, "selection_accuracy": 0.2}))
    for _ in range(rng.choice((1, 1, 2))):
        _damage_run_file(run, rng)
    commands: tuple[Command, ...] = tuple(
        ("report", "input/run", *output) for output in (("--markdown",), ("--html", "input/r.html"), ("--json",))
    )
    return (rng.choice((*commands, _named("Run", lambda: _read_run(Run(run))))),)


def _damage_run_file(run: Path, rng: random.Random) -> None:
    path = rng.choice(sorted(path for path in run.iterdir() if path.suffix in (".json", ".toml", ".csv", ".npz")))
    if path.suffix == ".json":
        try:
            record = json.loads(path.read_bytes())
        except (ValueError, RecursionError):  # damaged already
            return
        path.write_bytes(_text(_change(record, rng), rng))
    elif path.suffix == ".npz":
        _write_state(path, rng)
    else:
        text = path.read_text("utf-8", "surrogateescape")
        damaged = _change_toml(text, rng) if path.suffix == ".toml" else _change_table(text, rng)
        path.write_bytes(damaged.encode("utf-8", "surrogateescape"))


def _read_run(run: Run) -> None:
    """Read everything that commands read of a run."""
    for read in (run.settings, run.environment, run.history, run.metrics, run.baseline, run.progress_note,
                 run.opened_with, lambda: (run.parent, run.teachers, run.labels, run.reference)):  # fmt: skip
        read()
    if run.state.exists():
        read_state(run.state, Epoch)


def _state() -> dict[str, Any]:
    epoch = dict.fromkeys(Epoch.__dataclass_fields__, 0.5) | {"epoch": 1}
    return {"history": np.array(json.dumps([epoch, {**epoch, "epoch": 2}])), "v0": np.zeros((3, 3)), "v1": np.ones(2)}


def _write_state(path: Path, rng: random.Random) -> None:
    arrays = _state()
    name = rng.choice(list(arrays))
    kind = rng.randrange(5)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = rng.choice(
            (np.array([{}], object), np.full(3, np.nan), np.array("x"), np.array([b"\xff"]), np.zeros((0, 3)),
             np.array(["nat"], "M8[s]"), np.float16(1), np.zeros(3, "c16"))
        )  # fmt: skip
    else:
        rows = _change(json.loads(str(arrays["history"])), rng)
        text = _text(rows, rng).decode("utf-8", "surrogateescape").replace("\0", " ")
        arrays["history"] = np.array(text.encode("utf-8", "replace").decode())
    content = io.BytesIO()
    np.savez(content, **arrays)
    data = bytearray(content.getvalue())
    if rng.random() < 0.3:
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(data[: rng.choice((len(data), len(data), len(data), rng.randrange(len(data)))) or None])


def _change_toml(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        number = rng.randrange(len(lines))
        key, equals, _ = lines[number].partition(" = ")
        kind = rng.randrange(8)
        if kind < 5 and equals:
            lines[number] = f"{key} = {rng.choice(HOSTILE_TOML)}"
        elif kind == 5:
            del lines[number]
        elif kind == 6:
            lines.insert(number, lines[rng.randrange(len(lines))])
        else:
            lines.insert(number, rng.choice(HOSTILE_LINES))
        if not lines:
            break
    return "\n".join(lines) + "\n"


def _change_table(text: str, rng: random.Random) -> str:
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows)
        kind = rng.randrange(5)
        if kind < 3 and row:
            row[rng.randrange(len(row))] = rng.choice(HOSTILE_CELLS)
        elif kind == 3 and row:
            del row[rng.randrange(len(row))]
        else:
            row.append(rng.choice(HOSTILE_CELLS))
    return rng.choice(("\n", "\n", "\r\n", "\r")).join(",".join(row) for row in rows) + "\n"


# Contracts


def _contract(folder: Path, rng: random.Random) -> tuple[Command, ...]:
    content = _model_content()
    entries = read_contract(content)
    if rng.random() < 0.8:
        entries["edgefer.json"] = _text(_change(json.loads(entries["edgefer.json"]), rng), rng)
    else:
        labels = entries["labels.txt"].decode().splitlines()
        labels[rng.randrange(len(labels))] = rng.choice(HOSTILE_CELLS)
        entries["labels.txt"] = "\n".join(labels).encode("utf-8", "surrogateescape")
    (folder / "input" / "model.tflite").write_bytes(write_contract(flatbuffer(content), entries, zipfile.ZIP_STORED))
    model = "input/model.tflite"
    return (
        rng.choice(
            (
                ("report", model, "--html", "input/report.html"), ("report", model, "--card", "input/card.md"),
                ("report", model, "whole/quantize.json", "--markdown"), ("report", model),
                ("export", model, "--c-array", "--output-dir", "input/out"),
                ("export", model, "--zip", "--output-dir", "input/out"),
            )
        ),
    )  # fmt: skip


@functools.cache
def _model_content() -> bytes:
    return shipped()["nano"].read_bytes()


# Boards

DEVICES = """# boards of the lab
[pi4]
address = "pi@raspberrypi.local"
python = "/usr/bin/python3"
runtime = "litert"
threads = [1, 4]
tags = ["lab", "pi"]
limits = {p90_us = 2000, rss_mib = 100, temperature_c = 80.0}

[pi4.facts]
board = "Raspberry Pi 4 Model B Rev 1.4"
machine = "aarch64"
cores = 4

[pi5]
address = "ssh://pi@[fe80::1]:22"
"""


def _devices(folder: Path, rng: random.Random) -> tuple[Command, ...]:
    text = _change_toml(DEVICES, rng)
    (folder / "input" / "devices.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    # The processes of this fuzzer run no other command in between.
    os.environ["EDGEFER_DEVICES"] = str(folder / "input" / "devices.toml")
    commands = (
        ("devices", "list"), ("devices", "list", "--json"), ("devices", "add", "new", "pi@host", "--tag", "x"),
        ("devices", "add", "pi4", "pi@host", "--limit", "p90_us=1"), ("devices", "remove", "pi4"),
        ("bench", "model.tflite", "--tag", "nowhere"),
    )  # fmt: skip
    return (rng.choice(commands),)


@functools.cache
def _replies() -> dict[str, tuple[Any, Callable[[Any], object]]]:
    """Return messages between processes and boards, and the functions that read them."""
    facts = {
        "board": "Raspberry Pi 4", "machine": "aarch64", "cores": 4, "ram_bytes": 2**32, "dot_product": False,
        "os": "Debian", "libc": "glibc 2.36", "free_bytes": 2**33, "cache": "/home/pi/.cache", "data": "/home/pi",
        "interpreters": [{"path": "/usr/bin/python3", "python": [3, 11, 2], "numpy": "1.26", "litert": "2.3.0",
                          "tflite_runtime": None, "opencv": None, "bits": 64, "machine": "", "errors": {"cv2": "x"}}],
        "bits": 64, "kernel_machine": "aarch64", "python": [3, 11, 2],
    }  # fmt: skip
    plan = BenchmarkPlan((BenchmarkCase("model.tflite"),)).to_json()
    request = BenchRequest("model.tflite").to_json()
    bench = _templates()["bench"]
    return {
        "facts": (facts, Facts.from_json),
        "plan": (plan, BenchmarkPlan.from_json),
        "request": (request, BenchRequest.from_json),
        "result": (bench, lambda fields: BenchmarkResult.from_json(fields).to_json()),
        "measurement": (bench["measurements"][0], lambda fields: Measurement.from_json(fields).to_json()),
    }


def _reply(folder: Path, rng: random.Random) -> tuple[Command, ...]:
    name = rng.choice(list(_replies()))
    template, read = _replies()[name]
    content = _text(_change(template, rng), rng)
    return (_named(f"reply {name}", lambda: read(Fields(parse_json(content)))),)


def _event(folder: Path, rng: random.Random) -> tuple[Command, ...]:
    event = {"event": "progress", "done": 1, "total": 2, "note": "x"}
    content = _text(_change(event, rng), rng).replace(b"\n", b" ") + b"\n"
    return (_named("read_event", lambda: _read_progress(content)),)


def _read_progress(line: bytes) -> None:
    try:
        event = read_event(line)
    except ValueError:  # no event, such as output of a login shell
        return
    event.count("done"), event.count("total"), event.text("note")


def _named(name: str, function: Callable[[], object]) -> Callable[[], object]:
    function.__qualname__ = name
    return function


MAKERS: dict[str, Callable[[Path, random.Random], tuple[Command, ...]]] = {
    "result": _result, "result again": _result, "result once more": _result, "run folder": _run_folder,
    "run folder again": _run_folder, "contract": _contract, "devices": _devices, "reply": _reply,
    "event": _event,
}  # fmt: skip
