"""Many viewers, slow viewers, and the shutdown."""

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
# Noise does not compress: one JPEG exceeds the kernel's send buffer for a viewer that does not read.
NOISE = np.random.default_rng(3).integers(0, 256, (720, 1280, 3), np.uint8)
WITHOUT_PACKAGE = """
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from edgefer.cli import main as cli
assert cli.run(["live", "--help"]) == cli.run(["service", "install", "--print"]) == 0
from edgefer.live import runner
from edgefer.live.web import Address, serving
with serving(Address.parse(":0")):
    pass
"""


def authorization(server):
    return f"Authorization: Bearer {server.token}\r\n"


def request(server, path, *, receive_buffer=None):
    """Send a request and return the socket, from which nothing has been read."""
    viewer = socket.socket()
    if receive_buffer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    viewer.settimeout(15)
    viewer.connect(("127.0.0.1", server.port))
    viewer.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization(server)}\r\n".encode())
    return viewer


def receive_all(viewer):
    """Return everything until the server closes the connection."""
    return b"".join(iter(lambda: viewer.recv(2**16), b""))


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def read_events(response):
    while line := response.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def test_viewers_that_do_not_read_delay_no_other_viewer(serve, client, publishing) -> None:
    server = serve()
    with contextlib.ExitStack() as stack:
        for path in ("/video.mjpg", "/video.mjpg", "/events"):
            stack.enter_context(contextlib.closing(request(server, path, receive_buffer=4096)))
        stack.enter_context(publishing(server, image=NOISE, interval_s=0.05))
        response = stack.enter_context(client(server).open("/events"))
        numbers = [record["number"] for record, _ in zip(read_events(response), range(30))]
        assert client(server).get("/snapshot.jpg").status == 200
    # A viewer that waited for the others would skip nearly all frames.
    assert numbers[-1] - numbers[0] < 2 * len(numbers)


def test_a_slow_viewer_gets_fewer_frames_and_not_older_ones(serve, client, make_result, make_face) -> None:
    server = serve()
    with contextlib.closing(request(server, "/events", receive_buffer=4096)) as viewer:
        wait_until(lambda: client(server).viewers == 1)
        # So many faces that a few results fill the send buffer.
        result = make_result(0, *(make_face(track_id) for track_id in range(400)))
        for number in range(100):
            server.publish(dataclasses.replace(result, number=number))
            time.sleep(0.01)
        received = bytearray()
        while b"id: 99\n" not in received:
            received += viewer.recv(2**16)
    numbers = [int(number) for number in re.findall(rb"id: (\d+)\n", received)]
    # First the frames from the send buffer, then directly the newest one.
    assert numbers == sorted(set(numbers))
    assert 1 < len(numbers) < 20
    assert numbers[-1] - numbers[-2] > 40


def test_publish_does_not_wait_for_encoding_or_viewers(serve, client, make_result) -> None:
    server = serve()
    result = make_result(image=NOISE)
    begin = time.perf_counter()
    broadcaster.encode_jpeg(result, False)
    encode_s = time.perf_counter() - begin
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(contextlib.closing(request(server, "/video.mjpg", receive_buffer=4096)))
        wait_until(lambda: client(server).viewers == 8)
        publish_s = []
        for _ in range(200):
            begin = time.perf_counter()
            server.publish(result)
            publish_s.append(time.perf_counter() - begin)
            time.sleep(0.002)
    assert np.median(publish_s) < encode_s / 2


