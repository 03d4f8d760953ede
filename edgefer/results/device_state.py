"""What a device is like while it is measured: heat, clock, what holds it back.

    before = Conditions(elapsed_s=0.0, temperature_c=48.0, clock_mhz=1800.0, governor="ondemand")
    doubts([before, between, after], busy=4)        # why what was measured in that time must not be quoted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["DeviceState", "warnings_for"]

# A clock that a governor lowers when the device idles is no sign of trouble; one that "performance" does not keep is.
LEAST_CLOCK = 0.95
# What the services of an idle device amount to.
LOAD_SLACK = 0.5


@dataclass(frozen=True)
class DeviceState:
    """A device at one moment; what it does not say is None.

    Attributes:
        elapsed_s: seconds since the bench began.
        temperature_c: of the processor, degrees Celsius.
        clock_mhz: of the first core.
        governor: what sets it, such as "ondemand".
        throttled: what holds the device back now, such as "under-voltage".
        throttled_since_boot: what has, since it was started.
        load_average: processes that wanted to run, averaged over the last minute.
        power_w: drawn, in watts, where a sensor says.
        running: whether a model ran meanwhile; else the device idled between two rounds.
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
        """A dict of plain values; from_json() is its inverse."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DeviceState:
        """The inverse of to_json()."""
        known: dict[str, Any] = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        lists: dict[str, Any] = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return cls(**(known | lists))


def warnings_for(samples: Sequence[DeviceState], *, busy: int | None = None) -> tuple[str, ...]:
    """Why a bench during which ``samples`` were taken, in order, must not be quoted; plain sentences.

    ``busy`` is how many processes may want to run without one waiting for another: the cores, or the bench's own
    threads where there are more; None where that is not known.
    """
    if not samples:
        return ()
    found = []
    now = list(dict.fromkeys(reason for sample in samples for reason in sample.throttled))
    if now:
        found.append(f"the device was held back during the run: {', '.join(now)}")
    before = set(samples[0].throttled_since_boot)
    since = [reason for reason in samples[-1].throttled_since_boot if reason not in before and reason not in now]
    if since:
        found.append(f"the device was held back between two looks at it: {', '.join(since)}")
    clocks = [sample.clock_mhz for sample in samples if sample.clock_mhz is not None]
    if samples[0].governor == "performance" and clocks and min(clocks) < LEAST_CLOCK * max(clocks):
        found.append(f"the clock fell from {max(clocks):.0f} to {min(clocks):.0f} MHz")
    load = max((sample.load_average for sample in samples if sample.load_average is not None), default=0.0)
    if busy is not None and load > busy + LOAD_SLACK:
        found.append(f"the device was loaded: up to {load:.1f} processes wanted to run, where {busy} can")
    return tuple(found)
