"""Web server in a background thread.

    server = Server(Address.parse(":4912"))
    server.publish(result)
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
from edgefer.live.web.app import build_app
from edgefer.live.web.broadcaster import Broadcaster

__all__ = ["Server"]

MIN_TOKEN_LENGTH = 12
MAX_CONNECTIONS = 64
SHUTDOWN_S = 1
START_TIMEOUT_S = 20.0
# Idle connections are closed; otherwise MAX_CONNECTIONS of them would block all viewers.
REQUEST_TIMEOUT_S = 5.0


class Server:
    """Server of the page; also a Sink.

    Attributes:
        url: URL for a browser, with the token if it was generated.
        token: access token that viewers need; None if the page needs none.
        port: port that the server listens on.
    """

    def __init__(
        self,
        address: Address,
        *,
        token: str | None = None,
        annotated: bool = False,
        log: Callable[[str], None] = lambda message: None,
    ) -> None:
        """Start serving.

        Args:
            address: the address to listen on.
            token: access token; if None, one is generated unless the address is private.
            annotated: True if the published images contain boxes and labels.
            log: receives a message for each failed request, from another thread.

        Raises:
            UsageError: the token is too short.
            EdgeferError: the server cannot listen on the address.
        """
        if token is not None and len(token) < MIN_TOKEN_LENGTH:
            why, hint = f"expected at least {MIN_TOKEN_LENGTH} characters", "omit --token to generate one"
            raise UsageError(f"token of {len(token)} characters", why=why, hint=hint)
        generated = secrets.token_urlsafe() if token is None and not address.is_private else None
        self.token = token or generated
        self._annotated, self._log = annotated, log
        self._listener = address.listen()
        self.port = self._listener.getsockname()[1]
        self.url = address.url(self.port) + (f"?token={generated}" if generated else "")
        self._broadcaster: Broadcaster | None = None
        self._server: uvicorn.Server | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web-server", daemon=True)
        self._thread.start()
        self._started.wait(START_TIMEOUT_S)

    def publish(self, result: FrameResult) -> None:
        """Make ``result`` the newest frame of the page, without blocking."""
        if self._broadcaster is not None:
            self._broadcaster.publish(result)

    def close(self) -> None:
        """Stop serving; connections that do not end by themselves are closed within two seconds."""
        if self._broadcaster is not None and self._server is not None:
            self._broadcaster.close()
            self._server.should_exit = True
        self._thread.join(SHUTDOWN_S + 5)

    def _run(self) -> None:
        try:
            # A single encoder thread, so that viewers take at most one core from the recognition.
            with ThreadPoolExecutor(1, thread_name_prefix="jpeg") as encoder:
                asyncio.run(self._serve(encoder))
        finally:
            # uvicorn closes the socket only if it got to the point of using it.
            self._listener.close()
            self._started.set()

    async def _serve(self, encoder: Executor) -> None:
        self._broadcaster = Broadcaster(encoder, annotated=self._annotated)
        app = build_app(self._broadcaster, token=self.token, port=self.port, log=self._log)
        # No access log: it would contain the token, as part of the URL.
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none", loop="asyncio",
            http=RequestTimeoutProtocol, server_header=False, proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS, timeout_graceful_shutdown=SHUTDOWN_S,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._started.set()
        await self._server.serve(sockets=[self._listener])
        for connection in [*self._server.server_state.connections]:
            # The send buffer of this viewer is full, and waiting for it to drain might never end.
            connection.transport.abort()
        await asyncio.sleep(0)


class RequestTimeoutProtocol(H11Protocol):
    """HTTP connection that closes if no complete request head arrives in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout."""
        super().connection_made(transport)
        self.loop.call_later(REQUEST_TIMEOUT_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None:  # no complete request head has arrived
            self.transport.close()
