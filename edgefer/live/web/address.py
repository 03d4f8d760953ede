"""Where a page is served, as it is typed and as others can open it.

    address = Address.parse(":4912")                # or "0.0.0.0:4912", "[::]:4912", "pi.local:4912"
    address.is_private                              # only programs on this machine can reach it
    listener = address.listen()                     # a socket
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from edgefer.errors import EdgeferError, UsageError

__all__ = ["Address"]

HERE = "127.0.0.1"
# What waits in the kernel for a slow viewer: two or three pictures, and not the megabytes that it would grow to.
UNSENT_BYTES = 2**17
# Whoever has taken nothing for so long is cut off.
PATIENCE_MS = 10_000
CAUSES = {
    errno.EADDRINUSE: ("another program has that port", "another port, such as --serve :{}, or end that program"),
    errno.EACCES: ("ports below 1024 are the system's", "--serve :4912"),
    errno.EADDRNOTAVAIL: ("this machine has no such address", "--serve 0.0.0.0:{}, which is all that it has"),
}


@dataclass(frozen=True)
class Address:
    """A host and a port.

    Attributes:
        host: a name or an IP address; 0.0.0.0 and :: are all that the machine has.
        port: 0 takes any that is free.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read [HOST]:PORT.

        Raises:
            UsageError: it is something else.
        """
        found = re.fullmatch(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:/\s\[\]]*)):(?P<port>\d{1,5})", text)
        if not found or int(found["port"]) > 65535:
            why = "[HOST]:PORT was expected, with a port up to 65535"
            raise UsageError(f"--serve {text}", why=why, hint="--serve :4912, or --serve 0.0.0.0:4912 for others too")
        return cls(found["v6"] or found["host"] or HERE, int(found["port"]))

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def listen(self) -> socket.socket:
        """A socket that listens there.

        Raises:
            EdgeferError: the port is taken, or there is no such host.
        """
        try:
            kind = socket.SOCK_STREAM
            family, _, _, _, place = socket.getaddrinfo(self.host, self.port, type=kind, flags=socket.AI_PASSIVE)[0]
        except socket.gaierror as error:
            why = f"no address is known for {self.host} ({error.strerror})"
            raise EdgeferError(f"no page can be served on {self}", why=why, hint=f"--serve :{self.port}") from error
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PATIENCE_MS)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind(place)
            listener.listen()
        except OSError as error:
            listener.close()
            why, hint = CAUSES.get(error.errno or 0, (error.strerror or str(error), "--serve :4912"))
            hint = hint.format(self.port % 65535 + 1 if error.errno == errno.EADDRINUSE else self.port)
            raise EdgeferError(f"no page can be served on {self}", why=why, hint=hint) from error
        return listener

    def url(self, port: int) -> str:
        """What a browser opens; of all addresses that this machine has, the one by which others reach it."""
        host = _outward(self.host) if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def _outward(host: str) -> str:
    """The address of the network that leads elsewhere, else the machine's name."""
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # a datagram socket: this chooses a route and sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
