"""Registry of devices: those in devices.toml, and those named by their address.

    registry = Registry.read()
    registry.select(["pi4", "pi@192.168.1.7"], tag="lab")
    registry.with_device(Device("pi4", "pi@raspberrypi.local")).save()

The registry is ./devices.toml if it exists, otherwise edgefer/devices.toml in $XDG_CONFIG_HOME or ~/.config.
$EDGEFER_DEVICES names another file. Saving keeps comments and unknown entries.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import DataError, UsageError
from edgefer.results.schema import Fields

__all__ = ["EMULATED", "LOCAL", "Device", "Limits", "Registry"]

# Names that the command line gives to this machine and to an emulated board.
LOCAL, EMULATED = "local", "emulated"
NUMBER = re.compile(r"\d+(\.\d+)?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
MAX_SHOWN = 60


@dataclass(frozen=True)
class Limits:
    """Upper limits for a benchmark on a device; None for no limit.

    Attributes:
        p90_us: inference latency, microseconds.
        rss_mib: peak memory of the measuring process, MiB.
        temperature_c: temperature during the benchmark, degrees Celsius.
    """

    p90_us: float | None = None
    rss_mib: float | None = None
    temperature_c: float | None = None

    @classmethod
    def parse(cls, assignments: Sequence[str]) -> Limits:
        """Parse assignments such as "p90_us=2000".

        Raises:
            UsageError: unknown limit, or the value is not a finite number.
        """
        known = [limit.name for limit in fields(cls)]
        values = {}
        for assignment in assignments:
            name, _, text = assignment.partition("=")
            if name not in known or not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
                why = f"expected KEY=NUMBER with one of the keys {', '.join(known)} and a finite number"
                raise UsageError(f"--limit {_shorten(assignment, quote=str)}", why=why, hint="--limit p90_us=2000")
            values[name] = float(text)
        return cls(**values)


@dataclass(frozen=True)
class Device:
    """A device that runs benchmarks.

    Attributes:
        name: name in the registry.
        address: an address that parse_address() accepts, or a host of the SSH configuration; empty for this machine.
        kind: an entry of ``connections/``.
        python: path of its interpreter; empty for the first one with a runtime.
        runtime: an entry of ``inference/runtimes``; empty for the best installed.
        threads: default thread counts of a benchmark.
        limits: limits that a benchmark must not exceed.
        tags: groups that the device belongs to.
        facts: summary of the last probe.
    """

    name: str
    address: str = ""
    kind: str = "ssh"
    python: str = ""
    runtime: str = ""
    threads: tuple[int, ...] = ()
    limits: Limits = Limits()
    tags: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def merged(self, given: Device) -> Device:
        """Return the device with the values of ``given`` that are not empty; limits and tags are added to its own."""
        limits = {name: value for name, value in vars(given.limits).items() if value is not None}
        return replace(
            self,
            address=given.address or self.address,
            kind=given.kind,
            python=given.python or self.python,
            runtime=given.runtime or self.runtime,
            threads=given.threads or self.threads,
            limits=replace(self.limits, **limits),
            tags=tuple(dict.fromkeys((*self.tags, *given.tags))),
        )

    def to_toml(self) -> dict[str, Any]:
        """Return the device as TOML values, without empty ones; from_toml() is the inverse."""
        limits = {limit.name: getattr(self.limits, limit.name) for limit in fields(Limits)}
        values = {
            "address": self.address, "kind": "" if self.kind == "ssh" else self.kind, "python": self.python,
            "runtime": self.runtime, "threads": list(self.threads), "tags": list(self.tags),
            "limits": {name: value for name, value in limits.items() if value is not None},
            "facts": {name: value for name, value in self.facts.items() if value is not None},
        }  # fmt: skip
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_toml(cls, name: str, values: Mapping[str, Any]) -> Device:
        """Create a device from the output of to_toml().

        Raises:
            DataError: unknown key, a value of the wrong type, or a number that is not finite.
        """
        if not isinstance(values, Mapping):
            raise DataError(f"the device {name} is {_shorten(values)}", why=f"expected a table: [{name}]")
        types: dict[str, Any] = {
            "address": str, "kind": str, "python": str, "runtime": str, "threads": list, "tags": list,
            "limits": Mapping, "facts": Mapping,
        }  # fmt: skip
        _check_types(f"device {name}", values, types)
        limits = values.get("limits", {})
        _check_types(f"limits of {name}", limits, {limit.name: (int, float) for limit in fields(Limits)})
        # JSON has neither dates nor numbers that are not finite.
        Fields(limits, f"limits of {name}").to_plain()
        facts = Fields(values.get("facts", {}), f"facts of {name}").to_plain()
        plain = {key: values[key] for key in ("address", "kind", "python", "runtime") if key in values}
        threads, tags = tuple(values.get("threads", ())), tuple(values.get("tags", ()))
        if not all(type(count) is int and count > 0 for count in threads):
            raise DataError(f"threads = {_shorten(list(threads))} of {name}", why="expected positive integers")
        if not all(isinstance(tag, str) for tag in tags):
            raise DataError(f"tags = {_shorten(list(tags))} of {name}", why="expected strings")
        return cls(name, threads=threads, tags=tags, limits=Limits(**limits), facts=facts, **plain)


@dataclass(frozen=True)
class Registry:
    """The devices in a devices.toml.

    Attributes:
        path: the file, which need not exist.
        devices: devices by name, in the order of the file.
        text: content of the file.
    """

    path: Path
    devices: Mapping[str, Device]
    text: str = ""

    @classmethod
    def read(cls, path: Path | None = None) -> Registry:
        """Read a registry; a missing file is an empty registry.

        Args:
            path: the file; None for the default described above.

        Raises:
            DataError: the file is unreadable, or has an invalid entry.
        """
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        path = path or _default_path()
        try:
            text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
            tables = tomlkit.parse(text).unwrap()
            devices = {name: Device.from_toml(name, values) for name, values in tables.items()}
        except DataError as error:
            raise DataError(f"{path}: {error.what}", why=error.why, hint=error.hint or f"correct {path}") from error
        except (OSError, UnicodeDecodeError, TOMLKitError) as error:
            hint = "correct the file, or set EDGEFER_DEVICES to another one"
            raise DataError(f"cannot read {path}", why=str(error), hint=hint) from error
        return cls(path, devices, text)

    def select(self, names: Sequence[str], *, tag: str | None = None) -> tuple[Device, ...]:
        """Select devices by name or address, and all devices with a tag, without duplicates.

        Args:
            names: names in the registry, "local", or addresses with an "@", a scheme or brackets.
            tag: a tag, or None.

        Raises:
            UsageError: unknown name, or no device has the tag.
        """
        selected = [self._find(name) for name in names]
        if tag is not None:
            tagged = [device for device in self.devices.values() if tag in device.tags]
            if not tagged:
                tags = sorted({tag for device in self.devices.values() for tag in device.tags})
                why = f"{self.path} has the tags {', '.join(tags)}" if tags else f"{self.path} has no tags"
                raise UsageError(f"no device has the tag {tag!r}", why=why, hint="edgefer devices list")
            selected += tagged
        return tuple({device.name: device for device in selected}.values())

    def _find(self, name: str) -> Device:
        if name in self.devices:
            return self.devices[name]
        if name == LOCAL:
            return Device(LOCAL, kind=LOCAL)
        if "@" in name or name.startswith(("ssh://", "[")):
            return Device(name, name)
        known = ", ".join([LOCAL, *self.devices])
        why = f"expected one of {known}, or an address user@host"
        hint = f"edgefer devices add {name if NAME.fullmatch(name) else 'NAME'} USER@HOST"
        raise UsageError(f"unknown device {name!r}", why=why, hint=hint)

    def with_device(self, device: Device) -> Registry:
        """Return a registry with ``device`` added, or replaced if one has its name.

        Raises:
            UsageError: invalid name.
        """
        import tomlkit

        if not NAME.fullmatch(device.name) or device.name in (LOCAL, EMULATED):
            why = f"expected letters, digits, - _ and ., and neither {LOCAL!r} nor {EMULATED!r}"
            raise UsageError(f"invalid device name {device.name!r}", why=why)
        document = tomlkit.parse(self.text)
        values = device.to_toml()
        table = document.setdefault(device.name, tomlkit.table())
        for key in [key for key in table if key not in values]:
            del table[key]
        for key, value in values.items():
            # An unchanged value keeps its comment.
            if table.get(key) != value:
                table[key] = value
        return Registry(self.path, {**self.devices, device.name: device}, tomlkit.dumps(document))

    def without(self, name: str) -> Registry:
        """Return a registry without the device ``name``.

        Raises:
            UsageError: unknown device.
        """
        import tomlkit

        if name not in self.devices:
            why = f"expected {' or '.join(self.devices)}" if self.devices else "the file has no devices"
            raise UsageError(f"no device {name!r} in {self.path}", why=why, hint="edgefer devices list")
        document = tomlkit.parse(self.text)
        del document[name]
        remaining = {key: device for key, device in self.devices.items() if key != name}
        return Registry(self.path, remaining, tomlkit.dumps(document))

    def save(self) -> None:
        """Write the file."""
        files.write_text(self.path, self.text)


def _default_path() -> Path:
    path = os.environ.get("EDGEFER_DEVICES")
    if path:
        return Path(path)
    local = Path("devices.toml")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "edgefer", "devices.toml")
    return local if local.exists() else home


def _check_types(subject: str, values: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if key not in types:
            raise DataError(f"unknown key {_shorten(key)} in the {subject}", why=f"expected one of {', '.join(types)}")
        if not isinstance(value, types[key]) or isinstance(value, bool):
            raise DataError(f"{key} = {_shorten(value)} in the {subject}", why=f"expected {_type_names(types[key])}")


def _shorten(value: Any, *, quote: Callable[[Any], str] = repr) -> str:
    text = quote(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _type_names(types: Any) -> str:
    names = {str: "a string", list: "an array", Mapping: "a table", (int, float): "a number"}
    return names[types]
