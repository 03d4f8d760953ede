"""Restrict access to the page: by token on the network, by host name on the loopback interface.

    app = AccessMiddleware(app, token=None, port=4912)      # loopback interface
    app = AccessMiddleware(app, token="...", port=4912)     # network

The token arrives as ?token=, which sets a cookie, or as "Authorization: Bearer". Without a token, only requests to a
loopback host name are answered. Otherwise a website could point its own name to 127.0.0.1 and read the page through a
visitor's browser (DNS rebinding).
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

# Load only the page's own files and images, and forbid embedding in other pages.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
LOOPBACK_HOST = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
# A page that navigates by itself, because browsers do not send a SameSite=Strict cookie along an HTTP redirect that
# began on another site.
WELCOME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>edgefer live</title>
<link rel="icon" href="icon.svg"><meta http-equiv="refresh" content="0; url=./"></head>
<body><p><a href="./">edgefer live</a></p></body></html>
"""
TOKEN_REQUIRED = "edgefer live requires a token: open the URL that it printed, which ends in ?token=...\n"
LOOPBACK_ONLY = "edgefer live serves this machine only: open it as 127.0.0.1 or localhost\n"
CROSS_SITE = "edgefer live rejects requests from other websites\n"


class AccessMiddleware:
    """ASGI middleware that rejects unauthorized requests and sets security headers."""

    def __init__(self, app: ASGIApp, *, token: str | None, port: int) -> None:
        """Wrap ``app``.

        Args:
            app: the application to protect.
            token: required token; None admits any request to a loopback host name.
            port: port of the page; part of the cookie name, so that two pages on one host do not share a cookie.
        """
        self._app = app
        self._cookie_name = f"edgefer_{port}"
        self._token_hash = None if token is None else _hash_token(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.update(HEADERS)
                if cookie is not None:
                    headers.append("Set-Cookie", cookie)
            await send(message)

        request = Request(scope)
        is_valid = self._is_valid_token(request.query_params.get("token"))
        cookie = f"{self._cookie_name}={self._token_hash}; Path=/; HttpOnly; SameSite=Strict" if is_valid else None
        response = self._rejection(request, is_valid)
        if response is None and is_valid and scope["path"] == "/":
            response = HTMLResponse(WELCOME)
        await (response or self._app)(scope, receive, send_with_headers)

    def _rejection(self, request: Request, is_valid: bool) -> Response | None:
        """Return the response that rejects the request, or None to admit it."""
        headers = request.headers
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode")
        if site not in ("none", "same-origin") and mode != "navigate":
            return PlainTextResponse(CROSS_SITE, 403)
        if self._token_hash is None:
            is_loopback = LOOPBACK_HOST.fullmatch(headers.get("host", ""))
            return None if is_loopback else PlainTextResponse(LOOPBACK_ONLY, 421)
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        has_bearer = scheme.lower() == "bearer" and self._is_valid_token(bearer.strip())
        if is_valid or has_bearer or self._has_cookie(headers):
            return None
        return PlainTextResponse(TOKEN_REQUIRED, 401, {"WWW-Authenticate": "Bearer"})

    def _is_valid_token(self, token: str | None) -> bool:
        if token is None or self._token_hash is None:
            return False
        return hmac.compare_digest(_hash_token(token), self._token_hash)

    def _has_cookie(self, headers: Headers) -> bool:
        cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie_name)
        # compare_digest() accepts non-ASCII text only as bytes.
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), (self._token_hash or "").encode())


def _hash_token(token: str) -> str:
    """Hash the token: a cookie must neither reveal it nor contain arbitrary characters."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
