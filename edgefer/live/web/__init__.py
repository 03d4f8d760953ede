"""Serve live video as a web page.

    address = Address.parse(":4912")                # 127.0.0.1 unless the text names a host
    with serving(address) as server:
        server.url                                  # "http://127.0.0.1:4912/?token=..."
        server.publish(result)                      # from the processing thread; never blocks

Each viewer requests the newest frame when it is ready for one, so a slow viewer receives fewer frames and does not
delay the others. A frame is encoded once, and only if a viewer requests it. The server stores nothing, and the page
loads nothing from other hosts. Viewers need the token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgefer.errors import IncompatibleError
from edgefer.live.web.address import Address, check_token

if TYPE_CHECKING:
    from edgefer.live.web.server import Server

__all__ = ["Address", "check_token", "require_server", "serving"]


@contextlib.contextmanager
def serving(
    address: Address,
    *,
    token: str | None = None,
    annotated: bool = False,
    log: Callable[[str], None] = lambda message: None,
) -> Iterator[Server]:
    """Serve the page within the block.

    Args:
        address: the address to listen on.
        token: access token that viewers need; None generates one, which is part of the URL.
        annotated: True if the published images contain boxes and labels.
        log: receives a message for each failed request, from another thread.

    Raises:
        IncompatibleError: starlette or uvicorn is not installed.
        EdgeferError: the server cannot listen on the address.
        UsageError: the token is too short.
    """
    server = require_server()(address, token=token, annotated=annotated, log=log)
    try:
        yield server
    finally:
        server.close()


def require_server() -> type[Server]:
    """Import and return the server class.

    Raises:
        IncompatibleError: starlette or uvicorn is not installed.
    """
    try:
        from edgefer.live.web.server import Server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("edgefer"):
            raise
        why = f"{error.name} is not installed; the extra edgefer[live] includes it"
        raise IncompatibleError("cannot serve the web page", why=why, hint="pip install starlette uvicorn") from error
    return Server
