"""Register, set up and clean the boards that bench runs on."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH, log, parse_threads
from edgefer.errors import UsageError
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.fleet.probe import Facts
    from edgefer.fleet.registry import Device

NEEDS_WORKSTATION = True


@click.group()
def command() -> None:
    """Manage the boards in devices.toml, which bench reaches over SSH.

    \b
    Example:
        edgefer devices add pi4 pi@raspberrypi.local
        edgefer devices setup pi4
        edgefer bench --device pi4
    """


@command.command(name="list")
def list_() -> Result:
    """List the boards with the results of the last probe.

    \b
    Example:
        edgefer devices list
    """
    from edgefer.fleet.registry import Registry
    from edgefer.results import schema
    from edgefer.text_table import table

    registry = Registry.read()
    rows = [
        [device.name, device.address, device.facts.get("board"), ", ".join(device.tags) or None]
        for device in registry.devices.values()
    ]
    text = table(["name", "address", "board", "tags"], rows) if rows else f"{registry.path} has no devices"
    devices = {name: device.to_toml() for name, device in registry.devices.items()}
    return Result({**schema.header("devices", 1), "path": str(registry.path), "devices": devices}, text)


@command.command()
@click.argument("name")
@click.argument("address", metavar="ADDRESS")
@click.option("--python", default="", metavar="PATH", help="Python on the board, for environments and benchmarks.")
@click.option("--runtime", default="", metavar="NAME", help="Runtime for its benchmarks.")
@click.option("--threads", type=parse_threads, metavar="N[,N...]", help="Thread counts for its benchmarks.")
@click.option(
    "--limit", "limits", multiple=True, metavar="KEY=VALUE",
    help="Upper limit on p90_us, rss_mib or temperature_c; may be repeated.",
)  # fmt: skip
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Group of boards, for bench --tag; may be repeated.")
def add(
    name: str, address: str, python: str, runtime: str, threads: tuple[int, ...] | None, limits: tuple[str, ...],
    tags: tuple[str, ...],
) -> Result:  # fmt: skip
    """Add a board to devices.toml, or change one.

    The options change a board that has the name NAME; it keeps its other values, limits and tags.

    ADDRESS is USER@HOST, USER@HOST:PORT, USER@[IPV6]:PORT, ssh://USER@HOST:PORT, or a host name from the SSH
    configuration.

    \b
    Example:
        edgefer devices add pi4 pi@raspberrypi.local --threads 1,4
        edgefer devices add pi5 pi@192.168.0.20 --tag lab --limit p90_us=2000
        edgefer devices add pi5 pi@192.168.0.20 --python /usr/bin/python3.11
    """
    from edgefer.fleet.addresses import parse_address
    from edgefer.fleet.provisioning import check_options
    from edgefer.fleet.registry import Device, Limits, Registry

    parse_address(address)
    if runtime:
        check_options(runtime)
    if not all(tag.strip() for tag in tags):
        raise UsageError("an empty --tag", why="expected the name of a group", hint="--tag lab")
    given = Device(
        name, address, python=python, runtime=runtime, threads=threads or (), limits=Limits.parse(limits), tags=tags
    )
    registry = Registry.read()
    present = registry.devices.get(name)
    device = given if present is None else present.merged(given)
    registry.with_device(device).save()
    text = f"{name} added to {registry.path}"
    if present is not None:
        changed = [item.name for item in fields(Device) if getattr(present, item.name) != getattr(device, item.name)]
        text = f"{name} changed: {', '.join(changed)}" if changed else f"{name} not changed: it has these values"
    return _result(device, f"{text}\nnext: edgefer devices probe {name}")


@command.command()
@click.argument("name")
def remove(name: str) -> Result:
    """Remove a board from devices.toml.

    Nothing changes on the board itself.

    \b
    Example:
        edgefer devices remove pi4
    """
    from edgefer.fleet.registry import Registry

    registry = Registry.read()
    registry.without(name).save()
    return _result(registry.devices[name], f"{name} removed from {registry.path}")


@command.command()
@click.argument("name", metavar="NAME|USER@HOST")
def probe(name: str) -> Result:
    """Read the hardware and software of a board.

    The result has the processor, memory, system, Python interpreters and runtimes. devices.toml stores a summary.

    \b
    Example:
        edgefer devices probe pi4
    """
    from edgefer.fleet.connection import connect
    from edgefer.fleet.probe import probe as probe_board
    from edgefer.fleet.registry import Registry

    (device,) = Registry.read().select([name])
    with closing(connect(device)) as connection:
        facts = probe_board(connection, [device.python] if device.python else [])
    return _probed(device, facts, _describe(name, facts))


@command.command()
@click.argument("name", metavar="NAME|USER@HOST")
@click.option("--runtime", default="litert", show_default=True, metavar="NAME", help="litert or tflite_runtime.")
@click.option("--offline", is_flag=True, help="Download the wheels on this machine and upload them.")
@click.option("--wheels", type=PATH, metavar="FOLDER", help="Upload the wheels in FOLDER.")
def setup(name: str, runtime: str, offline: bool, wheels: Path | None) -> Result:
    """Install a runtime, numpy and OpenCV on a board.

    They go into a virtual environment in ~/.local/share/edgefer and need no root. Use --offline for a board without
    internet access.

    \b
    Example:
        edgefer devices setup pi4 --offline
    """
    from edgefer.fleet.connection import connect
    from edgefer.fleet.probe import probe as probe_board
    from edgefer.fleet.provisioning import check_options, provision
    from edgefer.fleet.registry import Registry
    from edgefer.progress import progress_bar

    check_options(runtime, wheels)
    (device,) = Registry.read().select([name])
    with closing(connect(device)) as connection, progress_bar(name) as progress:
        facts = probe_board(connection)
        python = provision(
            connection, facts, runtime=runtime, device=name, offline=offline, wheels=wheels, progress=progress
        )
        facts = probe_board(connection, [python])
    facts.select_runtime(runtime, device=name)  # raises if the new environment lacks the runtime
    log(f"{runtime}: {python}")
    return _probed(device, facts, f"{_describe(name, facts)}\nnext: edgefer bench --device {name}")


@command.command()
@click.argument("name", metavar="NAME|USER@HOST")
@click.option("--all", "everything", is_flag=True, help="Also remove the environments that setup created.")
def clean(name: str, everything: bool) -> Result:
    """Remove uploaded models and programs from a board.

    \b
    Example:
        edgefer devices clean pi4 --all
    """
    from edgefer.fleet.connection import connect
    from edgefer.fleet.registry import Registry
    from edgefer.fleet.upload import clean as clean_board
    from edgefer.results import schema

    (device,) = Registry.read().select([name])
    with closing(connect(device)) as connection:
        removed = clean_board(connection, everything=everything)
    folders = ", ".join(removed["folders"]) or "nothing"
    text = f"{name}: removed {folders}, {removed['freed_bytes'] / 2**20:.1f} MiB"
    return Result({**schema.header("cleaned", 1), "device": name, **removed}, text)


def _result(device: Device, text: str, facts: Facts | None = None) -> Result:
    from edgefer.results import schema

    probed: dict[str, Any] = {} if facts is None else {"found": facts.to_json()}
    return Result({**schema.header("device", 1), "name": device.name, **device.to_toml(), **probed}, text)


def _probed(device: Device, facts: Facts, text: str) -> Result:
    """Return the result of a probe; save() stores a summary in devices.toml, if the device is registered there."""
    from edgefer.fleet.registry import Registry

    if device.name not in Registry.read().devices:
        return _result(device, text, facts)
    values = {
        "board": facts.board, "machine": facts.machine, "cores": facts.cores, "ram_mib": facts.ram_bytes // 2**20,
        "dot_product": facts.dot_product, "os": facts.os, "runtimes": facts.runtimes,
    }  # fmt: skip
    probed = replace(device, facts={name: value for name, value in values.items() if value is not None})

    def save() -> str:
        Registry.read().with_device(probed).save()
        return ""

    return replace(_result(probed, text, facts), save=save)


def _describe(name: str, facts: Facts) -> str:
    from edgefer.text_table import table

    dot_product = "with" if facts.dot_product else "without"
    lines = [
        f"{name}: {facts.board or 'unknown board'}",
        f"{facts.machine}, {facts.cores} cores {dot_product} int8 dot product",
        f"{facts.ram_bytes / 2**30:.1f} GiB RAM, {facts.free_bytes / 2**30:.1f} GiB disk space free",
        f"{facts.os or 'unknown system'}, {facts.libc}",
    ]
    rows = [
        [
            interpreter.path,
            ".".join(map(str, interpreter.python)),
            interpreter.numpy,
            interpreter.opencv,
            interpreter.litert,
            interpreter.tflite_runtime,
        ]
        for interpreter in facts.interpreters
    ]
    if facts.is_32_bit_system:
        lines.insert(2, f"a 32-bit system on a 64-bit kernel ({facts.kernel_machine})")
    lines.append(table(["Python", "version", "numpy", "OpenCV", "LiteRT", "tflite"], rows))
    for interpreter in facts.interpreters:
        lines += [f"{interpreter.path}: {name} fails: {message}" for name, message in interpreter.errors.items()]
    if not facts.runtimes:
        lines.append(f"no working runtime\nnext: edgefer devices setup {name}")
    return "\n".join(lines)