def test_the_viewer_limit_rejects_further_viewers_until_one_leaves(serve, client, make_result) -> None:
    server = serve()
    server.publish(make_result())
    with contextlib.ExitStack() as stack:
        paths = ["/events", "/video.mjpg"] * (broadcaster.MAX_VIEWERS // 2)
        viewers = [request(server, path) for path in paths]
        for viewer in viewers:
            stack.enter_context(contextlib.closing(viewer))
            assert viewer.recv(12) == b"HTTP/1.1 200"
        for path in ("/events", "/video.mjpg", "/picture", "/snapshot.jpg"):
            response = client(server).get(path)
            assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert client(server).viewers == broadcaster.MAX_VIEWERS
        assert client(server).get("/").status == 200
        viewers[0].close()
        viewers[-1].close()
        wait_until(lambda: client(server).get("/picture").status == 200)
    wait_until(lambda: client(server).viewers == 0)


def test_twelve_viewers_receive_the_stream(serve, client, publishing) -> None:
    server = serve()

    def watch(_):
        with client(server).open("/events") as response:
            return [record["number"] for record, _ in zip(read_events(response), range(10))]

    with publishing(server, interval_s=0.05), ThreadPoolExecutor(12) as pool:
        received = list(pool.map(watch, range(12)))
    assert all(len(numbers) == 10 and numbers == sorted(set(numbers)) for numbers in received)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has TCP_USER_TIMEOUT")
def test_a_viewer_that_acknowledges_nothing_is_disconnected(serve, client, publishing, monkeypatch) -> None:
    monkeypatch.setattr(address, "UNACKNOWLEDGED_TIMEOUT_MS", 400)
    server = serve()
    viewer = request(server, "/video.mjpg", receive_buffer=4096)
    with publishing(server, image=NOISE), contextlib.closing(viewer):
        wait_until(lambda: client(server).viewers == 1)
        wait_until(lambda: client(server).viewers == 0)


@pytest.mark.parametrize("is_slow", [False, True])
def test_close_ends_all_connections_and_frees_the_port(make_result, publishing, is_slow, capfd) -> None:
    with serving(Address("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        receive_buffer = 4096 if is_slow else None
        image = NOISE if is_slow else NOISE[:48, :64]
        paths = ("/video.mjpg", "/events", "/picture?after=0")
        viewers = [request(server, path, receive_buffer=receive_buffer) for path in paths]
        for viewer in viewers:
            stack.enter_context(contextlib.closing(viewer))
        idle = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        with publishing(server, image=image, interval_s=0.02):
            time.sleep(0.5)
        begin = time.monotonic()
        server.close()
        # One second for connections to end by themselves, then they are closed; with room for a busy machine.
        assert time.monotonic() - begin < 4 * server_module.SHUTDOWN_S
        server.publish(make_result())
        server.close()
        assert idle.recv(1) == b""
        if not is_slow:
            # The streams end with a complete chunked response, not with a broken connection.
            for viewer in viewers[:2]:
                assert receive_all(viewer).endswith(b"0\r\n\r\n")
    assert "".join(capfd.readouterr()) == ""
    with contextlib.closing(Address("127.0.0.1", server.port).listen()):
        pass


def test_idle_connections_do_not_block_viewers(serve, client, make_result, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT_S", 0.5)
    server = serve()
    server.publish(make_result())
    with contextlib.ExitStack() as stack:
        connections = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(70)]
        for connection in connections:
            stack.enter_context(contextlib.closing(connection))
        connections[0].sendall(b"GET / HTTP/1.1\r\nHost:")
        wait_until(lambda: client(server).get("/").status == 200)
        assert {connection.recv(1) for connection in connections} == {b""}


def test_silent_connections_do_not_interrupt_a_viewer(serve, client, make_result, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT_S", 30)
    server = serve()
    server.publish(make_result())
    stopping, opened = threading.Event(), []

    def occupy():
        """Open connections that send nothing, or only a part of a request, as fast as the server closes them."""
        while not stopping.is_set():
            with contextlib.suppress(OSError):
                opened.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
                opened[-1].sendall((b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\n")[len(opened) % 3])
            if len(opened) > 700:
                opened.pop(0).close()

    viewer = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    headers = {"Authorization": f"Bearer {server.token}"}
    thread = threading.Thread(target=occupy)
    with contextlib.closing(viewer):
        viewer.request("GET", "/picture", headers=headers)
        viewer.getresponse().read()
        first = viewer.sock
        thread.start()
        try:
            wait_until(lambda: len(opened) > 600)
            for _ in range(30):
                viewer.request("GET", "/picture", headers=headers)
                response = viewer.getresponse()
                assert (response.status, response.read()[:2]) == (200, b"\xff\xd8")
                # Another viewer may still arrive.
                assert client(server).get("/").status == 200
            assert viewer.sock is first
        finally:
            stopping.set()
            thread.join()
            for connection in opened:
                connection.close()


@pytest.mark.parametrize("content", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /x"])
def test_a_connection_without_a_complete_request_is_closed(serve, content, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT_S", 0.3)
    server = serve()
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=15)) as connection:
        connection.sendall(content)
        receive_all(connection)


def test_of_many_viewers_as_many_as_the_limit_are_served(serve, client, make_result) -> None:
    server = serve()
    server.publish(make_result())
    with contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(contextlib.closing(request(server, "/events"))) for _ in range(200)]
        statuses = [viewer.recv(12) for viewer in viewers]
    assert statuses.count(b"HTTP/1.1 200") == broadcaster.MAX_VIEWERS
    assert statuses.count(b"HTTP/1.1 503") == 200 - broadcaster.MAX_VIEWERS


def test_a_page_keeps_its_place_between_two_requests(serve, client, make_result, monkeypatch) -> None:
    monkeypatch.setattr(broadcaster, "LEASE_S", 1.5)
    server = serve()
    server.publish(make_result())
    viewers = [f"{number:032x}" for number in range(broadcaster.MAX_VIEWERS)]
    for viewer in viewers:
        assert client(server).get(f"/picture?viewer={viewer}").status == 200
    # Each of them has closed its connection, as behind a proxy.
    assert client(server).viewers == broadcaster.MAX_VIEWERS
    for path in ("/events", "/picture", "/snapshot.jpg", f"/picture?viewer={'f' * 32}"):
        assert client(server).get(path).status == 503
    for viewer in viewers:
        assert client(server).get(f"/picture?viewer={viewer}").status == 200
    wait_until(lambda: client(server).viewers == 0)
    assert client(server).get("/snapshot.jpg").status == 200


def test_close_during_requests_causes_no_server_error(serve, client, publishing) -> None:
    server = serve()
    statuses = set()

    def send_requests():
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                statuses.add(client(server).get("/picture?after=-").status)

    threads = [threading.Thread(target=send_requests) for _ in range(6)]
    with publishing(server, interval_s=0.002, image=NOISE):
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        server.close()
    for thread in threads:
        thread.join()
    assert statuses <= {200, 204}


def test_malformed_requests_are_rejected_silently(serve, client, make_result, capfd) -> None:
    server = serve()
    server.publish(make_result())
    for content in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"A" * 300_000, b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n"):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        with contextlib.closing(connection), contextlib.suppress(ConnectionError):
            connection.sendall(content)
            assert not connection.recv(12).startswith(b"HTTP/1.1 200")
    assert client(server).get("/healthz").status == 200
    assert "".join(capfd.readouterr()) == ""


def test_a_port_in_use_is_an_error(serve) -> None:
    port = serve().port
    with pytest.raises(EdgeferError, match="another program uses this port"), serving(Address("127.0.0.1", port)):
        pass


def test_a_short_token_is_rejected() -> None:
    with pytest.raises(UsageError, match="at least 12 characters"), serving(Address("127.0.0.1", 0), token="secret"):
        pass


def test_closing_immediately_after_the_start_frees_the_port() -> None:
    for _ in range(20):
        with serving(Address("127.0.0.1", 0)) as server:
            pass
        with contextlib.closing(Address("127.0.0.1", server.port).listen()):
            pass


def test_old_frames_are_released(serve, client, make_result) -> None:
    server = serve()
    for number in range(20):
        server.publish(make_result(number))
        client(server).get("/picture")
    gc.collect()
    assert sum(isinstance(tracked, broadcaster.EncodedFrame) for tracked in gc.get_objects()) <= 2


def test_close_ends_the_threads(make_result) -> None:
    before = set(threading.enumerate())
    with serving(Address("127.0.0.1", 0)) as server:
        server.publish(make_result())
        with contextlib.closing(request(server, "/snapshot.jpg")) as viewer:
            assert viewer.recv(12) == b"HTTP/1.1 200"
    wait_until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_the_error_hints_at_its_installation(missing) -> None:
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE, missing], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert "IncompatibleError" in process.stderr
    assert f"{missing} is not installed" in process.stderr
    assert "pip install starlette uvicorn" in process.stderr
