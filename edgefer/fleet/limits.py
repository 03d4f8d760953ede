"""Check the outcomes of a benchmark against the limits of each device.

    failure = check_limits(outcomes, devices, strict=True)
"""

from __future__ import annotations

from collections.abc import Sequence

from edgefer.errors import EdgeferError, ThresholdNotMet
from edgefer.fleet.registry import Device, Limits
from edgefer.fleet.remote_benchmark import Outcome
from edgefer.results.benchmark import BenchmarkResult

__all__ = ["check_limits"]


def check_limits(outcomes: Sequence[Outcome], devices: Sequence[Device], *, strict: bool) -> EdgeferError | None:
    """Return the error that the command ends with, or None.

    The first device that failed comes first, then the first exceeded limit, then the first invalid measurement.

    Args:
        outcomes: one per device.
        devices: the devices with their limits.
        strict: also return an error for invalid measurements.
    """
    for outcome in outcomes:
        if outcome.error is not None:
            return outcome.error
    limits = {device.name: device.limits for device in devices}
    for outcome in outcomes:
        exceeded = _exceeded(outcome.result, limits.get(outcome.device, Limits())) if outcome.result else []
        if exceeded:
            hint = "raise the limit in devices.toml, or choose a smaller model"
            return ThresholdNotMet(f"{outcome.device} exceeds its limits", why="; ".join(exceeded), hint=hint)
    refusals = [outcome.result.refusal() for outcome in outcomes if strict and outcome.result]
    return next((refusal for refusal in refusals if refusal is not None), None)


def _exceeded(result: BenchmarkResult, limits: Limits) -> list[str]:
    exceeded = []
    for measurement in result.measurements:
        name = f"{measurement.subject.get('file')}, {measurement.threads} threads"
        if limits.p90_us is not None and measurement.p90_us > limits.p90_us:
            exceeded.append(f"p90 of {name}: {measurement.p90_us:.0f} us, limit {limits.p90_us:g} us")
        rss_mib = (measurement.peak_rss_bytes or 0) / 2**20
        if limits.rss_mib is not None and rss_mib > limits.rss_mib:
            exceeded.append(f"memory of {name}: {rss_mib:.0f} MiB, limit {limits.rss_mib:g} MiB")
        temperatures = [state.temperature_c for state in measurement.conditions if state.temperature_c is not None]
        if limits.temperature_c is not None and temperatures and max(temperatures) > limits.temperature_c:
            exceeded.append(f"temperature: {max(temperatures):.0f} C, limit {limits.temperature_c:g} C")
    return list(dict.fromkeys(exceeded))
