"""What there is to open: the page and its files, the newest picture, all of them one after the other, and the state.

    app = build(hub, token=None, port=4912, tell=print)

| path | what |
|---|---|
| / | the page |
| /picture?after=N | a JPEG of a frame other than N, as soon as there is one; its scene is in a header, Edgefer-Scene |
| /snapshot.jpg | the newest picture, with boxes and labels |
| /video.mjpg | one such picture after the other, for an <img> or a player |
| /events | a scene after the other, as server-sent events |
| /healthz | {"ok": true, ...}; 503 where there is no new picture |
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

__all__ = ["STALE_S", "build"]

STALE_S = 3.0
# For how long a question for the next picture, or a silent stream, is left without an answer.
PATIENCE_S = 5.0
FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js", "/icon.svg": "icon.svg"}
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
BOUNDARY = "edgefer-frame"


def build(hub: Broadcaster, *, token: str | None, port: int, tell: Callable[[str], None]) -> ASGIApp:
    """The application that shows what ``hub`` holds.

    Args:
        hub: it.
        token: what has to be known; None for nothing.
        port: where it will be served.
        tell: is told what went wrong.
    """

    async def picture(request: Request) -> Response:
        after = request.query_params.get("after", "")
        seen = int(after) if after.isdecimal() and len(after) < 20 else None
        with hub.seat():
            shot = await hub.after(seen, patience_s=PATIENCE_S)
            if shot is None:
                return Response(status_code=204)
            headers = {"Edgefer-Scene": shot.json, "Edgefer-Drawn": str(int(hub.drawn))}
            return Response(await shot.jpeg(), media_type="image/jpeg", headers=headers)

    async def snapshot(request: Request) -> Response:
        with hub.seat():
            shot = hub.newest
            if shot is None:
                return PlainTextResponse("there is no picture yet\n", 503)
            return Response(await shot.jpeg(marked=True), media_type="image/jpeg")

    async def health(request: Request) -> Response:
        shot = hub.newest
        is_fresh = shot is not None and shot.age_s < STALE_S
        told = {
            "ok": is_fresh,
            "frame": shot and shot.scene.number,
            "age_ms": shot and round(1000 * shot.age_s, 1),
            "viewers": hub.taken,
        }
        return JSONResponse(told, 200 if is_fresh else 503)

    async def video(request: Request) -> Response:
        return Stream(hub, _part, f"multipart/x-mixed-replace; boundary={BOUNDARY}", idle=b"")

    async def events(request: Request) -> Response:
        return Stream(hub, _event, "text/event-stream", idle=b":\n\n")

    async def full(request: Request, error: Exception) -> Response:
        text = f"all {hub.seats} seats are taken\n"
        return PlainTextResponse(text, 503, {"Retry-After": "2"})

    async def broken(request: Request, error: Exception) -> Response:
        tell(f"{request.url.path} failed: {type(error).__name__}: {error}")
        return PlainTextResponse("edgefer live could not answer that\n", 500)

    endpoints = {
        "/picture": picture, "/snapshot.jpg": snapshot, "/video.mjpg": video, "/events": events, "/healthz": health,
    }  # fmt: skip
    routes = [Route(path, endpoint) for path, endpoint in endpoints.items()]
    app = Starlette(
        routes=[*routes, *(Route(path, _file(name)) for path, name in FILES.items())],
        exception_handlers={ViewerLimitReached: full, Exception: broken},
    )
    return AccessMiddleware(app, token=token, port=port)


class Stream(Response):
    """An answer that goes on for as long as somebody reads it; who is slow is given fewer shots."""

    def __init__(
        self, hub: Broadcaster, form: Callable[[EncodedFrame], Awaitable[bytes]], media_type: str, *, idle: bytes
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self._hub, self._form, self._idle = hub, form, idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the other side leaves, or the hub closes."""
        with self._hub.seat():
            sending = asyncio.ensure_future(self._send(send, only_head=scope["method"] == "HEAD"))
            leaving = asyncio.ensure_future(_left(receive))
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            for each in (sending, leaving):
                each.cancel()
            done = await asyncio.gather(sending, leaving, return_exceptions=True)
        for problem in done:
            if isinstance(problem, Exception):
                raise problem

    async def _send(self, send: Send, *, only_head: bool) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        shot: EncodedFrame | None = None
        while not (self._hub.closing or only_head):
            new = await self._hub.after(shot, patience_s=PATIENCE_S)
            body = self._idle if new is None else await self._form(new)
            shot = new or shot
            # Waits while the other side has not taken what it was sent; the next shot is the newest then.
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _part(shot: EncodedFrame) -> bytes:
    content = await shot.jpeg(marked=True)
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + b"\r\n"


async def _event(shot: EncodedFrame) -> bytes:
    return f"id: {shot.scene.number}\ndata: {shot.json}\n\n".encode()


def _file(name: str) -> Callable[[Request], Response]:
    content = importlib.resources.files(__package__).joinpath(name).read_bytes()
    kind = KINDS[name.rpartition(".")[2]]
    return lambda request: Response(content, media_type=kind)
