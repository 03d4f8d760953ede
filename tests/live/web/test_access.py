"""Who is let in, asked of a server that runs."""

from __future__ import annotations

import logging

import pytest

TOKEN = "a-token-of-16-ch"
EVERYTHING = ("/", "/page.js", "/picture", "/snapshot.jpg", "/video.mjpg", "/events", "/healthz", "/nowhere")


def test_on_this_machine_nothing_is_asked_but_its_own_name(serve, client, make) -> None:
    server = serve()
    server.publish(make())
    ask = client(server)
    for host in ("127.0.0.1", f"127.0.0.1:{ask.port}", "localhost:9999", "LOCALHOST", "[::1]:80"):
        assert ask.get("/", Host=host).status == 200
    for host in ("evil.example", f"evil.example:{ask.port}", "127.0.0.1.evil.example", "localhost.evil.example", ""):
        for path in EVERYTHING:
            answer = ask.get(path, Host=host)
            assert (answer.status, b"127.0.0.1" in answer.body) == (421, True)


def test_without_the_token_there_is_nothing(serve, client, make) -> None:
    server = serve(token=TOKEN)
    server.publish(make())
    ask = client(server)
    for path in EVERYTHING:
        for headers in (
            {},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer \xff"},
            {"Cookie": f"edgefer_{ask.port}={TOKEN}"},
            {"Cookie": f"edgefer_{ask.port}=\xff; a\x7f=b"},
        ):
            answer = ask.get(path, **headers)
            assert answer.status == 401
            assert b"?token=" in answer.body
            assert answer.headers["Set-Cookie"] is None
        assert ask.get(f"{path}?token={TOKEN[:-1]}").status == 401
        assert ask.get(f"{path}?token=").status == 401


def test_the_token_is_answered_with_a_cookie_that_opens_all_and_does_not_tell_it(serve, client, make) -> None:
    server = serve(token=TOKEN)
    server.publish(make())
    ask = client(server)
    welcome = ask.get(f"/?token={TOKEN}")
    assert welcome.status == 200
    assert b'url=./"' in welcome.body
    cookie, *settings = welcome.headers["Set-Cookie"].split("; ")
    assert settings == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert TOKEN not in str(welcome.headers)
    assert TOKEN.encode() not in welcome.body
    for path in ("/", "/page.css", "/picture", "/snapshot.jpg", "/healthz"):
        assert ask.get(path, Cookie=cookie).status == 200
        assert ask.get(path, Cookie=f"another=1; {cookie}").status == 200
        assert ask.get(path, Authorization=f"bearer {TOKEN}").status == 200
        # By any name: a foreign one that leads here comes without the cookie.
        assert ask.get(path, Cookie=cookie, Host="pi.local:4912").status == 200


def test_a_token_can_have_any_characters(serve, client, make) -> None:
    server = serve(token="pässwört; with spaces")
    server.publish(make())
    answer = client(server).get("/healthz?token=p%C3%A4ssw%C3%B6rt;%20with%20spaces")
    assert answer.status == 200
    assert client(server).get("/healthz", Cookie=answer.headers["Set-Cookie"].split(";")[0]).status == 200


def test_where_others_reach_it_a_token_is_made_up_and_stands_in_the_url(client) -> None:
    from edgefer.live.web import Address, serving

    with serving(Address("0.0.0.0", 0)) as server, serving(Address("0.0.0.0", 0)) as other:
        assert len(server.token) >= 32
        assert server.url.endswith(f"/?token={server.token}")
        assert server.token != other.token
        assert client(server).get("/").status == 401
        assert client(server).get(f"/?token={server.token}").status == 200
        assert client(server).get(f"/?token={other.token}").status == 401
    with serving(Address("0.0.0.0", 0), token=TOKEN) as server:
        assert TOKEN not in server.url


def test_other_websites_are_not_let_in(serve, client, make) -> None:
    server = serve()
    server.publish(make())
    ask = client(server)
    for site in ("cross-site", "same-site"):
        answer = ask.get("/snapshot.jpg", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")
        assert answer.status == 403
        assert ask.get("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200
    assert ask.get("/snapshot.jpg", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="no-cors").status == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/picture", "/snapshot.jpg", "/healthz", "/nowhere"])
def test_every_answer_has_the_strict_headers_and_no_cors(serve, client, make, path) -> None:
    server = serve()
    server.publish(make())
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


def test_the_token_is_in_no_log(serve, client, make, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(token=TOKEN)
    server.publish(make())
    ask = client(server)
    for path in EVERYTHING:
        if path not in ("/video.mjpg", "/events"):
            ask.get(f"{path}?token={TOKEN}")
            ask.get(f"{path}?token={TOKEN}x")
    server.close()
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(capfd.readouterr())
