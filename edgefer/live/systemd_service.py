"""edgefer live as a service of systemd, of the user who installs it: started at boot, and again when it fails.

    plan = make_plan(["--camera", "0"], serve="0.0.0.0:4912", token=None)
    plan.unit                                       # what systemd reads
    install(plan)                                   # written, enabled and started
    state(), uninstall()

A token stands in a file that only its owner may read, never in the unit: whoever may list processes sees their command
lines.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import edgefer
from edgefer import files
from edgefer.errors import EdgeferError, IncompatibleError, UsageError
from edgefer.live.web import Address, require_server

__all__ = ["DEFAULT", "NAME", "Plan", "install", "is_lingering", "make_plan", "state", "uninstall"]

NAME = "edgefer-live.service"
DEFAULT = ":4912"
VARIABLE = "EDGEFER_TOKEN"
OWNER_ONLY = 0o600
PATIENCE_S = 180
LINGERING = Path("/var/lib/systemd/linger")
SHOWN = ("LoadState", "ActiveState", "SubState", "StatusText", "NRestarts", "UnitFileState", "ActiveEnterTimestamp")
# What a slip on the command line (2), or a model that does not fit (5), ends with does not mend itself.
UNIT = """\
# Written by edgefer service install, which writes it anew.
[Unit]
Description=edgefer live, expressions before a camera
# A camera may be plugged in after days: it is never too late to try again.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
WorkingDirectory={folder}
Environment=PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1
{secret}Restart=on-failure
RestartSec=10
RestartPreventExitStatus=2 5
WatchdogSec=30
TimeoutStopSec=10
UMask=0077
# What a user's own manager can enforce.
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
class Plan:
    """What install() writes.

    Attributes:
        unit: the unit.
        unit_path: where it goes.
        token: what viewers have to know; None where nothing is asked.
        token_path: where that goes.
        url: of the page, with the token.
    """

    unit: str
    unit_path: Path
    token: str | None
    token_path: Path
    url: str


def make_plan(arguments: Sequence[str], *, serve: str | None, token: str | None) -> Plan:
    """What to write for ``edgefer live ARGUMENTS``.

    Args:
        arguments: as typed; paths in them are of the folder that is the working one now, as they will be then.
        serve: what --serve among them says; where it is missing, the page is for this machine.
        token: what --token among them says; None for what is in the environment. Where there is neither, and others
            reach the page, the one of an earlier installation is kept, or one is made up.

    Raises:
        UsageError: an address that is none, or a name that a unit cannot hold.
    """
    address = Address.parse(serve or DEFAULT)
    if address.port == 0:
        why = "nobody would know which port it is"
        raise UsageError("a service on any port that is free", why=why, hint=f"--serve {DEFAULT}")
    unit_path, token_path = _unit_path(), _config() / "edgefer" / "live.env"
    token = token or os.environ.get(VARIABLE) or None
    if token is None and not address.is_private:
        token = _token_in(token_path) or secrets.token_urlsafe()
    command = [*_program(), "live", *([] if serve else ["--serve", DEFAULT]), *_without_token(arguments)]
    secret = "" if token is None else f"EnvironmentFile={_path(token_path)}\n"
    unit = UNIT.format(command=_command(command), folder=_path(Path.cwd()), secret=secret)
    url = address.url(address.port) + ("" if token is None else f"?token={quote(token, safe='')}")
    return Plan(unit, unit_path, token, token_path, url)


def install(plan: Plan) -> None:
    """Write the unit, have it started at each login, and start it now, anew if it runs.

    Raises:
        IncompatibleError: there is no systemctl, or nothing to serve with. Nothing was written.
        EdgeferError: systemd could not do it. What was written stays.
    """
    _require_systemctl()
    require_server()
    if plan.token is None:
        plan.token_path.unlink(missing_ok=True)
    else:
        files.write_text(plan.token_path, f"{VARIABLE}={_value(plan.token)}\n", mode=OWNER_ONLY)
    files.write_text(plan.unit_path, plan.unit)
    _systemctl("daemon-reload")
    _systemctl("enable", NAME)
    _systemctl("restart", NAME)


