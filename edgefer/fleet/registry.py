"""The devices that benches run on: those in devices.toml, and those that are named by their address.

    registry = Registry.read()
    registry.select(["pi4", "pi@192.168.1.7"], tag="lab")
    registry.with_device(Device("pi4", "pi@raspberrypi.local")).save()

devices.toml is the user's: comments and what edgefer does not know in it stay. It is ./devices.toml where there is one,
else edgefer/devices.toml in $XDG_CONFIG_HOME or ~/.config; $EDGEFER_DEVICES names another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import DataError, UsageError

__all__ = ["LOCAL", "Device", "Limits", "Registry"]

LOCAL = "local"
NUMBER = re.compile(r"\d+(\.\d+)?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Limits:
    """What a bench on a device must keep; None is no limit.

    Attributes:
        p90_us: microseconds of the model alone.
        rss_mib: the largest memory of the bench.
        temperature_c: degrees Celsius at any time.
    """

    p90_us: float | None = None
    rss_mib: float | None = None
    temperature_c: float | None = None

    @classmethod
    def parse(cls, assignments: Sequence[str]) -> Limits:
        """From words such as "p90_us=2000".

        Raises:
            UsageError: no such limit, or no number.
        """
        known = [each.name for each in fields(cls)]
        values = {}
        for word in assignments:
            name, _, text = word.partition("=")
            if name not in known or not NUMBER.fullmatch(text):
                why = f"KEY=NUMBER was expected, with a key of {', '.join(known)}"
                raise UsageError(f"--limit {word}", why=why, hint="--limit p90_us=2000")
            values[name] = float(text)
        return cls(**values)


@dataclass(frozen=True)
class Device:
    """Where a bench runs.

    Attributes:
        name: what the user calls it.
        address: user@host, user@host:port or a name of ssh's configuration; empty for this machine.
        kind: an entry of ``devices/``.
        python: the interpreter there that has a runtime; empty for the first that is found.
        runtime: an entry of ``board/runtimes``; empty for the best.
        threads: numbers of threads to bench with.
        limits: what a bench must keep.
        tags: names of groups that it belongs to.
        facts: what the last probe found.
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

    def to_toml(self) -> dict[str, Any]:
        """A dict of plain values without what is empty; from_toml() is its inverse."""
        limits = {each.name: getattr(self.limits, each.name) for each in fields(Limits)}
        values = {
            "address": self.address, "kind": "" if self.kind == "ssh" else self.kind, "python": self.python,
            "runtime": self.runtime, "threads": list(self.threads), "tags": list(self.tags),
            "limits": {name: value for name, value in limits.items() if value is not None},
            "facts": {name: value for name, value in self.facts.items() if value is not None},
        }  # fmt: skip
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_toml(cls, name: str, values: Mapping[str, Any]) -> Device:
        """The inverse of to_toml().

        Raises:
            DataError: a key that does not exist, or a value of the wrong type.
        """
        if not isinstance(values, Mapping):
            raise DataError(f"the device {name} is {values!r}", why=f"a table was expected: [{name}]")
        types: dict[str, Any] = {
            "address": str, "kind": str, "python": str, "runtime": str, "threads": list, "tags": list,
            "limits": Mapping, "facts": Mapping,
        }  # fmt: skip
        _check(f"device {name}", values, types)
        limits = values.get("limits", {})
        _check(f"limits of {name}", limits, {each.name: (int, float) for each in fields(Limits)})
        plain = {key: values[key] for key in ("address", "kind", "python", "runtime", "facts") if key in values}
        threads, tags = tuple(values.get("threads", ())), tuple(values.get("tags", ()))
        if not all(isinstance(count, int) and count > 0 for count in threads):
            raise DataError(f"threads = {list(threads)} of {name}", why="positive whole numbers were expected")
        if not all(isinstance(tag, str) for tag in tags):
            raise DataError(f"tags = {list(tags)} of {name}", why="names in quotes were expected")
        return cls(name, threads=threads, tags=tags, limits=Limits(**limits), **plain)


