"""Who may see the page: those who reach it by its own name and, where a token is asked for, know it.

    app = Guard(app, token=None, port=4912)         # on 127.0.0.1
    app = Guard(app, token="...", port=4912)        # for others

The token comes as ?token=, which is answered with a cookie, or as "Authorization: Bearer". Without one, the page is for
this machine alone, and a request that names another host is refused: a website could have its own name point to
127.0.0.1 and read the page through a visitor's browser (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from http.cookies import SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AccessMiddleware"]

# Its own files and pictures, and nothing else; within nobody else's page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OWN_NAMES = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
# A redirect would count as a step of the site that linked here, and the cookie is for steps of this page alone.
WELCOME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>edgefer live</title>
<link rel="icon" href="icon.svg"><meta http-equiv="refresh" content="0; url=./"></head>
<body><p><a href="./">edgefer live</a></p></body></html>
"""
STRANGER = "edgefer live asks for a token: open the address that it printed, which ends in ?token=...\n"
REBOUND = "edgefer live is for this machine: open it as 127.0.0.1 or localhost\n"
ELSEWHERE = "edgefer live is not for other websites\n"


class AccessMiddleware:
    """What stands before an ASGI application."""

    def __init__(self, app: ASGIApp, *, token: str | None, port: int) -> None:
        """Let through whoever knows ``token``; ``port`` tells the cookies of two pages on one host apart."""
        self._app = app
        self._cookie = f"edgefer_{port}"
        self._proof = None if token is None else _proof(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.update(HEADERS)
                if cookie is not None:
                    headers.append("Set-Cookie", cookie)
            await send(message)

        request = Request(scope)
        knows = self._knows(request.query_params.get("token"))
        cookie = f"{self._cookie}={self._proof}; Path=/; HttpOnly; SameSite=Strict" if knows else None
        answer = self._refusal(request, knows)
        if answer is None and knows and scope["path"] == "/":
            answer = HTMLResponse(WELCOME)
        await (answer or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request, knows: bool) -> Response | None:
        headers = request.headers
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode")
        if site not in ("none", "same-origin") and mode != "navigate":
            return PlainTextResponse(ELSEWHERE, 403)
        if self._proof is None:
            own = OWN_NAMES.fullmatch(headers.get("host", ""))
            return None if own else PlainTextResponse(REBOUND, 421)
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if knows or (scheme.lower() == "bearer" and self._knows(bearer.strip())) or self._has_cookie(headers):
            return None
        return PlainTextResponse(STRANGER, 401, {"WWW-Authenticate": "Bearer"})

    def _knows(self, told: str | None) -> bool:
        return told is not None and self._proof is not None and hmac.compare_digest(_proof(told), self._proof)

    def _has_cookie(self, headers: Headers) -> bool:
        given = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        # As bytes: what a stranger sends need not be ASCII.
        return given is not None and hmac.compare_digest(given.value.encode(), (self._proof or "").encode())


def _proof(token: str) -> str:
    """What a cookie holds in its place: neither the token itself nor anything that a cookie could not hold."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
