"""Restrict access to the page by a token.

    app = AccessMiddleware(app, token="...", port=4912, on_admission=connections.admit)

The token arrives as ?token=, which sets a cookie, or as "Authorization: Bearer". It is required on the loopback
interface too, because every user of the machine, and every website that points its own name to 127.0.0.1, can reach a
port there.

Browsers send a cookie to all ports of a host, so the header may contain many cookies of other services, in any format.
The cookie's name contains the port in the browser's URL, and it is valid for the folder of that URL: pages behind one
proxy or at the ends of several tunnels do not overwrite each other's cookies.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator

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
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
COOKIE = "edgefer_"
# A page that navigates by itself, because browsers do not send a SameSite=Strict cookie along an HTTP redirect that
# began on another site.
WELCOME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>edgefer live</title>
<link rel="icon" href="icon.svg"><meta http-equiv="refresh" content="0; url=./"></head>
<body><p><a href="./">edgefer live</a></p></body></html>
"""
TOKEN_REQUIRED = "edgefer live requires a token: open the URL that it printed, which ends in ?token=...\n"
CROSS_SITE = "edgefer live rejects requests from other websites\n"


class AccessMiddleware:
    """ASGI middleware that rejects unauthorized requests and sets security headers."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        port: int,
        on_admission: Callable[[object], None] = lambda client: None,
    ) -> None:
        """Wrap ``app``.

        Args:
            app: the application to protect.
            token: required token.
            port: port of the page; part of the cookie's name if the browser's URL has no port.
            on_admission: receives the (host, port) of each client whose request is admitted.
        """
        self._app, self._port, self._on_admission = app, port, on_admission
        self._token_hash = _hash_token(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if cookie is not None:
                    headers.append("Set-Cookie", cookie)
            await send(message)

        request = Request(scope)
        is_valid = any(map(self._is_valid_token, request.query_params.getlist("token")))
        cookie = self._cookie(request.headers) if is_valid else None
        response = self._rejection(request, is_valid)
        if response is None:
            self._on_admission(scope.get("client"))
            if is_valid and scope["path"] == "/":
                response = HTMLResponse(WELCOME)
        await (response or self._app)(scope, receive, send_with_headers)

    def _rejection(self, request: Request, is_valid: bool) -> Response | None:
        """Return the response that rejects the request, or None to admit it."""
        headers = request.headers
        if _is_cross_site(headers):
            return PlainTextResponse(CROSS_SITE, 403, {"Connection": "close"})
        if is_valid or self._has_bearer(headers) or self._has_cookie(headers):
            return None
        return PlainTextResponse(TOKEN_REQUIRED, 401, {"WWW-Authenticate": "Bearer", "Connection": "close"})

    def _is_valid_token(self, token: str) -> bool:
        return hmac.compare_digest(_hash_token(token), self._token_hash)

    def _has_bearer(self, headers: Headers) -> bool:
        words = (value.partition(" ") for value in headers.getlist("authorization"))
        return any(scheme.lower() == "bearer" and self._is_valid_token(token.strip()) for scheme, _, token in words)

    def _cookie(self, headers: Headers) -> str:
        port = re.search(r":(\d{1,5})$", headers.get("host", ""))
        # Without a path, the cookie is valid for the folder of the URL, which a proxy may have changed.
        return f"{COOKIE}{port[1] if port else self._port}={self._token_hash}; HttpOnly; SameSite=Strict"

    def _has_cookie(self, headers: Headers) -> bool:
        # compare_digest() accepts non-ASCII text only as bytes.
        expected = self._token_hash.encode()
        return any(
            name.startswith(COOKIE) and hmac.compare_digest(value.encode(), expected)
            for name, value in _cookies(headers)
        )


def _is_cross_site(headers: Headers) -> bool:
    """Return True if another website sent the request, other than by a link to the page."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("none", "same-origin") and headers.get("sec-fetch-mode") != "navigate"
    # Browsers without Sec-Fetch-Site send Origin with each request that another website could read.
    return origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower()


def _cookies(headers: Headers) -> Iterator[tuple[str, str]]:
    """Yield all cookies, also those that http.cookies rejects together with every cookie after them."""
    for header in headers.getlist("cookie"):
        for cookie in header.split(";"):
            name, _, value = cookie.strip().partition("=")
            yield name, value.strip('"')


def _hash_token(token: str) -> str:
    """Hash the token: a cookie must neither reveal it nor contain arbitrary characters."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
