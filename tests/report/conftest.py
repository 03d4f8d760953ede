import numpy as np
import pytest

from edgefer.results import schema
from edgefer.results.evaluation import evaluate
from edgefer.results.measurement import Latency, Measurement, Samples
from edgefer.results.paired_comparison import compare

DEVICE = {"board": None, "machine": "aarch64", "cpu": "Cortex-A76", "cores": 4, "governor": "performance"}


@pytest.fixture
def evaluated():
    """An Evaluation of 20 images in two classes, of which ``right`` were right."""

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
    """A Measurement of 2,000 runs, p90 = 1.1 p50, in which nothing is in doubt."""

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
    """A record of kind "quantization" of 20 images in two classes, as edgefer quantize writes it."""

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
