"""Address of the page: parsing, listening, the URL for a browser, and its token.

    address = Address.parse(":4912")                # or "0.0.0.0:4912", "[::]:4912", "pi.local:4912"
    listener = address.listen()                     # a listening socket
"""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import dataclass

from edgefer.errors import EdgeferError, UsageError

__all__ = ["Address", "check_token"]

LOOPBACK = "127.0.0.1"
MIN_TOKEN_LENGTH = 12
# The kernel's send buffer holds two or three frames for a slow viewer. By default it would grow to megabytes, which
# are seconds of old video.
SEND_BUFFER_BYTES = 2**17
# The kernel closes a connection that acknowledges no data for this long.
UNACKNOWLEDGED_TIMEOUT_MS = 10_000
BIND_ERRORS = {
    errno.EADDRINUSE: ("another program uses this port", "--serve :{}, or stop the other program"),
    errno.EACCES: ("ports below 1024 require root", "--serve :4912"),
    errno.EADDRNOTAVAIL: ("this machine does not have this address", "--serve 0.0.0.0:{} listens on all addresses"),
}


@dataclass(frozen=True)
class Address:
    """Host and port to listen on.

    Attributes:
        host: host name or IP address; 0.0.0.0 and :: are all addresses of the machine.
        port: port number; 0 selects a free port.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse [HOST]:PORT; the default host is 127.0.0.1.

        Raises:
            UsageError: the text has another form, or the port is above 65535.
        """
        match = re.fullmatch(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:/\s\[\]]*)):(?P<port>\d{1,5})", text)
        if not match or int(match["port"]) > 65535:
            why = "expected [HOST]:PORT with a port up to 65535"
            hint = "--serve :4912, or --serve 0.0.0.0:4912 for the network"
            raise UsageError(f"--serve {text}", why=why, hint=hint)
        return cls(match["v6"] or match["host"] or LOOPBACK, int(match["port"]))

    def listen(self) -> socket.socket:
        """Open a listening socket.

        Raises:
            EdgeferError: the port is in use, or the host is not an address of this machine.
        """
        kind = socket.SOCK_STREAM
        try:
            family, _, _, _, endpoint = socket.getaddrinfo(self.host, self.port, type=kind, flags=socket.AI_PASSIVE)[0]
        except socket.gaierror as error:
            why = f"cannot resolve {self.host} ({error.strerror})"
            raise EdgeferError(f"cannot listen on {self}", why=why, hint=f"--serve :{self.port}") from error
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux only
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_TIMEOUT_MS)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind(endpoint)
            listener.listen()
        except OSError as error:
            listener.close()
            why, hint = BIND_ERRORS.get(error.errno or 0, (error.strerror or str(error), "--serve :4912"))
            hint = hint.format(self.port % 65535 + 1 if error.errno == errno.EADDRINUSE else self.port)
            raise EdgeferError(f"cannot listen on {self}", why=why, hint=hint) from error
        return listener

    def url(self, port: int) -> str:
        """Return the URL for a browser; for all addresses, the one that the network reaches this machine by."""
        host = _network_host(self.host) if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def check_token(token: str) -> None:
    """Raise UsageError if the access token is too short."""
    if len(token) < MIN_TOKEN_LENGTH:
        why, hint = f"expected at least {MIN_TOKEN_LENGTH} characters", "omit --token and EDGEFER_TOKEN to generate one"
        raise UsageError(f"token of {len(token)} characters", why=why, hint=hint)


def _network_host(host: str) -> str:
    """Return the IP address of the default route, or the host name if there is no route."""
    family, remote = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote, 9))  # selects a route without sending a packet
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