@dataclass(frozen=True)
class Registry:
    """The content of a devices.toml.

    Attributes:
        path: the file, which need not exist.
        devices: by name, in the order of the file.
        text: the file's content.
    """

    path: Path
    devices: Mapping[str, Device]
    text: str = ""

    @classmethod
    def read(cls, path: Path | None = None) -> Registry:
        """Read ``path``, or where the module says it lies; without a file there are no devices.

        Raises:
            DataError: the file cannot be read, or something in it cannot be; the message says what.
        """
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        path = path or _default_path()
        try:
            text = path.read_text() if path.exists() else ""
            tables = tomlkit.parse(text).unwrap()
            devices = {name: Device.from_toml(name, values) for name, values in tables.items()}
        except DataError as error:
            raise DataError(f"{path}: {error.what}", why=error.why, hint=error.hint or f"mend {path}") from error
        except (OSError, UnicodeDecodeError, TOMLKitError) as error:
            hint = "mend it, or name another: $EDGEFER_DEVICES"
            raise DataError(f"cannot read {path}", why=str(error), hint=hint) from error
        return cls(path, devices, text)

    def select(self, names: Sequence[str], *, tag: str | None = None) -> tuple[Device, ...]:
        """The devices of these names or addresses, and those with ``tag``; each once.

        Raises:
            UsageError: a name that is no device's and no address, or no device has the tag.
        """
        chosen = [self._named(name) for name in names]
        if tag is not None:
            tagged = [device for device in self.devices.values() if tag in device.tags]
            if not tagged:
                tags = sorted({tag for device in self.devices.values() for tag in device.tags})
                why = f"{self.path} knows the tags {', '.join(tags)}" if tags else f"{self.path} has no tags"
                raise UsageError(f"no device has the tag {tag!r}", why=why, hint="edgefer devices list")
            chosen += tagged
        return tuple({each.name: each for each in chosen}.values())

    def _named(self, name: str) -> Device:
        if name in self.devices:
            return self.devices[name]
        if name == LOCAL:
            return Device(LOCAL, kind=LOCAL)
        if "@" in name:
            return Device(name, name)
        known = ", ".join([LOCAL, *self.devices])
        why = f"there are {known}; an address is user@host"
        raise UsageError(f"no device {name!r}", why=why, hint="edgefer devices add")

    def with_device(self, device: Device) -> Registry:
        """The registry with ``device`` in it, in the place of the one of its name.

        Raises:
            UsageError: the name cannot be one.
        """
        import tomlkit

        if not NAME.fullmatch(device.name) or device.name == LOCAL:
            raise UsageError(f"{device.name!r} cannot be a device's name", why="letters, digits, - _ . were expected")
        document = tomlkit.parse(self.text)
        values = device.to_toml()
        table = document.setdefault(device.name, tomlkit.table())
        for key in [key for key in table if key not in values]:
            del table[key]
        for key, value in values.items():
            # An untouched value keeps its comment.
            if table.get(key) != value:
                table[key] = value
        return Registry(self.path, {**self.devices, device.name: device}, tomlkit.dumps(document))

    def without(self, name: str) -> Registry:
        """The registry without the device ``name``.

        Raises:
            UsageError: there is none.
        """
        import tomlkit

        if name not in self.devices:
            why = f"expected {' or '.join(self.devices)}" if self.devices else "the file has no devices"
            raise UsageError(f"no device {name!r} in {self.path}", why=why, hint="edgefer devices list")
        document = tomlkit.parse(self.text)
        del document[name]
        rest = {key: device for key, device in self.devices.items() if key != name}
        return Registry(self.path, rest, tomlkit.dumps(document))

    def save(self) -> None:
        """Write the file."""
        files.write_text(self.path, self.text)


def _default_path() -> Path:
    named = os.environ.get("EDGEFER_DEVICES")
    if named:
        return Path(named)
    here = Path("devices.toml")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "edgefer", "devices.toml")
    return here if here.exists() else home


def _check(what: str, values: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if key not in types:
            raise DataError(f"{key!r} in the {what}", why=f"there are {', '.join(types)}")
        if not isinstance(value, types[key]) or isinstance(value, bool):
            raise DataError(f"{key} = {value!r} in the {what}", why="a value of another type was expected")
