"""edgefer service"""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import click

from edgefer import plugins
from edgefer.cli.options import say
from edgefer.results import schema
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.live.systemd_service import Plan


@click.group(short_help="Have systemd run edgefer live.")
def command() -> None:
    """Have systemd start edgefer live with its page, at boot and again when it fails.

    It is a service of yours, not of the system: no root is needed.

    \b
    Example:
        edgefer service install -- --serve 0.0.0.0:4912 --camera picamera2
        edgefer service status
        edgefer service uninstall
    """


@command.command(short_help="Write the unit and start it.")
@click.option("--print", "only_print", is_flag=True, help="Show the unit, and write and start nothing.")
@click.argument("options", nargs=-1, metavar="[-- OPTIONS OF EDGEFER LIVE]")
def install(only_print: bool, options: tuple[str, ...]) -> Result:
    """Write a unit for edgefer live, enable it and start it, anew if it runs.

    Paths among the options are seen from this folder, then as now. A token goes to a file that only you can read; where
    others reach the page and there is none, one is made up.

    \b
    Example:
        edgefer service install -- --camera 0
        edgefer service install -- --serve 0.0.0.0:4912 --camera picamera2
        edgefer service install --print -- --stream rtsp://192.168.0.20/h264
    """
    from edgefer.live import systemd_service

    plan = _plan(options)
    if only_print:
        return Result({**schema.header("service", 1), "unit": plan.unit}, plan.unit.rstrip())
    say(f"unit: {plan.unit_path}\nstarting; it is ready with the first picture")
    systemd_service.install(plan)
    return Result(_record(plan), _installed(plan))


@command.command(short_help="Whether it runs.")
def status() -> Result:
    """What systemd says of it.

    \b
    Example:
        edgefer service status
    """
    from edgefer.live import systemd_service

    told = systemd_service.state()
    text = "\n".join(f"{name}: {value}" for name, value in _facts(told).items() if value)
    return Result({**schema.header("service", 1), "state": told}, text)


@command.command(short_help="Stop it and remove the unit.")
def uninstall() -> Result:
    """Stop it, and remove the unit and the token.

    \b
    Example:
        edgefer service uninstall
    """
    from edgefer.live import systemd_service

    removed = [str(path) for path in systemd_service.uninstall()]
    text = "\n".join(f"removed: {path}" for path in removed)
    return Result({**schema.header("service", 1), "removed": removed}, text)


def _plan(options: tuple[str, ...]) -> Plan:
    """What to write; a slip among the options of edgefer live is said here and not in a log."""
    from edgefer.live import systemd_service

    live: click.Command = plugins.load("edgefer.cli.commands", "live").command
    parsed = live.make_context("edgefer live", list(options)).params
    return systemd_service.make_plan(options, serve=parsed["serve"], token=parsed["token"])


def _record(plan: Plan) -> dict[str, Any]:
    token_path = None if plan.token is None else str(plan.token_path)
    place = {"unit_path": str(plan.unit_path), "token_path": token_path, "url": plan.url.partition("?")[0]}
    return {**schema.header("service", 1), **place}


def _installed(plan: Plan) -> str:
    from edgefer.live import systemd_service

    user = getpass.getuser()
    facts = {
        "page": plan.url,
        "token": "" if plan.token is None else f"in {plan.token_path}, for you alone",
        "log": f"journalctl --user --unit {systemd_service.NAME}",
        "at boot": "yes" if systemd_service.is_lingering(user) else f"only after: sudo loginctl enable-linger {user}",
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items() if value)


def _facts(told: dict[str, str]) -> dict[str, str]:
    """What state() says, for people."""
    if told.get("LoadState") == "not-found":
        return {"state": "not installed"}
    since = told.get("ActiveEnterTimestamp", "")
    return {
        "state": f"{told.get('ActiveState')} ({told.get('SubState')})",
        "since": since if told.get("ActiveState") == "active" else "",
        "sees": told.get("StatusText", ""),
        "started anew": f"{told.get('NRestarts', '0')} times",
        "at login": told.get("UnitFileState", ""),
    }
