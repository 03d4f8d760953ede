"""edgefer devices"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import PATH, say
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.fleet.agent import Facts
    from edgefer.fleet.registry import Device

NEEDS_WORKSTATION = True


@click.group(short_help="The boards that benches run on.")
def command() -> None:
    """The boards that benches run on, kept in devices.toml.

    \b
    Example:
        edgefer devices add pi4 pi@raspberrypi.local
        edgefer devices setup pi4
        edgefer bench --device pi4
    """


@command.command(name="list", short_help="What devices.toml has.")
def list_() -> Result:
    """List the devices, with what the last probe found.

    \b
    Example:
        edgefer devices list
    """
    from edgefer.fleet.registry import Registry
    from edgefer.results import schema
    from edgefer.text_table import table

    registry = Registry.read()
    rows = [
        [each.name, each.address, each.facts.get("board"), ", ".join(each.tags) or None]
        for each in registry.devices.values()
    ]
    text = table(["name", "address", "board", "tags"], rows) if rows else f"{registry.path} has no devices"
    devices = {name: device.to_toml() for name, device in registry.devices.items()}
    return Result({**schema.header("devices", 1), "path": str(registry.path), "devices": devices}, text)


@command.command(short_help="Enter a board.")
@click.argument("name")
@click.argument("address", metavar="USER@HOST[:PORT]")
@click.option("--python", default="", metavar="PATH", help="Which Python there makes environments and runs benches.")
@click.option("--runtime", default="", metavar="NAME", help="Which runtime its benches take.")
@click.option("--threads", default="", metavar="N[,N...]", help="With how many threads its benches run.")
@click.option("--limit", "limits", multiple=True, metavar="KEY=VALUE", help="p90_us, rss_mib or temperature_c to keep.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A group that it belongs to; may be given again.")
def add(
    name: str, address: str, python: str, runtime: str, threads: str, limits: tuple[str, ...], tags: tuple[str, ...]
) -> Result:
    """Enter a board in devices.toml; ADDRESS is what ssh takes, or a name of its configuration.

    \b
    Example:
        edgefer devices add pi4 pi@raspberrypi.local --tag lab --threads 1,4 --limit p90_us=2000
    """
    from edgefer.cli.options import thread_counts
    from edgefer.fleet.registry import Device, Limits, Registry

    counts = tuple(thread_counts(threads)) if threads else ()
    kept = Limits.parse(limits)
    device = Device(name, address, python=python, runtime=runtime, threads=counts, limits=kept, tags=tags)
    registry = Registry.read().with_device(device)
    registry.save()
    return _told(device, f"{name} is in {registry.path}\nnext: edgefer devices probe {name}")


@command.command(short_help="Take a board out again.")
@click.argument("name")
def remove(name: str) -> Result:
    """Take a board out of devices.toml; on the board nothing is changed.

    \b
    Example:
        edgefer devices remove pi4
    """
    from edgefer.fleet.registry import Registry

    registry = Registry.read()
    registry.without(name).save()
    return _told(registry.devices[name], f"{name} is no more in {registry.path}")


@command.command(short_help="Ask a board what it has.")
@click.argument("name", metavar="NAME|USER@HOST")
def probe(name: str) -> Result:
    """Ask a board for its processor, memory, system, Pythons and runtimes; what it says is kept in devices.toml.

    \b
    Example:
        edgefer devices probe pi4
    """
    from edgefer.fleet.agent import probe as ask
    from edgefer.fleet.connection import connect
    from edgefer.fleet.registry import Registry

    registry = Registry.read()
    (device,) = registry.select([name])
    with closing(connect(device)) as connection:
        facts = ask(connection, [device.python] if device.python else [])
    if name in registry.devices:
        device = replace(device, facts=_kept(facts))
        registry.with_device(device).save()
    return _told(device, _facts_text(name, facts), facts)


@command.command(short_help="Install a runtime on a board.")
@click.argument("name", metavar="NAME|USER@HOST")
@click.option("--runtime", default="litert", show_default=True, metavar="NAME", help="litert or tflite_runtime.")
@click.option("--offline", is_flag=True, help="This machine downloads the wheels, and pushes them.")
@click.option("--wheels", type=PATH, metavar="FOLDER", help="Push the wheels in a folder.")
def setup(name: str, runtime: str, offline: bool, wheels: Path | None) -> Result:
    """Make a virtual environment on a board, with a runtime, numpy and OpenCV.

    It lies in ~/.local/share/edgefer there and needs no root. --offline is for boards without internet.

    \b
    Example:
        edgefer devices setup pi4 --offline
    """
    from edgefer.fleet.agent import probe as ask
    from edgefer.fleet.connection import connect
    from edgefer.fleet.provisioning import provision
    from edgefer.fleet.registry import Registry
    from edgefer.progress import shown

    registry = Registry.read()
    (device,) = registry.select([name])
    with closing(connect(device)) as connection, shown(name) as progress:
        facts = ask(connection)
        python = provision(
            connection, facts, runtime=runtime, device=name, offline=offline, wheels=wheels, progress=progress
        )
        facts = ask(connection, [python])
    facts.choose(runtime, device=name)  # raises, if it is not what it should be
    if name in registry.devices:
        device = replace(device, facts=_kept(facts))
        registry.with_device(device).save()
    say(f"{runtime}: {python}")
    return _told(device, f"{_facts_text(name, facts)}\nnext: edgefer bench --device {name}", facts)


@command.command(short_help="Remove what benches left on a board.")
@click.argument("name", metavar="NAME|USER@HOST")
@click.option("--all", "everything", is_flag=True, help="The environments of setup, too.")
def clean(name: str, everything: bool) -> Result:
    """Remove the models and programs that were pushed to a board.

    \b
    Example:
        edgefer devices clean pi4 --all
    """
    from edgefer.fleet.agent import clean as remove_all
    from edgefer.fleet.connection import connect
    from edgefer.fleet.registry import Registry
    from edgefer.results import schema

    (device,) = Registry.read().select([name])
    with closing(connect(device)) as connection:
        removed = remove_all(connection, everything=everything)
    folders = ", ".join(removed["folders"]) or "nothing"
    text = f"{name}: removed {folders}, {removed['freed_bytes'] / 2**20:.1f} MiB"
    return Result({**schema.header("cleaned", 1), "device": name, **removed}, text)


def _told(device: Device, text: str, facts: Facts | None = None) -> Result:
    from edgefer.results import schema

    found: dict[str, Any] = {} if facts is None else {"found": facts.to_json()}
    return Result({**schema.header("device", 1), "name": device.name, **device.to_toml(), **found}, text)


def _kept(facts: Facts) -> dict[str, Any]:
    """What devices.toml keeps of a probe: what a person wants to read there."""
    values = {
        "board": facts.board, "machine": facts.machine, "cores": facts.cores, "ram_mib": facts.ram_bytes // 2**20,
        "dot_product": facts.dot_product, "os": facts.os, "runtimes": facts.runtimes,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


def _facts_text(name: str, facts: Facts) -> str:
    from edgefer.text_table import table

    dot = "with" if facts.dot_product else "without"
    lines = [
        f"{name}: {facts.board or 'a machine that does not say what it is'}",
        f"{facts.machine}, {facts.cores} cores {dot} int8 dot product",
        f"{facts.ram_bytes / 2**30:.1f} GiB RAM, {facts.free_bytes / 2**30:.1f} GiB free",
        f"{facts.os or 'unknown system'}, {facts.libc}",
    ]
    rows = [
        [each.path, ".".join(map(str, each.python)), each.numpy, each.opencv, each.litert, each.tflite_runtime]
        for each in facts.interpreters
    ]
    lines.append(table(["Python", "version", "numpy", "OpenCV", "LiteRT", "tflite"], rows))
    if not facts.runtimes:
        lines.append(f"no runtime that works\nnext: edgefer devices setup {name}")
    return "\n".join(lines)
