"""Run edgefer live as a systemd user service that starts at boot and restarts after a failure.

    plan = make_plan(["--camera", "0"], serve="0.0.0.0:4912", token=None)
    plan.unit                                       # text of the unit file
    install(plan)                                   # write, enable and start it
    read_status(), uninstall()

The token, and the address of a stream that contains a password, are stored in a file that only its owner can read. In
the unit they would be part of the command line, which every user of the machine can list.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import edgefer
from edgefer import files
from edgefer.errors import EdgeferError, IncompatibleError, UsageError
from edgefer.live.camera import STREAM_VARIABLE
from edgefer.live.redaction import redact_address
from edgefer.live.web import Address, check_token, require_server

__all__ = [
    "DEFAULT_ADDRESS",
    "UNIT_NAME",
    "ServicePlan",
    "install",
    "is_lingering",
    "make_plan",
    "read_status",
    "uninstall",
]

UNIT_NAME = "edgefer-live.service"
DEFAULT_ADDRESS = ":4912"
TOKEN_VARIABLE = "EDGEFER_TOKEN"
OWNER_ONLY = 0o600
SYSTEMCTL_TIMEOUT_S = 180
LINGER_FOLDER = Path("/var/lib/systemd/linger")
STATUS_PROPERTIES = (
    "LoadState", "ActiveState", "SubState", "StatusText", "NRestarts", "UnitFileState", "ActiveEnterTimestamp",
)  # fmt: skip
# Exit codes 2 (usage error) and 5 (incompatible model) prevent a restart: trying again would fail the same way.
UNIT = """\
# Written by edgefer service install, which overwrites changes.
[Unit]
Description=edgefer live, facial-expression recognition on a camera
# The camera may be plugged in days later, so never give up restarting.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
WorkingDirectory={folder}
Environment=PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1
EnvironmentFile={secrets}
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=2 5
# 128 + SIGTERM: systemd stopped it.
SuccessExitStatus=143
WatchdogSec=30
TimeoutStopSec=10
UMask=0077
# Sandboxing that a user service manager can enforce.
NoNewPrivileges=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True)
class ServicePlan:
    """Files to write for the service.

    Attributes:
        unit: text of the unit file.
        unit_path: path of the unit file.
        token: access token of the page.
        stream: URL of a stream that may contain a password; None if there is none, or if it is in the unit.
        secrets_path: path of the file that stores the token and the stream.
        url: URL of the page, with the token.
    """

    unit: str
    unit_path: Path
    token: str = field(repr=False)
    stream: str | None = field(repr=False)
    secrets_path: Path
    url: str = field(repr=False)


def make_plan(
    arguments: Sequence[str], *, serve: str | None, token: str | None, stream: str | None = None
) -> ServicePlan:
    """Plan a service that runs ``edgefer live ARGUMENTS`` in the current working directory.

    Args:
        arguments: command line of edgefer live, unparsed.
        serve: value of --serve among the arguments; None serves the page to this machine only.
        token: value of --token among the arguments; None reads EDGEFER_TOKEN. If both are missing, the token of an
            earlier installation is kept, or a new one is generated.
        stream: value of --stream among the arguments, else of EDGEFER_STREAM; None if the source is a camera or file.

    Raises:
        UsageError: the address is invalid, the token is too short, or a path, the token or the stream contains
            characters that a unit file or an environment file cannot.
    """
    address = Address.parse(serve or DEFAULT_ADDRESS)
    if address.port == 0:
        why = "a service needs a fixed port, so that its URL is known"
        raise UsageError("--serve with port 0", why=why, hint=f"--serve {DEFAULT_ADDRESS}")
    unit_path, secrets_path = _unit_path(), _secrets_path()
    token = token or os.environ.get(TOKEN_VARIABLE) or _read_token(secrets_path) or secrets.token_urlsafe()
    check_token(token)
    remaining = _remove_option(arguments, "--token")
    secret_stream = None
    if stream is not None:
        without_stream = _remove_option(remaining, "--stream")
        if redact_address(stream) != stream or without_stream == remaining:
            remaining, secret_stream = without_stream, stream
    default_serve = [] if serve else ["--serve", DEFAULT_ADDRESS]
    command = [*_program(), "live", *default_serve, *remaining]
    for option, value in (("--token", token), ("--stream", secret_stream or "")):
        if not value.isprintable():
            why = "an environment file cannot contain line breaks and control characters"
            raise UsageError(f"the value of {option}", why=why, hint=f"choose another {option}")
    unit = UNIT.format(
        command=_escape_command(command), folder=_escape_path(Path.cwd()), secrets=_escape_path(secrets_path)
    )
    url = f"{address.url(address.port)}?token={quote(token, safe='')}"
    return ServicePlan(unit, unit_path, token, secret_stream, secrets_path, url)


