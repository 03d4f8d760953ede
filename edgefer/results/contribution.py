"""Anonymous copy of a benchmark result, for the collection of boards in benchmarks/boards.

    check_contribution(result)                      # refuses a measurement that is not from a board, or is invalid
    anonymous = anonymize(result, names={sha256: "nano-int8.tflite"})
    contribution_name(anonymous)                    # "raspberry-pi-5-model-b-rev-1.0-3f2a91c04d7e.bench.json"

The copy is a benchmark result of the same schema, so ``edgefer report`` reads it. It has only the fields that are named
here; whatever a later version adds to a result stays out until it is named, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgefer.errors import MeasurementInvalid, UsageError
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.measurement import Measurement

__all__ = ["anonymize", "check_board", "check_contribution", "contribution_name"]

SUBJECT = ("file_bytes", "sha256", "size_bytes", "scheme")
DEVICE = (
    "board", "machine", "bits", "cpu", "cores", "dot_product", "ram_bytes", "governor", "os", "kernel", "python",
    "affinity", "cpu_quota", "cpuset", "clusters", "ran_on",
)  # fmt: skip
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
        MeasurementInvalid: the device was throttled or loaded.
    """
    check_board(_board(result), result.device)
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
        are left out, because they name the data.
    """
    measurements = tuple(_anonymize(measurement, names) for measurement in result.measurements)
    return replace(result, device=str(_board(result)), measurements=measurements, evaluations=())


def contribution_name(anonymous: BenchmarkResult) -> str:
    """Return a file name of the board and a digest of the result, so that two contributions never share one."""
    board = re.sub(r"[^a-z0-9.]+", "-", anonymous.device.lower()).strip("-.")
    content = json.dumps(anonymous.to_json(), sort_keys=True).encode()
    return f"{board}-{hashlib.sha256(content).hexdigest()[:DIGEST]}.bench.json"


def _board(result: BenchmarkResult) -> str | None:
    board = result.measurements[0].device.get("board")
    return board if isinstance(board, str) and board else None


def _anonymize(measurement: Measurement, names: Mapping[str, str]) -> Measurement:
    subject = _keep(measurement.subject, SUBJECT)
    sha256, scheme = str(subject.get("sha256")), subject.get("scheme") or "unknown"
    device = _keep(measurement.device, DEVICE)
    release = RELEASE.match(str(device.get("kernel")))
    return replace(
        measurement,
        subject={"file": names.get(sha256, f"{scheme}-{sha256[:DIGEST]}.tflite"), **subject},
        device={**device, "kernel": release[0] if release else None},
        started_at=measurement.started_at[:DAY],
        samples=None,
    )


def _keep(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}
