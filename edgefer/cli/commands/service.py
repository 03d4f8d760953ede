"""Manage the systemd service for edgefer live."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import click

from edgefer.cli.options import log
from edgefer.results import schema
from edgefer.text_table import Result

if TYPE_CHECKING:
    from edgefer.live.systemd_service import ServicePlan


@click.group()
def command() -> None:
    """Manage the systemd user service that runs edgefer live with its web page and restarts it after a failure.

    It needs no root. It starts at login, or at boot after: sudo loginctl enable-linger $USER

    \b
    Example:
        edgefer service install -- --serve 0.0.0.0:4912 --camera picamera2
        edgefer service status
        edgefer service uninstall
    """


@command.command()
@click.option("--print", "only_print", is_flag=True, help="Print the unit file without installing it.")
@click.argument("arguments", nargs=-1, metavar="[-- OPTIONS OF EDGEFER LIVE]")
def install(only_print: bool, arguments: tuple[str, ...]) -> Result:
    """Install and start the service, or restart it.

    Relative paths refer to the current folder, now and at every later start. The token, and the URL of a stream with a
    password, are stored in a file that only you can read. Without a token, the one of an earlier installation is kept
    or a new one is generated.

    \b
    Example:
        edgefer service install -- --camera 0
        edgefer service install -- --serve 0.0.0.0:4912 --camera picamera2
        edgefer service install --print -- --stream rtsp://192.168.0.20/h264
    """
    from edgefer.live import systemd_service

    plan = _make_plan(arguments)
    if only_print:
        return Result({**schema.header("service", 1), "unit": plan.unit}, plan.unit.rstrip())
    log(f"unit: {plan.unit_path}")
    log("starting; the service is ready after the first frame")
    systemd_service.install(plan)
    return Result(_record(plan), _installed(plan))


@command.command()
def status() -> Result:
    """Show the state that systemd reports.

    \b
    Example:
        edgefer service status
    """
    from edgefer.live import systemd_service

    state = systemd_service.read_status()
    text = "\n".join(f"{name}: {value}" for name, value in _facts(state).items() if value)
    return Result({**schema.header("service", 1), "state": state}, text)


@command.command()
def uninstall() -> Result:
    """Stop the service and remove its files.

    \b
    Example:
        edgefer service uninstall
    """
    from edgefer.live import systemd_service

    removed = [str(path) for path in systemd_service.uninstall()]
    text = "\n".join(f"removed: {path}" for path in removed)
    return Result({**schema.header("service", 1), "removed": removed}, text)


def _make_plan(arguments: tuple[str, ...]) -> ServicePlan:
    """Plan the service; parse the arguments of edgefer live, so that a mistake is reported now and not in a log."""
    from edgefer.cli.main import load_command
    from edgefer.live import systemd_service
    from edgefer.live.camera import default_stream, find_source
    from edgefer.live.redaction import hide_arguments

    options = load_command("live").make_context("edgefer live", list(arguments)).params
    camera, video, stream, token = (options[name] for name in ("camera", "video", "stream", "token"))
    hide_arguments(token=token, address=stream)
    if camera is None and video is None:
        stream = default_stream() if stream is None else stream
    find_source(camera=camera, video=video, stream=stream, size=options["size"])
    return systemd_service.make_plan(arguments, serve=options["serve"], token=token, stream=stream)


def _record(plan: ServicePlan) -> dict[str, Any]:
    paths = {
        "unit_path": str(plan.unit_path),
        "token_path": str(plan.secrets_path),
        "url": plan.url.partition("?")[0],
    }
    return {**schema.header("service", 1), **paths}


def _installed(plan: ServicePlan) -> str:
    from edgefer.live import systemd_service

    user = getpass.getuser()
    facts = {
        "page": plan.url,
        "token": f"in {plan.secrets_path}, readable only by you",
        "log": f"journalctl --user --unit {systemd_service.UNIT_NAME}",
        "at boot": "yes" if systemd_service.is_lingering(user) else f"only after: sudo loginctl enable-linger {user}",
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items() if value)


def _facts(state: dict[str, str]) -> dict[str, str]:
    """Format the properties that systemd reports."""
    if state.get("LoadState") == "not-found":
        return {"state": "not installed"}
    since = state.get("ActiveEnterTimestamp", "")
    return {
        "state": f"{state.get('ActiveState')} ({state.get('SubState')})",
        "since": since if state.get("ActiveState") == "active" else "",
        "status": state.get("StatusText", ""),
        "restarts": state.get("NRestarts", "0"),
        "at login": state.get("UnitFileState", ""),
    }