def install(plan: ServicePlan) -> None:
    """Write the unit and the secrets, enable the service, and start or restart it.

    Raises:
        IncompatibleError: systemctl or the web server packages are missing; nothing is written.
        EdgeferError: a systemctl command failed; the written files remain.
    """
    _require_systemctl()
    require_server()
    variables = {TOKEN_VARIABLE: plan.token, STREAM_VARIABLE: plan.stream}
    lines = [f"{name}={_escape_value(value)}\n" for name, value in variables.items() if value is not None]
    files.write_text(plan.secrets_path, "".join(lines), mode=OWNER_ONLY)
    files.write_text(plan.unit_path, plan.unit)
    _systemctl("daemon-reload")
    _systemctl("enable", UNIT_NAME)
    _systemctl("restart", UNIT_NAME)


def uninstall() -> list[Path]:
    """Stop the service, remove its files, and return their paths.

    Raises:
        UsageError: the service is not installed.
        EdgeferError: systemd could not stop the service; no file is removed.
    """
    installed = [path for path in (_unit_path(), _secrets_path()) if path.exists()]
    if not installed:
        why = f"{_unit_path()} does not exist"
        raise UsageError("no service to uninstall", why=why, hint="edgefer service install")
    _require_systemctl()
    _systemctl("disable", "--now", UNIT_NAME)
    for path in installed:
        path.unlink()
    _systemctl("daemon-reload")
    return installed


def read_status() -> dict[str, str]:
    """Read the state of the service, keyed by the property names of systemd.

    Raises:
        IncompatibleError: systemctl is not installed.
        EdgeferError: systemd does not respond.
    """
    _require_systemctl()
    output = _systemctl("show", f"--property={','.join(STATUS_PROPERTIES)}", UNIT_NAME)
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def is_lingering(user: str) -> bool:
    """Return True if the services of ``user`` start at boot, False if they start at login."""
    return (LINGER_FOLDER / user).exists()


def _program() -> list[str]:
    """Return the command that starts edgefer: the installed package, or the bundle that is running."""
    location = Path(edgefer.__file__).resolve().parents[1]
    return [sys.executable, str(location)] if location.is_file() else [sys.executable, "-m", "edgefer"]


def _remove_option(arguments: Sequence[str], option: str) -> list[str]:
    """Remove an option and its values."""
    remaining, iterator = [], iter(arguments)
    for argument in iterator:
        if argument == option:
            next(iterator, None)
        elif not argument.startswith(f"{option}="):
            remaining.append(argument)
    return remaining


def _escape_command(words: Sequence[str]) -> str:
    """Escape a command line for ExecStart; the leading colon disables the expansion of $NAME."""
    first, *others = words
    return " ".join([_escape_word(f":{first}"), *map(_escape_word, others)])


def _escape_word(word: str) -> str:
    if re.fullmatch(r"[\w./:=,@+-]+", word, re.ASCII):
        return word
    text = _escape_percent(word).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", text) + '"'


def _escape_path(path: Path) -> str:
    """Escape a path for a setting that systemd reads verbatim up to the end of the line."""
    text = str(path)
    if not text.isprintable() or text != text.strip() or text.endswith("\\"):
        why = "a systemd unit cannot contain this path"
        hint = "a folder name without line breaks, and without spaces at its ends"
        raise UsageError(f"folder {text!r}", why=why, hint=hint)
    return _escape_percent(text)


def _escape_percent(text: str) -> str:
    return text.replace("%", "%%")


def _escape_value(text: str) -> str:
    """Escape a printable value for a systemd EnvironmentFile."""
    return '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'


def _read_token(path: Path) -> str | None:
    if not path.exists():
        return None
    match = re.search(rf'^{TOKEN_VARIABLE}="((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    return re.sub(r"\\(.)", r"\1", match[1]) if match else None


def _config_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _secrets_path() -> Path:
    return _config_folder() / "edgefer" / "live.env"


def _unit_path() -> Path:
    return _config_folder() / "systemd" / "user" / UNIT_NAME


def _require_systemctl() -> None:
    if shutil.which("systemctl") is None:
        why = "systemctl is not installed, so this system does not run systemd"
        hint = f"start this command from your init system: edgefer live --serve {DEFAULT_ADDRESS}"
        raise IncompatibleError("cannot install a service", why=why, hint=hint)


def _systemctl(*arguments: str) -> str:
    """Run ``systemctl --user ARGUMENTS`` and return its output."""
    command = ["systemctl", "--user", *arguments]
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SYSTEMCTL_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        what = f"{' '.join(command)} did not end within {SYSTEMCTL_TIMEOUT_S} s"
        raise EdgeferError(what, hint="systemctl --user list-jobs") from error
    if process.returncode == 0:
        return process.stdout
    what = f"{' '.join(command)} failed with exit code {process.returncode}"
    why = (process.stderr.strip().splitlines() or ["it printed no error message"])[0]
    if "connect to bus" in process.stderr:
        hint = f"log in as this user, not through su or sudo, then: systemctl --user enable --now {UNIT_NAME}"
    elif re.search("No space left|Read-only file system|Permission denied|quota", process.stderr):
        hint = f"make {_config_folder()} writable, or free space: df -h {_config_folder()}"
    else:
        hint = f"journalctl --user --unit {UNIT_NAME} --lines 20"
    raise EdgeferError(what, why=why, hint=hint)
