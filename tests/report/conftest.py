import json

import numpy as np
import pytest

from edgefer.models import SHIPPED
from edgefer.report.sections.blocks import Cell, Choice, Columns, DataTable, Details
from edgefer.report.sections.report import build_report
from edgefer.results import schema
from edgefer.results.benchmark import BenchmarkResult, Comparison, SoakInterval
from edgefer.results.device_state import DeviceState
from edgefer.results.evaluation import evaluate
from edgefer.results.latency import Latency, Samples
from edgefer.results.measurement import Measurement
from edgefer.results.paired_comparison import compare

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
LAYER = {
    "index": 0, "kind": "CONV_2D", "layer": "stem", "activation_snr_db": 31.25, "activation_cosine": 0.99937,
    "activation_saturation": 0.0123, "weight_snr_db": 48.5, "weight_cosine": 1.0, "weight_saturation": 0.0,
    "float_gain_db": 7.94,
}  # fmt: skip
HISTORY = """\
epoch,learning_rate,loss,accuracy,selection_loss,selection_accuracy,duration_s
1,0.1,1.9,0.3,1.8,0.35,60
2,0.01,1.5,0.4,1.6,0.42,66
"""
FLIPS = """\
row,label,float_label,label_now,float_probability,probability_now
17,happy,happy,sad,0.512,0.4567
4,sad,fear,sad,0.4,0.39
"""
DEVICE = {"board": None, "machine": "aarch64", "cpu": "Cortex-A76", "cores": 4, "governor": "performance"}


@pytest.fixture
def evaluated():
    """Make an Evaluation of 20 images in two classes, of which ``right`` are correct."""

    def make(sha256="a" * 64, *, right=15, split="PublicTest", data="fer2013.csv", n=20, model="small-int8", **subject):
        labels = np.arange(n) % 2
        logits = np.eye(2)[np.where(np.arange(n) < right, labels, 1 - labels)]
        seen = np.arange(n) < 5
        return evaluate(
            logits, labels, label_names=("happy", "sad"), split=split, model=model, data=data, seen_in_training=seen,
            subject={"sha256": sha256, "scheme": "int8", **subject},
        )  # fmt: skip

    return make


@pytest.fixture
def measured():
    """Make a Measurement of 2,000 runs with p90 = 1.1 p50 and no warnings."""

    def make(
        sha256="a" * 64, *, p50_us=100, file="small-int8.tflite", device=None, threads=1, runtime="litert", runs=2000,
        samples=False,
    ):  # fmt: skip
        times = np.where(np.arange(runs) < 0.7 * runs, p50_us * 1000, p50_us * 1100)
        latency = Latency.from_samples(times)
        return Measurement(
            subject={"file": file, "file_bytes": 20480, "sha256": sha256, "scheme": "int8"},
            device={**DEVICE, **(device or {})}, runtime=runtime, runtime_version="2.3.0", threads=threads,
            kernels="default", started_at="2026-01-01T00:00:00+00:00", harness_version="0.1.0", init_ns=1, first_ns=1,
            warmup=latency, invoke=latency, set_to_get=latency, cpu=latency, peak_rss_bytes=None, load_before=0.0,
            load_after=0.0, samples=Samples(times, times, times, times) if samples else None,
        )  # fmt: skip

    return make


