"""Live video as a web page: the newest picture for as many as look on, and nothing for those who do not.

    address = Address.parse(":4912")                # 127.0.0.1 unless a host is named
    with serving(address) as page:
        page.url                                    # "http://127.0.0.1:4912/"
        page.publish(scene)                         # from the loop of edgefer.live.session; never waits

Every viewer is given the newest picture when he is ready for one, so that a slow one sees fewer, and holds up nobody. A
picture is encoded once, and only if somebody looks at it. Nothing is stored, and nothing is fetched from elsewhere. A
page that others on the network can reach asks for a token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgefer.errors import IncompatibleError
from edgefer.live.web.address import Address

if TYPE_CHECKING:
    from edgefer.live.web.server import Server

__all__ = ["Address", "require_server", "serving"]


@contextlib.contextmanager
def serving(
    address: Address,
    *,
    token: str | None = None,
    drawn: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Server]:
    """Serve the page within the block.

    Args:
        address: where.
        token: what viewers have to know. None: made up where others can reach the address, else nothing is asked.
        drawn: boxes and labels are in the images of the scenes already.
        tell: is told what went wrong with a request; from another thread.

    Raises:
        IncompatibleError: starlette or uvicorn is not installed.
        EdgeferError: the address cannot be had.
    """
    server = require_server()(address, token=token, drawn=drawn, tell=tell)
    try:
        yield server
    finally:
        server.close()


def require_server() -> type[Server]:
    """What serves.

    Raises:
        IncompatibleError: starlette or uvicorn is not installed.
    """
    try:
        from edgefer.live.web.server import Server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("edgefer"):
            raise
        why = f"{error.name} is not installed, which comes with edgefer's extra, edgefer[live]"
        raise IncompatibleError("no page can be served", why=why, hint="pip install starlette uvicorn") from error
    return Server
