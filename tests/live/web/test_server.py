"""Many who look on, some of them slow, and the end."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgefer.errors import EdgeferError, UsageError
from edgefer.live.web import Address, address, broadcaster, server as server_module, serving

ROOT = Path(__file__).parents[3]
# What cannot be squeezed: a JPEG of noise is larger than what the kernel keeps for a viewer that does not read.
NOISE = np.random.default_rng(3).integers(0, 256, (720, 1280, 3), np.uint8)
WITHOUT_THE_EXTRA = """
import importlib.abc, sys

class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Wall())
from edgefer.cli import main as cli
assert cli.run(["live", "--help"]) == cli.run(["service", "install", "--print"]) == 0
from edgefer.live import runner as showing
from edgefer.live.web import Address, serving
with serving(Address.parse(":0")):
    pass
"""


def asking(server, path, *, room=None):
    """A socket that has asked and does not read."""
    viewer = socket.socket()
    if room:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    viewer.settimeout(15)
    viewer.connect(("127.0.0.1", server.port))
    viewer.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return viewer


def rest(viewer):
    """What comes until the other side closes."""
    return b"".join(iter(lambda: viewer.recv(2**16), b""))


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def events(answer):
    while line := answer.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def test_whoever_does_not_read_holds_up_nobody(serve, client, publishing) -> None:
    server = serve()
    with contextlib.ExitStack() as stack:
        for path in ("/video.mjpg", "/video.mjpg", "/events"):
            stack.enter_context(contextlib.closing(asking(server, path, room=4096)))
        stack.enter_context(publishing(server, image=NOISE, every_s=0.05))
        answer = stack.enter_context(client(server).open("/events"))
        ages_ms = []
        for count, record in enumerate(events(answer)):
            ages_ms.append((time.monotonic_ns() - record["captured_ns"]) / 1e6)
            if count == 30:
                break
        begin = time.monotonic()
        assert client(server).get("/snapshot.jpg").status == 200
        assert time.monotonic() - begin < 2
    assert np.median(ages_ms) < 100


def test_a_slow_viewer_gets_fewer_pictures_and_not_older_ones(serve, make, a_face) -> None:
    server = serve()
    with contextlib.closing(asking(server, "/events", room=4096)) as viewer:
        until(lambda: server._hub.taken == 1)
        # A scene of so many faces that a few of them fill what the kernel keeps.
        scene = make(0, *(a_face(track) for track in range(400)))
        for number in range(100):
            server.publish(dataclasses.replace(scene, number=number))
            time.sleep(0.01)
        got = bytearray()
        while b"id: 99\n" not in got:
            got += viewer.recv(2**16)
    numbers = [int(each) for each in re.findall(rb"id: (\d+)\n", got)]
    # First what had been sent before it was full, then at once the newest one.
    assert numbers == sorted(set(numbers))
    assert 1 < len(numbers) < 20
    assert numbers[-1] - numbers[-2] > 40


def test_publishing_waits_for_nobody(serve, make) -> None:
    server = serve()
    shot = make(image=NOISE)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(contextlib.closing(asking(server, "/video.mjpg", room=4096)))
        until(lambda: server._hub.taken == 8)
        took_ms = []
        for _ in range(200):
            begin = time.perf_counter()
            server.publish(shot)
            took_ms.append(1000 * (time.perf_counter() - begin))
            time.sleep(0.002)
    # Another thread may hold the interpreter for its five milliseconds.
    assert np.percentile(took_ms, 90) < 10


def test_as_many_look_on_as_there_are_seats_and_who_leaves_makes_room(serve, client, make) -> None:
    server = serve()
    server.publish(make())
    with contextlib.ExitStack() as stack:
        viewers = [asking(server, path) for path in ("/events", "/video.mjpg") for _ in range(broadcaster.MAX_VIEWERS // 2)]
        for viewer in viewers:
            stack.enter_context(contextlib.closing(viewer))
            assert viewer.recv(12) == b"HTTP/1.1 200"
        for path in ("/events", "/video.mjpg", "/picture", "/snapshot.jpg"):
            answer = client(server).get(path)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert client(server).get("/healthz").record["viewers"] == broadcaster.MAX_VIEWERS
        assert client(server).get("/").status == 200
        viewers[0].close()
        viewers[-1].close()
        until(lambda: client(server).get("/picture").status == 200)
    until(lambda: client(server).get("/healthz").record["viewers"] == 0)


def test_twelve_viewers_see_the_same(serve, client, publishing) -> None:
    server = serve()

    def watch(_):
        with client(server).open("/events") as answer:
            return [record["number"] for record, _ in zip(events(answer), range(10))]

    with publishing(server, every_s=0.05), ThreadPoolExecutor(12) as pool:
        seen = list(pool.map(watch, range(12)))
    assert all(len(numbers) == 10 and numbers == sorted(set(numbers)) for numbers in seen)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux cuts off who takes nothing")
def test_whoever_takes_nothing_is_cut_off(serve, publishing, monkeypatch) -> None:
    monkeypatch.setattr(address, "PATIENCE_MS", 400)
    server = serve()
    with publishing(server, image=NOISE), contextlib.closing(asking(server, "/video.mjpg", room=4096)):
        until(lambda: server._hub.taken == 1)
        until(lambda: server._hub.taken == 0)


@pytest.mark.parametrize("is_slow", [False, True])
def test_it_ends_within_two_seconds_whoever_looks_on(make, publishing, is_slow, capfd) -> None:
    with serving(Address("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        room = 4096 if is_slow else None
        image = NOISE if is_slow else NOISE[:48, :64]
        viewers = [asking(server, path, room=room) for path in ("/video.mjpg", "/events", "/picture?after=0")]
        for viewer in viewers:
            stack.enter_context(contextlib.closing(viewer))
        idle = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        with publishing(server, image=image, every_s=0.02):
            time.sleep(0.5)
        begin = time.monotonic()
        server.close()
        assert time.monotonic() - begin < 2.5
        assert not server._thread.is_alive()
        server.publish(make())
        server.close()
        assert idle.recv(1) == b""
        if not is_slow:
            # The end of a stream is the end of its answer, and no connection that broke.
            for viewer in viewers[:2]:
                assert rest(viewer).endswith(b"0\r\n\r\n")
    assert "".join(capfd.readouterr()) == ""
    # The port is free again.
    with contextlib.closing(Address("127.0.0.1", server.port).listen()):
        pass


def test_whoever_asks_nothing_takes_nobodys_place(serve, client, make, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "SILENCE_S", 0.5)
    server = serve()
    server.publish(make())
    with contextlib.ExitStack() as stack:
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(70)]
        for each in idle:
            stack.enter_context(contextlib.closing(each))
        idle[0].sendall(b"GET / HTTP/1.1\r\nHost:")
        until(lambda: client(server).get("/").status == 200)
        assert {each.recv(1) for each in idle} == {b""}


def test_an_end_in_the_midst_is_no_failure_of_those_who_ask(serve, client, publishing) -> None:
    server = serve()
    seen = set()

    def ask_on():
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                seen.add(client(server).get("/picture?after=-").status)

    askers = [threading.Thread(target=ask_on) for _ in range(6)]
    with publishing(server, every_s=0.002, image=NOISE):
        for asker in askers:
            asker.start()
        time.sleep(0.5)
        server.close()
    for asker in askers:
        asker.join()
    assert seen <= {200, 204}


def test_what_is_no_request_is_answered_and_forgotten(serve, client, make, capfd) -> None:
    server = serve()
    server.publish(make())
    for nonsense in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"A" * 200_000, b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n"):
        stranger = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        with contextlib.closing(stranger), contextlib.suppress(ConnectionError):
            stranger.sendall(nonsense)
            assert not stranger.recv(12).startswith(b"HTTP/1.1 200")
    assert client(server).get("/healthz").status == 200
    assert "".join(capfd.readouterr()) == ""


def test_a_port_that_is_taken_is_told_at_once(serve) -> None:
    server = serve()
    with pytest.raises(EdgeferError, match="another program has that port"), serving(Address("127.0.0.1", server.port)):
        pass


def test_a_token_that_is_guessed_easily_is_refused_and_leaves_the_port_free() -> None:
    with pytest.raises(UsageError, match="12 characters"), serving(Address("127.0.0.1", 0), token="secret"):
        pass


def test_an_end_before_it_has_begun_leaves_nothing_open() -> None:
    for _ in range(20):
        with serving(Address("127.0.0.1", 0)) as server:
            pass
        assert server._listener.fileno() == -1


def test_old_scenes_are_let_go(serve, client, make) -> None:
    server = serve()
    for number in range(20):
        server.publish(make(number))
        client(server).get("/picture")
    gc.collect()
    assert sum(isinstance(each, broadcaster.EncodedFrame) for each in gc.get_objects()) <= 2


def test_threads_end_with_it(make) -> None:
    before = set(threading.enumerate())
    with serving(Address("127.0.0.1", 0)) as server:
        server.publish(make())
        with contextlib.closing(asking(server, "/snapshot.jpg")) as viewer:
            assert viewer.recv(12) == b"HTTP/1.1 200"
    until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_the_line_that_installs_it_is_said(missing) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_EXTRA, missing], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert "IncompatibleError" in done.stderr
    assert f"{missing} is not installed" in done.stderr
    assert "pip install starlette uvicorn" in done.stderr