@pytest.fixture
def quantized(evaluated, measured):
    """Make a record of kind "quantization" with 20 images in two classes, as edgefer quantize writes it."""

    def make(sha256="a" * 64, *, system="small", scheme="int8", layers=(), **fields):
        labels = np.arange(20) % 2
        parent = np.eye(2)[np.where(np.arange(20) < 15, labels, 1 - labels)]
        own = np.eye(2)[np.where((np.arange(20) < 16) & (np.arange(20) != 3), labels, 1 - labels)]
        names = ("happy", "sad")
        evaluation = evaluated(sha256, right=15, scheme=scheme)
        record = {
            **schema.header("quantization", 1), "path": f"runs/x/{system}-{scheme}.tflite", "sha256": sha256,
            "scheme": scheme, "model_bytes": 20000, "weight_bytes": 15000, "file_bytes": 20480,
            "golden_tolerance": 2.0, "gates_broken": [],
            "provenance": {
                "system": system, "edgefer": "0.1.0", "converter": "tensorflow 2.21.0",
                "data": {"name": "fer2013.csv", "sha256": "d" * 64},
                "calibration": {"set": "fer2013-500", "faces": 500},
                "recipe": {"io": None, "ranges": "min-max", "per_channel": False, "float_layers": ["^stem$"]},
            },
            "verdict": compare(parent, own, labels, label_names=names).to_json(),
            "parent": evaluated("f" * 64, scheme="keras", system=system).to_json(),
            "evaluation": evaluation.to_json(), "measurement": measured(sha256).to_json(),
        }  # fmt: skip
        return {**record, **({"layers": list(layers), "culprits": ["stem"]} if layers else {}), **fields}

    return make


@pytest.fixture
def hostile():
    """Return a name that would run a script if a page did not escape it."""
    return HOSTILE


@pytest.fixture
def layer():
    """Return one operator of a record of --debug-layers."""
    return dict(LAYER)


@pytest.fixture
def run_folder(quantized, evaluated, measured, tmp_path):
    """Return a run folder with content for every section of a report."""
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "settings.toml").write_text('system = "small"\nepochs = 2\n\n[augment]\nflip = true\n')
    (run / "history.csv").write_text(HISTORY)
    data = {"layout": "fer2013.csv", "sha256": "d" * 64, "images": {"Training": 9}}
    data |= {"source": "/home/someone/fer2013.csv", "opened_with": {"data": "/home/someone/fer2013.csv"}}
    environment = {"edgefer": "0.1.0", "python": "3.11.7", "packages": {"keras": "3.15.1"}, "data": data}
    (run / "environment.json").write_text(json.dumps(environment))
    evaluation = evaluated("f" * 64, scheme="keras", system="small").to_json()
    (run / "metrics.json").write_text(json.dumps({"best_epoch": 2, "epochs": 2, "evaluation": evaluation}))
    fast = measured(samples=True)
    slow = measured("f" * 64, p50_us=110, file="small-float32.tflite")
    states = (DeviceState(10.0, temperature_c=50.0), DeviceState(20.0, temperature_c=70.0, throttled=("too hot",)))
    bench = BenchmarkResult(
        "pi4", (fast, slow), comparisons=(Comparison(0, 1, 1.1, (1.05, 1.15), 0.9375, 5),), causes=(HOSTILE,),
        soak=tuple(SoakInterval(100.0, 110.0 + 10 * index, state) for index, state in enumerate(states)),
    ).to_json(samples=True)  # fmt: skip
    (run / SHIPPED.with_suffix(".flips.csv").name).write_text(FLIPS)
    parity = {**schema.header("parity", 1), "subject": {"sha256": "a" * 64}, "least_agreement": 0.9912}
    records = {"int8": quantized(layers=[LAYER]), "bench": bench, "parity": parity, "unknown": {"kind": "x"}}
    for name, record in records.items():
        (run / f"{name}.json").write_text(json.dumps(record))
    (run / SHIPPED.name).write_bytes(SHIPPED.read_bytes())
    return run


def _tables(blocks):
    for block in blocks:
        if isinstance(block, DataTable):
            yield block
        elif isinstance(block, Choice):
            yield from _tables(block.parts)
        elif isinstance(block, (Columns, Details)):
            yield from _tables(block.blocks)


@pytest.fixture
def cells():
    """Return the rows of a report's only table whose caption starts with ``caption``, as text by column header."""

    def read(data, caption):
        tables = [table for _, section in build_report(data).sections for table in _tables(section.blocks)]
        (table,) = [table for table in tables if table.caption.startswith(caption)]
        return [
            {header: cell.text if isinstance(cell, Cell) else cell for header, cell in zip(table.headers, row)}
            for row in table.rows
        ]

    return read
