"""What there is to open, asked of a server that runs."""

from __future__ import annotations

import json
import re
import time

import cv2
import numpy as np
import pytest

from edgefer.inference.output import BOX
from edgefer.live.web import app, broadcaster

ORANGE = np.array(BOX)


def decoded(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def has_label(image):
    """Whether the label of a_face() was drawn; its ground is orange, also under the text."""
    return bool(abs(image[56:59, 174:200].astype(int) - ORANGE).mean() < 20)


def test_a_picture_brings_its_own_scene_and_has_no_box_in_it(serve, client, make, a_face) -> None:
    server = serve()
    published = make(41, a_face())
    server.publish(published)
    answer = client(server).get("/picture?after=40")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert json.loads(answer.headers["Edgefer-Scene"]) == published.to_json()
    assert answer.headers["Edgefer-Drawn"] == "0"
    assert abs(decoded(answer.body).astype(int) - published.image).mean() < 4


def test_the_snapshot_has_the_boxes(serve, client, make, a_face) -> None:
    server = serve()
    server.publish(make(0, a_face()))
    snapshot = decoded(client(server).get("/snapshot.jpg").body)
    plain = decoded(client(server).get("/picture").body)
    assert has_label(snapshot)
    assert not has_label(plain)


def test_where_boxes_are_drawn_already_they_are_not_drawn_again(serve, client, make, a_face) -> None:
    server = serve(drawn=True)
    server.publish(make(0, a_face()))
    assert client(server).get("/picture").headers["Edgefer-Drawn"] == "1"
    assert not has_label(decoded(client(server).get("/snapshot.jpg").body))


def test_before_the_first_scene_there_is_no_picture(serve, client) -> None:
    server = serve()
    assert client(server).get("/snapshot.jpg").status == 503
    assert client(server).get("/healthz").status == 503
    assert client(server).get("/healthz").record == {"ok": False, "frame": None, "age_ms": None, "viewers": 0}


def test_whoever_has_seen_a_picture_waits_for_the_next_one(serve, client, make, monkeypatch) -> None:
    monkeypatch.setattr(app, "PATIENCE_S", 0.3)
    server = serve()
    server.publish(make(7))
    begin = time.monotonic()
    assert client(server).get("/picture?after=7").status == 204
    assert time.monotonic() - begin >= 0.3
    # Frames of a server that was started anew have smaller numbers.
    for after in ("6", "9000", "", "-1", "x", "9" * 40, "%D9%A2"):
        assert client(server).get(f"/picture?after={after}").status == 200


def test_healthz_says_how_old_the_newest_picture_is(serve, client, make) -> None:
    server = serve()
    server.publish(make(3, age_s=0.5))
    answer = client(server).get("/healthz")
    assert (answer.status, answer.record["ok"], answer.record["frame"]) == (200, True, 3)
    assert 500 <= answer.record["age_ms"] < 2000
    server.publish(make(4, age_s=app.STALE_S + 0.1))
    answer = client(server).get("/healthz")
    assert (answer.status, answer.record["ok"], answer.record["frame"]) == (503, False, 4)


def test_events_are_the_scenes(serve, client, make, a_face, publishing) -> None:
    server = serve()
    with publishing(server, a_face(5)), client(server).open("/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        numbers = []
        for _ in range(5):
            number, told, end = stream.readline(), stream.readline(), stream.readline()
            record = json.loads(told.removeprefix(b"data: "))
            assert number == b"id: %d\n" % record["number"]
            assert end == b"\n"
            assert (record["kind"], record["faces"][0]["track"]) == ("scene", 5)
            numbers.append(record["number"])
    assert numbers == sorted(set(numbers))


def test_a_stream_that_has_nothing_to_tell_says_so_now_and_then(serve, client, make, monkeypatch) -> None:
    monkeypatch.setattr(app, "PATIENCE_S", 0.2)
    server = serve()
    server.publish(make())
    with client(server).open("/events") as stream:
        assert b"".join(stream.readline() for _ in range(3)).startswith(b"id: 0\n")
        assert [stream.readline() for _ in range(4)] == [b":\n", b"\n"] * 2


def test_the_video_is_one_whole_jpeg_after_the_other_with_boxes(serve, client, a_face, publishing) -> None:
    server = serve()
    with publishing(server, a_face()), client(server).open("/video.mjpg") as stream:
        boundary = re.fullmatch(r"multipart/x-mixed-replace; boundary=(\S+)", stream.headers["Content-Type"])[1]
        for _ in range(3):
            assert stream.readline().strip() == f"--{boundary}".encode()
            assert stream.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(stream.readline().split()[1])
            assert stream.readline() == b"\r\n"
            assert has_label(decoded(stream.read(length)))
            assert stream.readline() == b"\r\n"


@pytest.mark.parametrize("path", ["/video.mjpg", "/events", "/picture", "/"])
def test_head_tells_what_there_is_and_ends(serve, client, make, path) -> None:
    server = serve()
    server.publish(make())
    with client(server).open(path, "HEAD") as answer:
        assert (answer.status, answer.read()) == (200, b"")


def test_nothing_can_be_sent_to_it(serve, client, make) -> None:
    server = serve()
    server.publish(make())
    for path in ("/", "/picture", "/events"):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            with client(server).open(path, method) as answer:
                assert answer.status == 405
    assert client(server).get("/../server.py").status == 404
    assert client(server).get("/page.html").status == 404


def test_a_picture_is_encoded_once_for_all_and_for_nobody_not_at_all(serve, client, make, monkeypatch) -> None:
    encoded = []

    def counting(scene, marked):
        encoded.append((scene.number, marked))
        return original(scene, marked)

    original = broadcaster.encode
    monkeypatch.setattr(broadcaster, "encode", counting)
    server = serve()
    for number in range(50):
        server.publish(make(number))
    assert encoded == []
    for _ in range(4):
        assert client(server).get("/picture").status == client(server).get("/snapshot.jpg").status == 200
    assert sorted(encoded) == [(49, False), (49, True)]


def test_a_request_that_fails_is_told_and_answered(client, make) -> None:
    from edgefer.live.web import Address, serving

    told = []
    with serving(Address("127.0.0.1", 0), tell=told.append) as server:
        server.publish(make(image=np.zeros((0, 0, 3), np.uint8)))
        answer = client(server).get("/snapshot.jpg")
    assert answer.status == 500
    assert b"Traceback" not in answer.body
    assert told
    assert told[0].startswith("/snapshot.jpg failed: error: ")
