"""The web server, in a thread of its own.

    server = Server(Address.parse(":4912"))
    server.publish(scene)
    server.close()
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgefer.errors import UsageError
from edgefer.live.frame_result import FrameResult
from edgefer.live.web.address import Address
from edgefer.live.web.app import build
from edgefer.live.web.broadcaster import Broadcaster

__all__ = ["Server"]

SHORTEST_TOKEN = 12
CONNECTIONS = 64
GRACE_S = 1
START_S = 20.0
# For how long a connection may go without a question; CONNECTIONS of them would leave no room.
SILENCE_S = 5.0


class Server:
    """Serves the page from now on.

    Attributes:
        url: what a browser opens; with the token where it was made up here.
        token: what viewers have to know; None where nothing is asked.
        port: where it listens.
    """

    def __init__(
        self,
        address: Address,
        *,
        token: str | None = None,
        drawn: bool = False,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """As serving()."""
        if token is not None and len(token) < SHORTEST_TOKEN:
            why, hint = f"a token has at least {SHORTEST_TOKEN} characters", "leave it out, and one is made up"
            raise UsageError(f"a token of {len(token)} characters", why=why, hint=hint)
        made_up = secrets.token_urlsafe() if token is None and not address.is_private else None
        self.token = token or made_up
        self._drawn, self._tell = drawn, tell
        self._listener = address.listen()
        self.port = self._listener.getsockname()[1]
        self.url = address.url(self.port) + (f"?token={made_up}" if made_up else "")
        self._hub: Broadcaster | None = None
        self._server: uvicorn.Server | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()
        self._started.wait(START_S)

    def publish(self, scene: FrameResult) -> None:
        """As Sink.publish()."""
        if self._hub is not None:
            self._hub.publish(scene)

    def close(self) -> None:
        """As Sink.close(); viewers are let go, and within two seconds cut off."""
        if self._hub is not None and self._server is not None:
            self._hub.close()
            self._server.should_exit = True
        self._thread.join(GRACE_S + 5)

    def _run(self) -> None:
        try:
            # One thread: those who look on take one core at most from what they look at.
            with ThreadPoolExecutor(1, thread_name_prefix="jpeg") as encoder:
                asyncio.run(self._serve(encoder))
        finally:
            # uvicorn has closed it, unless the end came before it had begun.
            self._listener.close()
            self._started.set()

    async def _serve(self, encoder: Executor) -> None:
        self._hub = Broadcaster(encoder, drawn=self._drawn)
        app = build(self._hub, token=self.token, port=self.port, tell=self._tell)
        # Its own log would name who was cut off at the end, and what was asked for, with the token in it.
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none", loop="asyncio",
            http=Prompt, server_header=False, proxy_headers=False, limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._started.set()
        await self._server.serve(sockets=[self._listener])
        for connection in [*self._server.server_state.connections]:
            # Its viewer has not taken what was sent; waiting for that would have no end.
            connection.transport.abort()
        await asyncio.sleep(0)


class Prompt(H11Protocol):
    """A connection that is closed unless something is asked through it soon."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn does it, with a time limit."""
        super().connection_made(transport)
        self.loop.call_later(SILENCE_S, self._close_unasked)

    def _close_unasked(self) -> None:
        if self.cycle is None:  # no whole head of a request has come
            self.transport.close()
