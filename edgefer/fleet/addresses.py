"""Addresses of boards, in every form that OpenSSH takes.

    address = parse_address("pi@[fd00::1]:2222")
    address.target, address.port                    # "pi@fd00::1", "2222"
    address.known_hosts_name                        # "[fd00::1]:2222"
    parse_address("ssh://pi@board:2222")
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from urllib.parse import unquote

from edgefer.errors import UsageError

__all__ = ["SCHEME", "Address", "parse_address"]

SCHEME = "ssh://"
DEFAULT_PORT = "22"
MAX_PORT = 65535
BRACKETED = re.compile(r"\[([^\[\]]+)\](?::(.*))?")
EXPECTED = "expected host, user@host, user@host:port, user@[IPv6]:port or ssh://user@host:port"


@dataclass(frozen=True)
class Address:
    """Address of a board.

    Attributes:
        user: user name, or empty for that of the SSH configuration.
        host: host name, IP address, or alias of the SSH configuration; IPv6 without brackets.
        port: port, or empty for that of the SSH configuration.
    """

    user: str
    host: str
    port: str = ""

    @property
    def target(self) -> str:
        """Host, and the user if there is one, as an argument of ssh; the port is an option."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def known_hosts_name(self) -> str:
        """Name of the host in a known_hosts file."""
        return f"[{self.host}]:{self.port}" if self.port not in ("", DEFAULT_PORT) else self.host

    @property
    def arguments(self) -> str:
        """Arguments of ssh or ssh-copy-id, quoted for a shell."""
        return f"{f'-p {self.port} ' if self.port else ''}{shlex.quote(self.target)}"


def parse_address(text: str) -> Address:
    """Parse an address.

    Raises:
        UsageError: the address is empty, has blanks or control characters, a part that ssh would take for an option,
            or a port outside of 1 to 65535.
    """
    is_url = text.startswith(SCHEME)
    location = text.removeprefix(SCHEME).removesuffix("/") if is_url else text
    # A user name may contain an "@".
    user, _, host = location.rpartition("@")
    host, port = _split_port(host)
    if is_url:
        user = unquote(user)
    address = Address(user, host, port)
    parts = (user, host, address.target)
    is_printable = all(letter.isprintable() and not letter.isspace() for letter in "".join(parts))
    is_valid_port = not port or (port.isascii() and port.isdecimal() and 1 <= int(port) <= MAX_PORT)
    has_brackets = bool(set("[]") & set(host))
    has_user = bool(user) or "@" not in location
    if (
        not host
        or has_brackets
        or not has_user
        or not is_printable
        or not is_valid_port
        or any(part.startswith("-") for part in parts)
    ):
        raise UsageError(f"invalid address {text!r}", why=EXPECTED, hint="pi@raspberrypi.local")
    return address


def _split_port(host: str) -> tuple[str, str]:
    match = BRACKETED.fullmatch(host)
    if match:
        # An empty port is invalid, unlike a missing one.
        return match[1], "0" if match[2] == "" else match[2] or ""
    name, colon, port = host.partition(":")
    # Several colons are an IPv6 address without brackets. A host alias may have a colon that precedes no number.
    if colon and ":" not in port and (port.isdecimal() or not port):
        return name, port or "0"
    return host, ""
