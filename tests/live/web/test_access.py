"""Access rules, checked on a running server."""

from __future__ import annotations

import logging

import pytest

from edgefer.live.web import Address, serving

TOKEN = "a-token-of-16-ch"
PATHS = ("/", "/page.js", "/picture", "/snapshot.jpg", "/video.mjpg", "/events", "/healthz", "/nowhere")


def test_a_private_page_accepts_loopback_host_names_only(serve, client, make_result) -> None:
    server = serve()
    server.publish(make_result())
    http = client(server)
    for host in ("127.0.0.1", f"127.0.0.1:{http.port}", "localhost:9999", "LOCALHOST", "[::1]:80"):
        assert http.get("/", Host=host).status == 200
    for host in ("evil.example", f"evil.example:{http.port}", "127.0.0.1.evil.example", "localhost.evil.example", ""):
        for path in PATHS:
            response = http.get(path, Host=host)
            assert (response.status, b"127.0.0.1" in response.body) == (421, True)


def test_requests_without_a_valid_token_are_rejected(serve, client, make_result) -> None:
    server = serve(token=TOKEN)
    server.publish(make_result())
    http = client(server)
    for path in PATHS:
        for headers in (
            {},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer \xff"},
            {"Cookie": f"edgefer_{http.port}={TOKEN}"},
            {"Cookie": f"edgefer_{http.port}=\xff; a\x7f=b"},
        ):
            response = http.get(path, **headers)
            assert response.status == 401
            assert b"?token=" in response.body
            assert response.headers["Set-Cookie"] is None
        assert http.get(f"{path}?token={TOKEN[:-1]}").status == 401
        assert http.get(f"{path}?token=").status == 401


def test_the_token_sets_a_cookie_that_admits_every_request_and_hides_the_token(serve, client, make_result) -> None:
    server = serve(token=TOKEN)
    server.publish(make_result())
    http = client(server)
    welcome = http.get(f"/?token={TOKEN}")
    assert welcome.status == 200
    assert b'url=./"' in welcome.body
    cookie, *attributes = welcome.headers["Set-Cookie"].split("; ")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert TOKEN not in str(welcome.headers)
    assert TOKEN.encode() not in welcome.body
    for path in ("/", "/page.css", "/picture", "/snapshot.jpg", "/healthz"):
        assert http.get(path, Cookie=cookie).status == 200
        assert http.get(path, Cookie=f"another=1; {cookie}").status == 200
        assert http.get(path, Authorization=f"bearer {TOKEN}").status == 200
        # Any host name is safe: a browser sends no cookie to a foreign name that resolves to this machine.
        assert http.get(path, Cookie=cookie, Host="pi.local:4912").status == 200


def test_a_token_may_contain_any_characters(serve, client, make_result) -> None:
    server = serve(token="pässwört; with spaces")
    server.publish(make_result())
    response = client(server).get("/healthz?token=p%C3%A4ssw%C3%B6rt;%20with%20spaces")
    assert response.status == 200
    assert client(server).get("/healthz", Cookie=response.headers["Set-Cookie"].split(";")[0]).status == 200


def test_a_page_on_the_network_generates_a_token_and_shows_it_in_the_url(client) -> None:
    with serving(Address("0.0.0.0", 0)) as server, serving(Address("0.0.0.0", 0)) as other:
        assert len(server.token) >= 32
        assert server.url.endswith(f"/?token={server.token}")
        assert server.token != other.token
        assert client(server).get("/").status == 401
        assert client(server).get(f"/?token={server.token}").status == 200
        assert client(server).get(f"/?token={other.token}").status == 401
    with serving(Address("0.0.0.0", 0), token=TOKEN) as server:
        assert TOKEN not in server.url


def test_requests_from_other_websites_are_rejected(serve, client, make_result) -> None:
    server = serve()
    server.publish(make_result())
    http = client(server)
    for site in ("cross-site", "same-site"):
        response = http.get("/snapshot.jpg", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")
        assert response.status == 403
        assert http.get("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200
    assert http.get("/snapshot.jpg", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="no-cors").status == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/picture", "/snapshot.jpg", "/healthz", "/nowhere"])
def test_every_response_has_the_security_headers_and_no_cors(serve, client, make_result, path) -> None:
    server = serve()
    server.publish(make_result())
    headers = client(server).get(path, Origin="http://evil.example").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in headers if name.lower().startswith("access-control-")]
    assert "uvicorn" not in str(headers).lower()


def test_no_log_contains_the_token(serve, client, make_result, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(token=TOKEN)
    server.publish(make_result())
    http = client(server)
    for path in PATHS:
        if path not in ("/video.mjpg", "/events"):
            http.get(f"{path}?token={TOKEN}")
            http.get(f"{path}?token={TOKEN}x")
    server.close()
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(capfd.readouterr())
