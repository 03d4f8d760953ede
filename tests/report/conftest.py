import numpy as np
import pytest

from edgefer.evaluation import evaluate
from edgefer.measurement import Latency, Measurement

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
        sha256="a" * 64, *, p50_us=100, file="small-int8.tflite", device=None, threads=1, runtime="litert", runs=2000
    ):
        latency = Latency.from_samples(np.where(np.arange(runs) < 0.7 * runs, p50_us * 1000, p50_us * 1100))
        return Measurement(
            subject={"file": file, "file_bytes": 20480, "sha256": sha256, "scheme": "int8"},
            device={**DEVICE, **(device or {})}, runtime=runtime, runtime_version="2.3.0", threads=threads,
            kernels="default", started_at="2026-01-01T00:00:00+00:00", harness_version="0.1.0", init_ns=1, first_ns=1,
            warmup=latency, invoke=latency, set_to_get=latency, cpu=latency, peak_rss_bytes=None, load_before=0.0,
            load_after=0.0,
        )  # fmt: skip

    return make
