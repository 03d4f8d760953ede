"""How long a model takes on this device: loading, first run, warm-ups and steady runs apart.

    measurement = measure(Path("small-int8.tflite"), faces)     # in this process
    python -m edgefer.benchmark.runner REQUEST.json REPLY.json       # in a fresh one: a BenchRequest and its Measurement

Loading, first run and memory are honest only in a fresh process, so board/apart.py starts one for every request.
Steady runs are what counts: batch 1, real inputs in turn, garbage collection off, the model timed apart from the copies
around it. The golden vectors are replayed first, so that no wrong model is measured.
"""

from __future__ import annotations

import gc
import sys
import time
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import edgefer
from edgefer.contract.artifact import Artifact
from edgefer.contract.preprocessing import prepare
from edgefer.device import sysfs
from edgefer.errors import DataError
from edgefer.inference.classifier import Classifier
from edgefer.inference.runtime import Runtime, choose
from edgefer.processes import serve_request
from edgefer.progress import Progress, silent
from edgefer.results.measurement import NO_TIMES, PREPROCESSED_SIDE, BenchRequest, Latency, Measurement, Samples

__all__ = ["measure", "read_faces"]

# Encoded ahead and kept, so that the steady runs time no encoding; more would only grow the memory that is reported.
MOST_FACES = 256
RUNS_PER_REPORT = 256
PREPROCESSED = 200


def measure(
    artifact_path: Path,
    faces: npt.NDArray[np.uint8] | None = None,
    *,
    runtime: str | None = None,
    threads: int = 1,
    kernels: str = "default",
    minimum_runs: int = 1024,
    minimum_seconds: float = 3.0,
    warmup_runs: int = 50,
    warmup_seconds: float = 0.25,
    progress: Progress = silent,
) -> Measurement:
    """Measure a model in this process.

    Args:
        artifact_path: the model file.
        faces: uint8 (n, height, width), n >= 1, prepared, of which the first 256 are run in turn; None takes the golden
            inputs.
        runtime, threads, kernels: as Classifier.open().
        minimum_runs, minimum_seconds: the steady runs go on until both are reached.
        warmup_runs, warmup_seconds: the same for the warm-ups.
        progress: told between runs, outside of the timed spans.

    Raises:
        DataError: the model or the faces cannot be used.
        IncompatibleError: the runtime is missing, cannot load the model, or computes something else.
        UsageError: no such runtime or kernels, or no thread.
    """
    artifact = Artifact.load(artifact_path)
    faces = artifact.golden.inputs if faces is None else faces
    _check_faces(faces, artifact)
    module = choose(runtime)
    module.load()
    load_before = sysfs.load_average()
    started_at = datetime.now(timezone.utc).isoformat(timespec="seconds")

    before_ns = time.perf_counter_ns()
    opened = module.open_model(artifact.model, threads=threads, kernels=kernels)
    init_ns = time.perf_counter_ns() - before_ns

    classifier = Classifier(artifact, opened)
    inputs = cycle([classifier.encode(face) for face in faces[:MOST_FACES]])
    first = _run(opened, inputs, runs=1, seconds=0.0)
    classifier.replay()
    warmup = _run(opened, inputs, runs=warmup_runs, seconds=warmup_seconds)
    peak_rss_bytes = sysfs.peak_rss_bytes()
    steady = _run(opened, inputs, runs=minimum_runs, seconds=minimum_seconds, progress=progress)
    samples = replace(steady, warmup_ns=warmup.set_to_get_ns, preprocess_ns=_preprocess(classifier, faces[0]))
    return Measurement(
        subject={"file": artifact_path.name, "file_bytes": artifact_path.stat().st_size, **classifier.subject},
        device=sysfs.describe(),
        runtime=opened.name,
        runtime_version=opened.version,
        threads=threads,
        kernels=kernels,
        started_at=started_at,
        harness_version=edgefer.__version__,
        init_ns=init_ns,
        first_ns=int(first.set_to_get_ns[0]),
        warmup=Latency.from_samples(warmup.set_to_get_ns),
        invoke=Latency.from_samples(steady.invoke_ns),
        set_to_get=Latency.from_samples(steady.set_to_get_ns),
        cpu=Latency.from_samples(steady.cpu_ns),
        peak_rss_bytes=peak_rss_bytes,
        load_before=load_before,
        load_after=sysfs.load_average(),
        samples=samples,
        set=Latency.from_samples(samples.set_ns),
        get=Latency.from_samples(samples.get_ns),
        preprocess=Latency.from_samples(samples.preprocess_ns),
    )


