"""Anonymous copy of a benchmark result, for the collection of boards in benchmarks/boards.

    check_contribution(result)                      # refuses a measurement that is not from a board, or is invalid
    anonymous = anonymize(result, names={sha256: "nano-int8.tflite"})
    contribution_name(anonymous)                    # "raspberry-pi-5-model-b-rev-1.0-3f2a91c04d7e.bench.json"

The copy is a benchmark result of the same schema, so ``edgefer report`` reads it. It has only the fields that are named
here: whatever a later version adds to a result stays out until it is named, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from edgefer.errors import MeasurementInvalid, UsageError
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.measurement import Measurement

__all__ = ["anonymize", "check_board", "check_contribution", "contribution_name"]

SUBJECT = ("file_bytes", "sha256", "size_bytes")
DEVICE = (
    "board", "machine", "bits", "cpu", "cores", "dot_product", "ram_bytes", "governor", "os", "kernel", "python",
    "affinity", "cpu_quota", "cpuset", "clusters", "ran_on",
)  # fmt: skip
CLUSTER = ("cpu", "cores", "max_mhz", "governor")
# A contract may have any text as its scheme.
SCHEME = re.compile(r"[a-z0-9_]{1,16}")
# The start of an ISO 8601 time: the day.
DAY = 10
# A release such as "6.6.51+rpt-rpi-v8"; what follows the version in a kernel of one's own may be any name.
RELEASE = re.compile(r"\w+ \d+(\.\d+)*")
EMULATED = "qemu"
DIGEST = 12


def check_board(board: str | None, device: str) -> None:
    """Check that a device is a board.

    Args:
        board: name in the device tree, or None.
        device: name of the device, for the error.

    Raises:
        UsageError: it is another machine, or an emulated board.
    """
    if board and EMULATED not in board.lower():
        return
    why = f"{board} is emulated" if board else "its device tree names no board, as on a PC or in a container"
    raise UsageError(f"--contribute for {device}", why=why, hint="edgefer bench --device BOARD --contribute")


def check_contribution(result: BenchmarkResult) -> None:
    """Check that a result was measured on a board that was neither throttled nor loaded.

    Raises:
        UsageError: the device is not a board, or an emulated one.
        MeasurementInvalid: the benchmark is incomplete, or the device was throttled or loaded.
    """
    check_board(_board(result), result.device)
    if result.failure:
        why = f"the benchmark is incomplete: {result.failure}"
        raise MeasurementInvalid(f"--contribute for {result.device}", why=why, hint="run the same command again")
    reasons = result.invalid()
    if reasons:
        hint = "add a fan or a stronger power supply, end other programs, and use --cooldown"
        raise MeasurementInvalid(f"--contribute for {result.device}", why="; ".join(reasons), hint=hint)


def anonymize(result: BenchmarkResult, *, names: Mapping[str, str]) -> BenchmarkResult:
    """Return a result without host, user, path and time of day.

    Args:
        result: the result of a benchmark on a board.
        names: public file names of models by the SHA-256 of their flatbuffers; another model is named after its scheme
            and its digest.

    Returns:
        The latencies, the comparisons, the soak test and the device states, with the board as ``device``. Evaluations
        and causes are left out, because they describe the data and the model.
    """
    return BenchmarkResult(
        device=str(_board(result)),
        measurements=tuple(_anonymize(measurement, names) for measurement in result.measurements),
        comparisons=result.comparisons,
        soak=result.soak,
    )


def contribution_name(anonymous: BenchmarkResult) -> str:
    """Return a file name of the board and a digest of the result, so that two contributions never share one."""
    board = re.sub(r"[^a-z0-9.]+", "-", anonymous.device.lower()).strip("-.")
    content = json.dumps(anonymous.to_json(), sort_keys=True).encode()
    return f"{board}-{hashlib.sha256(content).hexdigest()[:DIGEST]}.bench.json"


def _board(result: BenchmarkResult) -> str | None:
    board = result.measurements[0].device.get("board")
    return board if isinstance(board, str) and board else None


def _anonymize(measurement: Measurement, names: Mapping[str, str]) -> Measurement:
    subject, device = _keep(measurement.subject, SUBJECT), _keep(measurement.device, DEVICE)
    sha256, scheme = str(subject.get("sha256")), str(measurement.subject.get("scheme"))
    scheme = scheme if SCHEME.fullmatch(scheme) else "unknown"
    release = RELEASE.match(str(device.get("kernel")))
    device["kernel"] = release[0] if release else None
    device["clusters"] = [_keep(cluster, CLUSTER) for cluster in device.get("clusters") or ()]
    device["ran_on"] = _keep(device.get("ran_on") or {}, CLUSTER) or None
    # Every field is named, so that a new one stays out.
    return Measurement(
        subject={"file": names.get(sha256, f"{scheme}-{sha256[:DIGEST]}.tflite"), "scheme": scheme, **subject},
        device=device, runtime=measurement.runtime, runtime_version=measurement.runtime_version,
        threads=measurement.threads, kernels=measurement.kernels, started_at=measurement.started_at[:DAY],
        harness_version=measurement.harness_version, init_ns=measurement.init_ns, first_ns=measurement.first_ns,
        warmup=measurement.warmup, invoke=measurement.invoke, set_to_get=measurement.set_to_get, cpu=measurement.cpu,
        peak_rss_bytes=measurement.peak_rss_bytes, load_before=measurement.load_before,
        load_after=measurement.load_after, set=measurement.set, get=measurement.get, preprocess=measurement.preprocess,
        rounds_p50_ns=measurement.rounds_p50_ns, conditions=measurement.conditions,
    )  # fmt: skip


def _keep(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}
