"""Measure the latency of a model in this process: loading, first run, warm-up and timed runs.

    measurement = measure(Path("small-int8.tflite"), faces)
    python -m edgefer.benchmark.runner REQUEST.json REPLY.json  # a BenchRequest and its Measurement

Load time, first run and peak memory are valid only in a fresh process, so edgefer.benchmark.isolation starts one for
every request. The timed runs use batch size 1 and cycle through real inputs, without garbage collection; inference is
timed apart from the copies around it. The golden vectors are replayed first, so a wrong model is never measured.
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
from edgefer.device.description import CoreUsage, describe
from edgefer.errors import DataError
from edgefer.inference.classifier import Classifier
from edgefer.inference.first_load import check_first_load
from edgefer.inference.runtime import Runtime, select_runtime
from edgefer.processes import serve_request
from edgefer.progress import Progress, silent
from edgefer.results.latency import NO_TIMES, Latency, Samples
from edgefer.results.measurement import PREPROCESSED_SIDE, BenchRequest, Measurement

__all__ = ["measure", "read_faces"]

# Faces are encoded before the timed runs. More of them would only add to the reported memory.
MAX_FACES = 256
RUNS_PER_REPORT = 256
PREPROCESS_RUNS = 200


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
        faces: prepared faces, uint8 (n, height, width), n >= 1; the runs cycle through the first 256. None uses the
            golden inputs.
        runtime: an entry of ``inference/runtimes``; None selects the best installed.
        threads: number of threads of the kernels.
        kernels: "default", "builtin" or "reference".
        minimum_runs, minimum_seconds: the timed runs continue until both are reached.
        warmup_runs, warmup_seconds: the same for the warm-up.
        progress: called between runs, outside the timed spans.

    Raises:
        DataError: the model file is invalid, or the faces have another shape or dtype than the model's input.
        IncompatibleError: the runtime is missing, cannot load the model, or does not reproduce the golden vectors.
        UsageError: unknown runtime or kernels, or fewer than one thread.
    """
    artifact = Artifact.load(artifact_path)
    faces = artifact.golden.inputs if faces is None else faces
    _check_faces(faces, artifact)
    module = select_runtime(runtime)
    golden = artifact.golden.inputs
    check_first_load(
        artifact.model,
        module,
        kernels=kernels,
        inputs=golden,
        spec=artifact.input_spec,
        sha256=artifact.sha256,
        name=str(artifact_path),
    )
    module.load()
    load_before = sysfs.load_average()
    started_at = datetime.now(timezone.utc).isoformat(timespec="seconds")

    before_ns = time.perf_counter_ns()
    opened = module.open_model(artifact.model, threads=threads, kernels=kernels)
    init_ns = time.perf_counter_ns() - before_ns

    classifier = Classifier(artifact, opened)
    inputs = cycle([classifier.encode(face) for face in faces[:MAX_FACES]])
    first = _run(opened, inputs, runs=1, seconds=0.0)
    classifier.replay()
    warmup = _run(opened, inputs, runs=warmup_runs, seconds=warmup_seconds)
    peak_rss_bytes = sysfs.peak_rss_bytes()
    usage = CoreUsage()
    steady = _run(opened, inputs, runs=minimum_runs, seconds=minimum_seconds, progress=progress, usage=usage)
    samples = replace(steady, warmup_ns=warmup.set_to_get_ns, preprocess_ns=_time_preprocessing(classifier, faces[0]))
    return Measurement(
        subject={"file": artifact_path.name, "file_bytes": artifact_path.stat().st_size, **classifier.subject},
        device=describe(ran_on=usage.cores),
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
    usage: CoreUsage | None = None,
) -> Samples:
    """Run until both ``runs`` (at least one) and ``seconds`` are reached; return samples without a warm-up."""
    # Machine integers, because half a million tuples would take more memory than the model.
    invoke_ns, set_to_get_ns, cpu_ns, set_ns, get_ns = (array("q") for _ in range(5))
    clock, cpu_clock = time.perf_counter_ns, time.thread_time_ns
    done, elapsed_ns = 0, 0
    with _no_garbage_collection():
        begin_ns = clock()
        while done < max(1, runs) or elapsed_ns < seconds * 1e9:
            face = next(inputs)
            # Reading the CPU clock is a system call on some kernels, so it stays outside the timed span.
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
                if usage is not None:
                    usage.sample()
    if usage is not None:
        usage.sample()
    columns = (invoke_ns, set_to_get_ns, cpu_ns, set_ns, get_ns)
    return Samples(NO_TIMES, *(np.array(column, np.int64) for column in columns))


def _time_preprocessing(classifier: Classifier, face: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Time the steps from a color crop of 128 x 128 to the encoded input, int64 (PREPROCESS_RUNS,) nanoseconds."""
    side = PREPROCESSED_SIDE
    resized = cv2.resize(face, (side, side))
    crop = resized if resized.ndim == 3 else np.repeat(resized[:, :, None], 3, axis=2)
    times = np.empty(PREPROCESS_RUNS, np.int64)
    for index in range(PREPROCESS_RUNS):
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
    if faces.dtype != np.uint8 or faces.shape[1:] != spec.shape or len(faces) == 0:
        raise DataError(
            f"faces of shape {faces.shape} and dtype {faces.dtype}",
            why=f"expected uint8 (n, {', '.join(map(str, spec.shape))}) with n >= 1",
        )


def read_faces(path: str) -> npt.NDArray[Any]:
    """Read the array ``faces`` of an .npz file.

    Raises:
        DataError: the file is not an .npz, or has no such array.
    """
    try:
        with Path(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("it is an .npy file, as written by np.save; expected an .npz")
            return np.asarray(loaded["faces"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        detail = error.strerror if isinstance(error, OSError) else str(error).strip("'\"")
        why, hint = detail or str(error), "np.savez(path, faces=...), or omit --faces"
        raise DataError(f"cannot read faces from {path}", why=why, hint=hint) from error


def _serve(fields: dict[str, Any]) -> dict[str, Any]:
    request = BenchRequest.from_json(fields)
    measurement = measure(
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
    return measurement.to_json(samples=request.samples)


def main(request_path: str, reply_path: str) -> int:
    """Serve one BenchRequest from ``request_path``, write the measurement to ``reply_path``, return the exit code."""
    return serve_request(request_path, reply_path, _serve)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