def _run(
    runtime: Runtime,
    inputs: Iterator[npt.NDArray[Any]],
    *,
    runs: int,
    seconds: float,
    progress: Progress = silent,
) -> Samples:
    """Run until both ``runs`` (one at least) and ``seconds`` are reached; Samples without warm-ups."""
    # Arrays of machine integers: half a million tuples would be more memory than the model.
    invoke_ns, set_to_get_ns, cpu_ns, set_ns, get_ns = (array("q") for _ in range(5))
    clock, cpu_clock = time.perf_counter_ns, time.thread_time_ns
    done, elapsed_ns = 0, 0
    with _no_garbage_collection():
        begin_ns = clock()
        while done < max(1, runs) or elapsed_ns < seconds * 1e9:
            face = next(inputs)
            # The processor clock is a system call on some kernels, so it stays outside of the span that is timed.
            cpu_begin = cpu_clock()
            set_begin = clock()
            runtime.set_input(face)
            invoke_begin = clock()
            runtime.invoke()
            invoke_end = clock()
            runtime.get_output()
            get_end = clock()
            cpu_ns.append(cpu_clock() - cpu_begin)
            invoke_ns.append(invoke_end - invoke_begin)
            set_to_get_ns.append(get_end - set_begin)
            set_ns.append(invoke_begin - set_begin)
            get_ns.append(get_end - invoke_end)
            done, elapsed_ns = done + 1, get_end - begin_ns
            if done % RUNS_PER_REPORT == 0:
                share = min(done / max(1, runs), elapsed_ns / max(1.0, seconds * 1e9), 1.0)
                progress(int(100 * share), 100, f"{done:,} runs")
    times = (invoke_ns, set_to_get_ns, cpu_ns, set_ns, get_ns)
    return Samples(NO_TIMES, *(np.array(each, np.int64) for each in times))


def _preprocess(classifier: Classifier, face: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """What a colour crop of 128 x 128 takes until the model can have it, int64 (PREPROCESSED,) nanoseconds."""
    side = PREPROCESSED_SIDE
    crop = np.repeat(cv2.resize(face, (side, side))[:, :, None], 3, axis=2)
    times = np.empty(PREPROCESSED, np.int64)
    for index in range(len(times)):
        begin = time.perf_counter_ns()
        classifier.encode(prepare(crop, classifier.artifact.input_spec))
        times[index] = time.perf_counter_ns() - begin
    return times


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_faces(faces: npt.NDArray[Any], artifact: Artifact) -> None:
    spec = artifact.input_spec
    if faces.dtype != np.uint8 or faces.ndim != 3 or len(faces) == 0 or faces.shape[1:] != (spec.height, spec.width):
        raise DataError(
            f"faces of shape {faces.shape} and dtype {faces.dtype}",
            why=f"uint8 (n, {spec.height}, {spec.width}) with n >= 1 was expected",
        )


def read_faces(path: str) -> npt.NDArray[Any]:
    """The ``faces`` of an .npz.

    Raises:
        DataError: there are none in it.
    """
    try:
        with Path(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("it holds one array and no names, as np.save writes it; np.savez was expected")
            return np.asarray(loaded["faces"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        why, hint = str(error).strip("'\""), "np.savez(path, faces=...), or leave --faces out"
        raise DataError(f"cannot read faces from {path}", why=why, hint=hint) from error


def _answer(fields: dict[str, Any]) -> dict[str, Any]:
    request = BenchRequest.from_json(fields)
    measured = measure(
        Path(request.model),
        read_faces(request.faces) if request.faces else None,
        runtime=request.runtime,
        threads=request.threads,
        kernels=request.kernels,
        minimum_runs=request.minimum_runs,
        minimum_seconds=request.minimum_seconds,
        warmup_runs=request.warmup_runs,
        warmup_seconds=request.warmup_seconds,
    )
    return measured.to_json(samples=request.samples)


def main(request_path: str, reply_path: str) -> int:
    """Read a BenchRequest, measure, and write the reply that edgefer.results.measurement.read_reply() reads; the exit code."""
    return serve_request(request_path, reply_path, _answer)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
