"""What came of a bench on several devices, against the limits that their user set.

    failure = judged(outcomes, devices, strict=True)
"""

from __future__ import annotations

from collections.abc import Sequence

from edgefer.errors import EdgeferError, ThresholdNotMet
from edgefer.fleet.registry import Device, Limits
from edgefer.fleet.remote_benchmark import Outcome
from edgefer.results.benchmark import BenchmarkResult

__all__ = ["check_limits"]


def check_limits(outcomes: Sequence[Outcome], devices: Sequence[Device], *, strict: bool) -> EdgeferError | None:
    """What the command must end with: the first device's problem, else a limit that is not kept, else doubts."""
    for outcome in outcomes:
        if outcome.problem is not None:
            return outcome.problem
    limits = {device.name: device.limits for device in devices}
    for outcome in outcomes:
        broken = _broken(outcome.benched, limits.get(outcome.device, Limits())) if outcome.benched else []
        if broken:
            return ThresholdNotMet(f"{outcome.device} does not keep its limits", why="; ".join(broken), hint="devices.toml")
    refusals = [outcome.benched.refusal() for outcome in outcomes if strict and outcome.benched]
    return next((refusal for refusal in refusals if refusal is not None), None)


def _broken(benched: BenchmarkResult, limits: Limits) -> list[str]:
    found = []
    for each in benched.measurements:
        name = f"{each.subject.get('file')}, {each.threads} threads"
        if limits.p90_us is not None and each.p90_us > limits.p90_us:
            found.append(f"p90 of {name}: {each.p90_us:.0f} us, {limits.p90_us:g} are allowed")
        rss_mib = (each.peak_rss_bytes or 0) / 2**20
        if limits.rss_mib is not None and rss_mib > limits.rss_mib:
            found.append(f"memory of {name}: {rss_mib:.0f} MiB, {limits.rss_mib:g} are allowed")
        heat = [sample.temperature_c for sample in each.conditions if sample.temperature_c is not None]
        if limits.temperature_c is not None and heat and max(heat) > limits.temperature_c:
            found.append(f"temperature: {max(heat):.0f} C, {limits.temperature_c:g} are allowed")
    return list(dict.fromkeys(found))
