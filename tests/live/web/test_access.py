"""Access rules, checked on a running server."""

from __future__ import annotations

import logging

import pytest

from edgefer.live.web import Address, serving

TOKEN = "a-token-of-16-ch"
PATHS = ("/", "/page.js", "/picture", "/snapshot.jpg", "/video.mjpg", "/events", "/healthz", "/nowhere")


@pytest.mark.parametrize("address", [Address("127.0.0.1", 0), Address("localhost", 0), Address("0.0.0.0", 0)])
def test_every_page_requires_a_token_which_its_url_contains(client, address) -> None:
    with serving(address) as server, serving(address) as other:
        assert len(server.token) >= 32
        assert server.url.endswith(f"/?token={server.token}")
        assert server.token != other.token
        stranger = client(server, token="")
        assert stranger.get("/").status == 401
        assert stranger.get(f"/?token={server.token}").status == 200
        assert stranger.get(f"/?token={other.token}").status == 401
    with serving(address, token=TOKEN) as server:
        assert TOKEN not in server.url


def test_requests_without_a_valid_token_are_rejected(serve, client, make_result) -> None:
    server = serve(token=TOKEN)
    server.publish(make_result())
    http = client(server, token="")
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
    http = client(server, token="")
    welcome = http.get(f"/?token={TOKEN}")
    assert welcome.status == 200
    assert b'url=./"' in welcome.body
    cookie, *attributes = welcome.headers["Set-Cookie"].split("; ")
    # Without a path: the browser takes the folder of the URL, also behind a proxy that adds one.
    assert attributes == ["HttpOnly", "SameSite=Strict"]
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
    http = client(server, token="")
    response = http.get("/healthz?token=p%C3%A4ssw%C3%B6rt;%20with%20spaces")
    assert response.status == 200
    assert http.get("/healthz", Cookie=response.headers["Set-Cookie"].split(";")[0]).status == 200


def test_requests_from_other_websites_are_rejected(serve, client, make_result) -> None:
    server = serve()
    server.publish(make_result())
    http = client(server)
    for site in ("cross-site", "same-site"):
        response = http.get("/snapshot.jpg", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")
        assert response.status == 403
        assert http.get("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200
    assert http.get("/snapshot.jpg", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="no-cors").status == 200
    # Browsers without Sec-Fetch-Site send the origin.
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{http.port + 1}", "http://["):
        assert http.get("/events", Origin=origin).status == 403
    assert http.get("/snapshot.jpg", Origin=f"http://127.0.0.1:{http.port}").status == 200
    assert http.get("/snapshot.jpg", Origin="https://Pi.local", Host="pi.local").status == 200


@pytest.mark.parametrize(
    "others",
    [
        'consent={"ads":false,"path":"/a,b"}',
        "odd name=1; =; ; =x; a[b]=1; sp ace; \xe4=\xff",
        "edgefer_80=; edgefer_=x; edgefer_4912",
        "; ".join(f"service_{number}={number:020d}" for number in range(3000)),
    ],
)
def test_cookies_of_other_services_on_the_host_do_not_matter(serve, client, make_result, others) -> None:
    server = serve(token=TOKEN)
    server.publish(make_result())
    http = client(server, token="")
    cookie = http.get(f"/?token={TOKEN}").headers["Set-Cookie"].partition(";")[0]
    name = cookie.partition("=")[0]
    for header in (f"{others}; {cookie}", f"{cookie}; {others}", f'{name}=outdated; {others}; {name}="{cookie[-64:]}"'):
        assert http.get("/healthz", Cookie=header).status == 200
        assert http.get("/healthz", Cookie=header.replace(cookie[-64:], "0" * 64)).status == 401


def test_pages_at_the_ends_of_tunnels_have_separate_cookies(serve, client, make_result) -> None:
    server = serve(token=TOKEN)
    server.publish(make_result())
    http = client(server, token="")
    cookies = {
        host: http.get(f"/?token={TOKEN}", Host=host).headers["Set-Cookie"].partition("=")[0]
        for host in ("localhost:4912", "localhost:4913", "pi.local")
    }
    assert cookies == {
        "localhost:4912": "edgefer_4912", "localhost:4913": "edgefer_4913", "pi.local": f"edgefer_{http.port}",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/%ff", "/?token=%ff%fe", "/picture?after=%ff&viewer=%00", "/%00", "/?%ff=%ff&&=;"])
def test_invalid_utf8_is_not_a_server_error(serve, client, make_result, path) -> None:
    server = serve()
    server.publish(make_result())
    assert client(server).get(path).status in (200, 404)
    assert client(server, token="").get(path).status == 401


def test_too_large_headers_are_rejected_with_a_reason(serve, client, make_result) -> None:
    server = serve()
    server.publish(make_result())
    response = client(server).get("/", Cookie="x=" + "y" * 2**19)
    assert response.status == 431
    assert b"delete the cookies of this host" in response.body
    assert client(server).get("/").status == 200


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
    http = client(server, token="")
    for path in PATHS:
        if path not in ("/video.mjpg", "/events"):
            http.get(f"{path}?token={TOKEN}")
            http.get(f"{path}?token={TOKEN}x")
    server.close()
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(capfd.readouterr())
