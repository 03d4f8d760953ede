"""ASGI application of the page.

    app = build_app(broadcaster, token="...", port=4912, log=print)

| path | response |
|---|---|
| / | the page |
| /picture?after=N&viewer=ID | JPEG of the next frame other than N; its result is in the header Edgefer-Scene |
| /snapshot.jpg | JPEG of the newest frame, with boxes and labels |
| /video.mjpg | endless stream of such JPEGs, for an <img> or a video player |
| /events | endless stream of frame results, as server-sent events |
| /healthz | {"ok": true, ...}; status 503 if no frame is newer than 3 seconds |

The requests of a viewer ID occupy one viewer slot; without an ID, those of a connection. The streams tell proxies not
to buffer or compress them, and repeat themselves while there is no new frame.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import re
from collections.abc import Awaitable, Callable, Hashable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edgefer.live.web.access import AccessMiddleware
from edgefer.live.web.broadcaster import Broadcaster, EncodedFrame, ViewerLimitReached

__all__ = ["STALE_S", "build_app"]

STALE_S = 3.0
# Maximum wait for the next frame: a /picture request ends without content, a stream sends a heartbeat.
FRAME_TIMEOUT_S = 5.0
FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js", "/icon.svg": "icon.svg"}
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
BOUNDARY = "edgefer-frame"
# nginx and others collect the parts of a response by default, and a stream would arrive in bursts.
STREAM_HEADERS = {"Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no"}


def build_app(
    broadcaster: Broadcaster,
    *,
    token: str,
    port: int,
    log: Callable[[str], None],
    on_admission: Callable[[object], None] = lambda client: None,
) -> ASGIApp:
    """Build the application that serves the frames of ``broadcaster``.

    Args:
        broadcaster: source of the frames.
        token: required access token.
        port: port of the page.
        log: receives a message for each failed request.
        on_admission: receives the (host, port) of each client with the right token.
    """

    async def picture(request: Request) -> Response:
        after = request.query_params.get("after", "")
        previous = int(after) if after.isdecimal() and len(after) < 20 else None
        with broadcaster.viewer_slot(_viewer(request)):
            frame = await broadcaster.next_after(previous, timeout_s=FRAME_TIMEOUT_S)
            if frame is None:
                return Response(status_code=204)
            headers = {"Edgefer-Scene": frame.json, "Edgefer-Drawn": str(int(broadcaster.annotated))}
            return Response(await frame.jpeg(), media_type="image/jpeg", headers=headers)

    async def snapshot(request: Request) -> Response:
        with broadcaster.viewer_slot():
            frame = broadcaster.newest
            if frame is None:
                return PlainTextResponse("no frame has been captured yet\n", 503)
            return Response(await frame.jpeg(annotate=True), media_type="image/jpeg")

    async def health(request: Request) -> Response:
        frame = broadcaster.newest
        is_fresh = frame is not None and frame.age_s < STALE_S
        record = {
            "ok": is_fresh,
            "frame": frame and frame.result.number,
            "age_ms": frame and round(1000 * frame.age_s, 1),
            "viewers": broadcaster.viewers,
        }
        return JSONResponse(record, 200 if is_fresh else 503)

    async def video(request: Request) -> Response:
        media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        # A browser shows a part when it receives the boundary after it.
        return FrameStream(broadcaster, _mjpeg_part, media_type, preamble=f"--{BOUNDARY}\r\n".encode())

    async def events(request: Request) -> Response:
        return FrameStream(broadcaster, _event, "text/event-stream", heartbeat=b":\n\n")

    async def viewer_limit(request: Request, error: Exception) -> Response:
        text = f"the limit of {broadcaster.max_viewers} viewers has been reached\n"
        return PlainTextResponse(text, 503, {"Retry-After": "2", "Connection": "close"})

    async def server_error(request: Request, error: Exception) -> Response:
        log(f"{request.url.path} failed: {type(error).__name__}: {error}")
        return PlainTextResponse("internal error\n", 500)

    endpoints = {
        "/picture": picture, "/snapshot.jpg": snapshot, "/video.mjpg": video, "/events": events, "/healthz": health,
    }  # fmt: skip
    routes = [Route(path, endpoint) for path, endpoint in endpoints.items()]
    app = Starlette(
        routes=[*routes, *(Route(path, _serve_file(name)) for path, name in FILES.items())],
        exception_handlers={ViewerLimitReached: viewer_limit, Exception: server_error},
    )
    return AccessMiddleware(app, token=token, port=port, on_admission=on_admission)


def _viewer(request: Request) -> Hashable:
    """Return the identity that a page sends, or the (host, port) of the connection."""
    viewer = request.query_params.get("viewer", "")
    return viewer if re.fullmatch(r"[0-9a-f]{16,64}", viewer) else request.scope.get("client")


class FrameStream(Response):
    """Response that streams frames until the viewer disconnects; a slow viewer gets fewer frames."""

    def __init__(
        self,
        broadcaster: Broadcaster,
        render: Callable[[EncodedFrame], Awaitable[bytes]],
        media_type: str,
        *,
        preamble: bytes = b"",
        heartbeat: bytes | None = None,
    ) -> None:
        """Create the response.

        Args:
            broadcaster: source of the frames.
            render: returns the bytes to send for a frame.
            media_type: media type of the stream.
            preamble: sent before the first frame.
            heartbeat: sent when no new frame arrives in time; None repeats the last frame.
        """
        super().__init__(media_type=media_type, headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._broadcaster, self._render = broadcaster, render
        self._preamble, self._heartbeat = preamble, heartbeat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send frames until the viewer disconnects or the broadcaster closes."""
        with self._broadcaster.viewer_slot():
            tasks = (
                asyncio.ensure_future(self._send(send, head_only=scope["method"] == "HEAD")),
                asyncio.ensure_future(_wait_for_disconnect(receive)),
            )
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _send(self, send: Send, *, head_only: bool) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        previous: EncodedFrame | None = None
        while not (self._broadcaster.closing or head_only):
            frame = await self._broadcaster.next_after(previous, timeout_s=FRAME_TIMEOUT_S)
            body = await self._body(frame, previous)
            previous = frame or previous
            # Blocks while the viewer's send buffer is full; the next frame is the newest one then.
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, frame: EncodedFrame | None, previous: EncodedFrame | None) -> bytes:
        """Return the bytes for ``frame``; without one, a heartbeat."""
        if frame is None and self._heartbeat is not None:
            return self._heartbeat
        if frame is None and previous is None:
            return b"\r\n"  # ignored before the first part
        content = await self._render(frame or previous)  # type: ignore[arg-type]
        return content if previous else self._preamble + content


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _mjpeg_part(frame: EncodedFrame) -> bytes:
    content = await frame.jpeg(annotate=True)
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + f"\r\n--{BOUNDARY}\r\n".encode()


async def _event(frame: EncodedFrame) -> bytes:
    return f"id: {frame.result.number}\ndata: {frame.json}\n\n".encode()


def _serve_file(name: str) -> Callable[[Request], Response]:
    content = importlib.resources.files(__package__).joinpath(name).read_bytes()
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    return lambda request: Response(content, media_type=media_type)