def uninstall() -> list[Path]:
    """Stop it and remove what was written; what that was.

    Raises:
        UsageError: nothing is installed.
        EdgeferError: systemd could not stop it. Nothing was removed.
    """
    written = [path for path in (_unit_path(), _config() / "edgefer" / "live.env") if path.exists()]
    if not written:
        raise UsageError("no service to uninstall", why=f"there is no {_unit_path()}", hint="edgefer service install")
    _require_systemctl()
    _systemctl("disable", "--now", NAME)
    for path in written:
        path.unlink()
    _systemctl("daemon-reload")
    return written


def state() -> dict[str, str]:
    """What systemd says of it, by the names of systemd.

    Raises:
        IncompatibleError: there is no systemctl.
        EdgeferError: systemd does not answer.
    """
    _require_systemctl()
    told = _systemctl("show", f"--property={','.join(SHOWN)}", NAME)
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def is_lingering(user: str) -> bool:
    """Whether the services of ``user`` start at boot, and not only when he logs in."""
    return (LINGERING / user).exists()


def _program() -> list[str]:
    """What starts edgefer: as it is installed, or the bundle that it runs from."""
    place = Path(edgefer.__file__).resolve().parents[1]
    return [sys.executable, str(place)] if place.is_file() else [sys.executable, "-m", "edgefer"]


def _without_token(arguments: Sequence[str]) -> list[str]:
    kept, rest = [], iter(arguments)
    for argument in rest:
        if argument == "--token":
            next(rest, None)
        elif not argument.startswith("--token="):
            kept.append(argument)
    return kept


def _command(words: Sequence[str]) -> str:
    """A command line as systemd reads it; the colon keeps it from putting variables in the place of $NAME."""
    first, *others = words
    return " ".join([_quoted(f":{first}"), *map(_quoted, others)])


def _quoted(word: str) -> str:
    if re.fullmatch(r"[\w./:=,@+-]+", word, re.ASCII):
        return word
    text = _percents(word).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text) + '"'


def _path(path: Path) -> str:
    """A path where systemd takes the rest of the line as it is."""
    text = str(path)
    if not text.isprintable() or text != text.strip() or text.endswith("\\"):
        why = "a unit cannot hold its name"
        raise UsageError(f"the folder {text!r}", why=why, hint="a folder without line breaks or spaces at its ends")
    return _percents(text)


def _percents(text: str) -> str:
    return text.replace("%", "%%")


def _value(text: str) -> str:
    """A value as systemd reads it in an EnvironmentFile."""
    if not text.isprintable():
        raise UsageError("a token with line breaks", why="a file of variables cannot hold it", hint="another token")
    return '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'


def _token_in(path: Path) -> str | None:
    if not path.exists():
        return None
    found = re.match(rf'{VARIABLE}="((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8"))
    return re.sub(r"\\(.)", r"\1", found[1]) if found else None


def _config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _unit_path() -> Path:
    return _config() / "systemd" / "user" / NAME


def _require_systemctl() -> None:
    if shutil.which("systemctl") is None:
        why = "there is no systemctl, so this system is not run by systemd"
        hint = f"have what runs here start: edgefer live --serve {DEFAULT}"
        raise IncompatibleError("no service can be installed", why=why, hint=hint)


def _systemctl(*arguments: str) -> str:
    """What ``systemctl --user ARGUMENTS`` prints."""
    command = ["systemctl", "--user", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    if done.returncode == 0:
        return done.stdout
    what = f"{' '.join(command)} ended with {done.returncode}"
    why = (done.stderr.strip().splitlines() or ["it does not say why"])[0]
    if "connect to bus" in done.stderr:
        hint = f"log in as that user, not through su or sudo, then: systemctl --user enable --now {NAME}"
    else:
        hint = f"journalctl --user --unit {NAME} --lines 20"
    raise EdgeferError(what, why=why, hint=hint)
