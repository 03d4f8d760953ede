"""Web server in a background thread.

    server = Server(Address.parse(":4912"))
    server.publish(result)
    server.close()
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgefer.live.frame_result import FrameResult
from edgefer.live.web.address import Address, check_token
from edgefer.live.web.app import build_app
from edgefer.live.web.broadcaster import Broadcaster
from edgefer.live.web.connections import Connections

__all__ = ["Server"]

# Browsers send the cookies of all services on a host, and those may be thousands.
MAX_HEADER_BYTES = 2**17
# asyncio accepts up to this many connections before it reads their requests. The number is below MAX_WAITING, so that
# no connection is closed before its request is read.
BACKLOG = 128
SHUTDOWN_S = 1
START_TIMEOUT_S = 20.0
# A connection on which a request does not arrive within this time is closed.
REQUEST_TIMEOUT_S = 5.0


class Server:
    """Server of the page; also a Sink.

    Attributes:
        url: URL for a browser, with the token if it was generated.
        token: access token that viewers need.
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
            token: access token; None generates one.
            annotated: True if the published images contain boxes and labels.
            log: receives a message for each failed request, from another thread.

        Raises:
            UsageError: the token is too short.
            EdgeferError: the server cannot listen on the address.
        """
        if token is not None:
            check_token(token)
        self.token = token or secrets.token_urlsafe()
        self._annotated, self._log = annotated, log
        self._listener = address.listen()
        self.port = self._listener.getsockname()[1]
        self.url = address.url(self.port) + ("" if token else f"?token={self.token}")
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
            # uvicorn closes the socket only if its startup reached the point of using it.
            self._listener.close()
            self._started.set()

    async def _serve(self, encoder: Executor) -> None:
        self._broadcaster, connections = Broadcaster(encoder, annotated=self._annotated), Connections()
        app = build_app(
            self._broadcaster, token=self.token, port=self.port, log=self._log, on_admission=connections.admit
        )
        protocol = partial(Connection, connections=connections, broadcaster=self._broadcaster)
        # No access log: it would contain the token, as part of the URL.
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none", loop="asyncio",
            http=protocol, server_header=False, proxy_headers=False,  # type: ignore[arg-type]
            backlog=BACKLOG, h11_max_incomplete_event_size=MAX_HEADER_BYTES, timeout_graceful_shutdown=SHUTDOWN_S,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._started.set()
        await self._server.serve(sockets=[self._listener])
        for connection in [*self._server.server_state.connections]:
            # The send buffer of this viewer is full, and waiting for it to drain might never end.
            connection.transport.abort()
        await asyncio.sleep(0)


class Connection(H11Protocol):
    """HTTP connection that closes if a request does not arrive completely in time."""

    def __init__(self, *args: Any, connections: Connections, broadcaster: Broadcaster, **options: Any) -> None:
        """Create the protocol.

        Args:
            *args: positional arguments of uvicorn's protocol.
            connections: the connections without an admitted request.
            broadcaster: holder of the viewer slots.
            **options: keyword arguments of uvicorn's protocol.
        """
        super().__init__(*args, **options)
        self._connections, self._broadcaster = connections, broadcaster
        self._timeout: asyncio.TimerHandle | None = None
        self._is_rejected = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout."""
        super().connection_made(transport)
        self._connections.open(self.client, transport.abort)
        self._restart_timeout()

    def data_received(self, data: bytes) -> None:
        """Handle a part of a request, which may be incomplete."""
        if self._is_rejected:
            return
        super().data_received(data)
        if self._is_responding():
            self._cancel_timeout()
        elif self._timeout is None:
            self._restart_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the slot of the viewer."""
        super().connection_lost(exc)
        self._cancel_timeout()
        self._connections.remove(self.client)
        self._broadcaster.release(self.client)

    def send_400_response(self, msg: str) -> None:
        """Reject a malformed or too large request."""
        error = sys.exc_info()[1]
        if not isinstance(error, h11.RemoteProtocolError) or error.error_status_hint != 431:
            super().send_400_response(msg)
            return
        text = f"the request header exceeds {MAX_HEADER_BYTES // 1024} KiB: delete the cookies of this host\n"
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
        for event in (
            h11.Response(status_code=431, headers=headers, reason=b"Request Header Fields Too Large"),
            h11.Data(data=text.encode()),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        # Closing while the client still sends would discard the response.
        self._is_rejected = True
        self.transport.write_eof()

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _restart_timeout(self) -> None:
        self._timeout = self.loop.call_later(REQUEST_TIMEOUT_S, self._close_if_incomplete)

    def _cancel_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _close_if_incomplete(self) -> None:
        self._timeout = None
        if not self._is_responding():
            self.transport.close()
