"""Check the outcomes of a benchmark against the limits of each device.

    failure = check_limits(outcomes, devices, strict=True)
"""

from __future__ import annotations

from collections.abc import Sequence

from edgefer.data.naming import counted
from edgefer.errors import EdgeferError, Interrupted, ThresholdNotMet
from edgefer.fleet.registry import Device, Limits
from edgefer.fleet.remote_benchmark import Outcome
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.device_state import merge_states

__all__ = ["check_limits"]


def check_limits(outcomes: Sequence[Outcome], devices: Sequence[Device], *, strict: bool) -> EdgeferError | None:
    """Return the error that the command ends with, or None.

    An interruption comes first, then the first device that failed, then the first limit that is exceeded or cannot be
    checked, then the first invalid measurement.

    Args:
        outcomes: one per device.
        devices: the devices with their limits.
        strict: also return an error for invalid measurements.
    """
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors:
        return next((error for error in errors if isinstance(error, Interrupted)), errors[0])
    limits_of = {device.name: device.limits for device in devices}
    for outcome in outcomes:
        limits = limits_of.get(outcome.device, Limits())
        exceeded, unchecked = _check(outcome.result, limits) if outcome.result else ([], [])
        if exceeded:
            hint = "raise the limit in devices.toml, or choose a smaller model"
            why = "; ".join([*exceeded, *unchecked])
            return ThresholdNotMet(f"{outcome.device} exceeds its limits", why=why, hint=hint)
        if unchecked:
            hint = f"remove the limit from [{outcome.device}.limits] in devices.toml"
            what = f"{outcome.device} has limits that cannot be checked"
            return ThresholdNotMet(what, why="; ".join(unchecked), hint=hint)
    refusals = [outcome.result.refusal() for outcome in outcomes if strict and outcome.result]
    return next((refusal for refusal in refusals if refusal is not None), None)


def _check(result: BenchmarkResult, limits: Limits) -> tuple[list[str], list[str]]:
    """Return the limits that are exceeded, and those that cannot be checked because the device reports no value."""
    exceeded, unchecked = [], []
    for measurement in result.measurements:
        name = f"{measurement.subject.get('file')}, {counted(measurement.threads, 'thread')}"
        if limits.p90_us is not None and measurement.p90_us > limits.p90_us:
            exceeded.append(f"p90 of {name}: {_precise(measurement.p90_us)} us, limit {limits.p90_us:g} us")
        if limits.rss_mib is not None:
            if measurement.peak_rss_bytes is None:
                unchecked.append(f"memory of {name}: not reported, limit {limits.rss_mib:g} MiB")
            elif measurement.peak_rss_bytes > limits.rss_mib * 2**20:
                rss_mib = measurement.peak_rss_bytes / 2**20
                exceeded.append(f"memory of {name}: {_precise(rss_mib)} MiB, limit {limits.rss_mib:g} MiB")
    if limits.temperature_c is not None:
        states = [state for measurement in result.measurements for state in measurement.conditions]
        states += [interval.conditions for interval in result.soak]
        temperature_c = merge_states(states).temperature_c if states else None
        if temperature_c is None:
            unchecked.append(f"temperature: no sensor, limit {limits.temperature_c:g} C")
        elif temperature_c > limits.temperature_c:
            exceeded.append(f"temperature: {_precise(temperature_c)} C, limit {limits.temperature_c:g} C")
    return exceeded, unchecked


def _precise(value: float) -> str:
    """Format a value that is above its limit, so that both never look equal."""
    return f"{round(value, 3):.10g}"
