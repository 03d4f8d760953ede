"""ASGI application of the page.

    app = build_app(broadcaster, token=None, port=4912, log=print)

| path | response |
|---|---|
| / | the page |
| /picture?after=N | JPEG of the next frame other than N; its result is in the header Edgefer-Scene |
| /snapshot.jpg | JPEG of the newest frame, with boxes and labels |
| /video.mjpg | endless stream of such JPEGs, for an <img> or a video player |
| /events | endless stream of frame results, as server-sent events |
| /healthz | {"ok": true, ...}; status 503 if no frame is newer than 3 seconds |
"""

from __future__ import annotations

import asyncio
import importlib.resources
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edgefer.live.web.access import AccessMiddleware
from edgefer.live.web.broadcaster import Broadcaster, EncodedFrame, ViewerLimitReached

__all__ = ["STALE_S", "build_app"]

STALE_S = 3.0
# Maximum wait for the next frame: a /picture request ends without content, a stream sends a keep-alive message.
FRAME_TIMEOUT_S = 5.0
FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js", "/icon.svg": "icon.svg"}
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
BOUNDARY = "edgefer-frame"


def build_app(
    broadcaster: Broadcaster, *, token: str | None, port: int, log: Callable[[str], None]
) -> ASGIApp:
    """Build the application that serves the frames of ``broadcaster``.

    Args:
        broadcaster: source of the frames.
        token: required access token; None for a page on the loopback interface.
        port: port of the page.
        log: receives a message for each failed request.
    """

    async def picture(request: Request) -> Response:
        after = request.query_params.get("after", "")
        previous = int(after) if after.isdecimal() and len(after) < 20 else None
        with broadcaster.viewer_slot():
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
        return FrameStream(broadcaster, _mjpeg_part, media_type, keep_alive=b"")

    async def events(request: Request) -> Response:
        return FrameStream(broadcaster, _event, "text/event-stream", keep_alive=b":\n\n")

    async def viewer_limit(request: Request, error: Exception) -> Response:
        text = f"the limit of {broadcaster.max_viewers} viewers has been reached\n"
        return PlainTextResponse(text, 503, {"Retry-After": "2"})

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
    return AccessMiddleware(app, token=token, port=port)


class FrameStream(Response):
    """Response that streams frames until the viewer disconnects; a slow viewer gets fewer frames."""

    def __init__(
        self,
        broadcaster: Broadcaster,
        render: Callable[[EncodedFrame], Awaitable[bytes]],
        media_type: str,
        *,
        keep_alive: bytes,
    ) -> None:
        """Create the response.

        Args:
            broadcaster: source of the frames.
            render: returns the bytes to send for a frame.
            media_type: media type of the stream.
            keep_alive: sent when no new frame arrives in time.
        """
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._broadcaster, self._render, self._keep_alive = broadcaster, render, keep_alive

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
            body = self._keep_alive if frame is None else await self._render(frame)
            previous = frame or previous
            # Blocks while the viewer's send buffer is full; the next frame is the newest one then.
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _mjpeg_part(frame: EncodedFrame) -> bytes:
    content = await frame.jpeg(annotate=True)
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + b"\r\n"


async def _event(frame: EncodedFrame) -> bytes:
    return f"id: {frame.result.number}\ndata: {frame.json}\n\n".encode()


def _serve_file(name: str) -> Callable[[Request], Response]:
    content = importlib.resources.files(__package__).joinpath(name).read_bytes()
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    return lambda request: Response(content, media_type=media_type)
