"""Device state during a benchmark: temperature, clock, throttling, load and power.

    state = DeviceState(elapsed_s=0.0, temperature_c=48.0, clock_mhz=1800.0, governor="ondemand")
    warnings_for([before, during, after], capacity=4)   # reasons against quoting what was measured meanwhile
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgefer.results import schema

__all__ = ["DeviceState", "exceeds_capacity", "merge_states", "warnings_for"]

# A governor such as "ondemand" lowers the clock of an idle device. Under "performance" a lower clock is a fault.
MIN_CLOCK_RATIO = 0.95
# Load average that the services of an idle device cause.
IDLE_LOAD = 0.5


@dataclass(frozen=True)
class DeviceState:
    """State of a device at one moment; None where the device does not report a value.

    Attributes:
        elapsed_s: seconds since the start of the benchmark.
        temperature_c: processor temperature, degrees Celsius.
        clock_mhz: highest clock of the usable cores.
        governor: frequency governor, such as "ondemand".
        throttled: active reasons for throttling, such as "under-voltage".
        throttled_since_boot: reasons for throttling since the device booted.
        load_average: runnable processes, averaged over the last minute.
        power_w: power draw in watts.
        running: True if a model was running, False between two rounds.
    """

    elapsed_s: float
    temperature_c: float | None = None
    clock_mhz: float | None = None
    governor: str | None = None
    throttled: tuple[str, ...] = ()
    throttled_since_boot: tuple[str, ...] = ()
    load_average: float | None = None
    power_w: float | None = None
    running: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values; from_json() is the inverse."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DeviceState:
        """Create a state from the output of to_json(); unknown keys are ignored.

        Raises:
            DataError: a value has the wrong type, or ``elapsed_s`` is missing.
        """
        record = schema.Fields(values)
        return cls(
            elapsed_s=record.amount("elapsed_s"),
            temperature_c=record.optional(record.number, "temperature_c"),
            clock_mhz=record.optional(record.amount, "clock_mhz"),
            governor=record.optional(record.text, "governor"),
            throttled=record.optional(record.texts, "throttled") or (),
            throttled_since_boot=record.optional(record.texts, "throttled_since_boot") or (),
            load_average=record.optional(record.amount, "load_average"),
            power_w=record.optional(record.number, "power_w"),
            running=record.optional(record.flag, "running") or False,
        )


def merge_states(states: Sequence[DeviceState]) -> DeviceState:
    """Return the last state with the highest temperature, the lowest clock and all reasons for throttling of them all.

    Args:
        states: one or more, in order of time.
    """
    temperatures = [state.temperature_c for state in states if state.temperature_c is not None]
    clocks = [state.clock_mhz for state in states if state.clock_mhz is not None]
    return replace(
        states[-1],
        temperature_c=max(temperatures, default=None),
        clock_mhz=min(clocks, default=None),
        throttled=tuple(dict.fromkeys(reason for state in states for reason in state.throttled)),
    )


def exceeds_capacity(load_average: float | None, capacity: int) -> bool:
    """Return True if more processes were runnable than ``capacity`` plus the services of an idle device."""
    return load_average is not None and load_average > capacity + IDLE_LOAD


def warnings_for(states: Sequence[DeviceState], *, capacity: int | None = None) -> tuple[str, ...]:
    """Return the reasons against quoting a measurement during which the device had these states.

    Args:
        states: in order of time, the first sampled before the measurement.
        capacity: number of processes that can run without waiting: the cores, or the measurement's own threads if
            there are more. None skips the check of the load.
    """
    if not states:
        return ()
    warnings = []
    active = list(dict.fromkeys(reason for state in states for reason in state.throttled))
    if active:
        warnings.append(f"the device was throttled during the run: {', '.join(active)}")
    before = set(states[0].throttled_since_boot)
    missed = [reason for reason in states[-1].throttled_since_boot if reason not in before and reason not in active]
    if missed:
        warnings.append(f"the device was throttled between two samples of its state: {', '.join(missed)}")
    clocks = [state.clock_mhz for state in states if state.clock_mhz is not None]
    if states[0].governor == "performance" and clocks and min(clocks) < MIN_CLOCK_RATIO * max(clocks):
        warnings.append(f"the clock fell from {max(clocks):.0f} to {min(clocks):.0f} MHz")
    load = max((state.load_average for state in states if state.load_average is not None), default=None)
    if capacity is not None and exceeds_capacity(load, capacity):
        warnings.append(f"the device was loaded: up to {load:.1f} runnable processes for {capacity} cores")
    return tuple(warnings)
