"""Endpoints of the page, requested from a running server."""

from __future__ import annotations

import json
import re
import time

import cv2
import numpy as np
import pytest

from edgefer.inference.output import BOX_COLOR
from edgefer.live.web import Address, app, broadcaster, serving

ORANGE = np.array(BOX_COLOR)


def decode(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def has_caption(image):
    """Return True if the caption of make_face() is drawn; its background is orange."""
    return bool(abs(image[56:59, 174:200].astype(int) - ORANGE).mean() < 20)


def test_picture_returns_an_image_without_boxes_and_its_result(serve, client, make_result, make_face) -> None:
    server = serve()
    published = make_result(41, make_face())
    server.publish(published)
    response = client(server).get("/picture?after=40")
    assert (response.status, response.headers["Content-Type"]) == (200, "image/jpeg")
    assert json.loads(response.headers["Edgefer-Scene"]) == published.to_json()
    assert response.headers["Edgefer-Drawn"] == "0"
    assert abs(decode(response.body).astype(int) - published.image).mean() < 4


def test_the_snapshot_has_boxes_and_captions(serve, client, make_result, make_face) -> None:
    server = serve()
    server.publish(make_result(0, make_face()))
    snapshot = decode(client(server).get("/snapshot.jpg").body)
    plain = decode(client(server).get("/picture").body)
    assert has_caption(snapshot)
    assert not has_caption(plain)


def test_annotated_images_are_not_annotated_again(serve, client, make_result, make_face) -> None:
    server = serve(annotated=True)
    server.publish(make_result(0, make_face()))
    assert client(server).get("/picture").headers["Edgefer-Drawn"] == "1"
    assert not has_caption(decode(client(server).get("/snapshot.jpg").body))


def test_before_the_first_frame_snapshot_and_healthz_are_unavailable(serve, client) -> None:
    server = serve()
    assert client(server).get("/snapshot.jpg").status == 503
    assert client(server).get("/healthz").status == 503
    assert client(server).get("/healthz").record == {"ok": False, "frame": None, "age_ms": None, "viewers": 0}


def test_picture_waits_for_a_frame_other_than_the_last_one(serve, client, make_result, monkeypatch) -> None:
    monkeypatch.setattr(app, "FRAME_TIMEOUT_S", 0.3)
    server = serve()
    server.publish(make_result(7))
    begin = time.monotonic()
    assert client(server).get("/picture?after=7").status == 204
    assert time.monotonic() - begin >= 0.3
    # After a restart of the server, frame numbers are lower.
    for after in ("6", "9000", "", "-1", "x", "9" * 40, "%D9%A2"):
        assert client(server).get(f"/picture?after={after}").status == 200


def test_healthz_reports_the_age_of_the_newest_frame(serve, client, make_result) -> None:
    server = serve()
    server.publish(make_result(3, age_s=0.5))
    response = client(server).get("/healthz")
    assert (response.status, response.record["ok"], response.record["frame"]) == (200, True, 3)
    assert 500 <= response.record["age_ms"] < 1000 * app.STALE_S
    server.publish(make_result(4, age_s=app.STALE_S + 0.1))
    response = client(server).get("/healthz")
    assert (response.status, response.record["ok"], response.record["frame"]) == (503, False, 4)


def test_events_stream_the_results(serve, client, make_face, publishing) -> None:
    server = serve()
    with publishing(server, make_face(5)), client(server).open("/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        numbers = []
        for _ in range(5):
            number, data, end = stream.readline(), stream.readline(), stream.readline()
            record = json.loads(data.removeprefix(b"data: "))
            assert number == b"id: %d\n" % record["number"]
            assert end == b"\n"
            assert (record["kind"], record["faces"][0]["track"]) == ("scene", 5)
            numbers.append(record["number"])
    assert numbers == sorted(set(numbers))


def test_an_idle_event_stream_sends_keep_alive_messages(serve, client, make_result, monkeypatch) -> None:
    monkeypatch.setattr(app, "FRAME_TIMEOUT_S", 0.2)
    server = serve()
    server.publish(make_result())
    with client(server).open("/events") as stream:
        assert b"".join(stream.readline() for _ in range(3)).startswith(b"id: 0\n")
        assert [stream.readline() for _ in range(4)] == [b":\n", b"\n"] * 2


def test_the_video_streams_annotated_jpegs(serve, client, make_face, publishing) -> None:
    server = serve()
    with publishing(server, make_face()), client(server).open("/video.mjpg") as stream:
        boundary = re.fullmatch(r"multipart/x-mixed-replace; boundary=(\S+)", stream.headers["Content-Type"])[1]
        for _ in range(3):
            assert stream.readline().strip() == f"--{boundary}".encode()
            assert stream.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(stream.readline().split()[1])
            assert stream.readline() == b"\r\n"
            assert has_caption(decode(stream.read(length)))
            assert stream.readline() == b"\r\n"


def test_an_idle_video_repeats_its_last_image(serve, client, make_result, make_face, monkeypatch) -> None:
    monkeypatch.setattr(app, "FRAME_TIMEOUT_S", 0.2)
    server = serve()
    with client(server).open("/video.mjpg") as stream:
        # Before the first frame, empty lines keep the connection open; a reader of multipart content skips them.
        assert [stream.readline() for _ in range(3)] == [b"\r\n"] * 3
        server.publish(make_result(0, make_face()))
        while stream.readline() == b"\r\n":
            pass
        for _ in range(3):
            assert stream.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(stream.readline().split()[1])
            stream.readline()
            assert has_caption(decode(stream.read(length)))
            stream.readline()
            # The boundary follows at once, because a browser shows an image when it receives the next boundary.
            assert stream.readline() == f"--{app.BOUNDARY}\r\n".encode()


@pytest.mark.parametrize("path", ["/events", "/video.mjpg"])
def test_headers_of_streams_forbid_proxies_to_buffer_or_change_them(serve, client, make_result, path) -> None:
    server = serve()
    server.publish(make_result())
    with client(server).open(path) as stream:
        assert stream.headers["X-Accel-Buffering"] == "no"
        directives = {directive.strip() for directive in stream.headers["Cache-Control"].split(",")}
    assert directives >= {"no-cache", "no-store", "no-transform"}


@pytest.mark.parametrize("path", ["/video.mjpg", "/events", "/picture", "/"])
def test_a_head_request_ends_without_a_body(serve, client, make_result, path) -> None:
    server = serve()
    server.publish(make_result())
    with client(server).open(path, "HEAD") as response:
        assert (response.status, response.read()) == (200, b"")


def test_only_get_and_head_of_known_paths_are_allowed(serve, client, make_result) -> None:
    server = serve()
    server.publish(make_result())
    for path in ("/", "/picture", "/events"):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            with client(server).open(path, method) as response:
                assert response.status == 405
    assert client(server).get("/../server.py").status == 404
    assert client(server).get("/page.html").status == 404


def test_an_image_is_encoded_once_and_only_on_request(serve, client, make_result, monkeypatch) -> None:
    encoded = []
    encode_jpeg = broadcaster.encode_jpeg

    def count(result, annotate):
        encoded.append((result.number, annotate))
        return encode_jpeg(result, annotate)

    monkeypatch.setattr(broadcaster, "encode_jpeg", count)
    server = serve()
    for number in range(50):
        server.publish(make_result(number))
    assert encoded == []
    for _ in range(4):
        assert client(server).get("/picture").status == client(server).get("/snapshot.jpg").status == 200
    assert sorted(encoded) == [(49, False), (49, True)]


def test_a_failed_request_is_logged_and_answered_without_a_traceback(client, make_result) -> None:
    messages = []
    with serving(Address("127.0.0.1", 0), log=messages.append) as server:
        server.publish(make_result(image=np.zeros((0, 0, 3), np.uint8)))
        response = client(server).get("/snapshot.jpg")
    assert response.status == 500
    assert b"Traceback" not in response.body
    assert messages
    assert messages[0].startswith("/snapshot.jpg failed: error: ")
