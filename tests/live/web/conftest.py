"""A page that is really served, scenes to show on it, and a client that is no browser."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.inference.face_detection import FaceBox
from edgefer.live.frame_result import FrameResult, FrameTiming, Health, LiveFace, Stage
from edgefer.live.web import Address, serving

pytest.importorskip("uvicorn", reason="edgefer is installed without its extra: pip install 'edgefer[live]'")

PORTRAIT = np.asarray(cv2.imread(str(Path(__file__).parents[2] / "fixtures" / "astronaut.jpg")), np.uint8)
NO_SENSOR = Health()
STAGE = Stage(1.25, 2.5, 0.2)


def face(track: int = 0, label: str = "happy", probability: float = 0.9, x: int = 170) -> LiveFace:
    rest = (1 - probability) / (len(LABELS) - 1)
    best = LABELS.index(label) if label in LABELS else 0
    shares = tuple(probability if index == best else rest for index in range(len(LABELS)))
    return LiveFace(track, FaceBox(x, 60, 110, 110), label, probability, shares)


def scene(number: int = 0, *faces: LiveFace, health: Health = NO_SENSOR, age_s: float = 0.0, **changes: Any) -> FrameResult:
    fields = {
        "number": number,
        "captured_ns": time.monotonic_ns() - int(age_s * 1e9),
        "age_ms": 17.4,
        "image": PORTRAIT,
        "faces": faces,
        "labels": LABELS,
        "budget": FrameTiming(STAGE, STAGE, STAGE, Stage(0.25, 0.5, 0.04), None, 14.96, 1234),
        "health": health,
    }
    return FrameResult(**{**fields, **changes})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def record(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks a server as no browser would: each header as it is told, and nothing remembered."""

    def __init__(self, server: Any) -> None:
        self.port = server.port

    @contextmanager
    def open(self, path: str, method: str = "GET", **headers: str) -> Iterator[http.client.HTTPResponse]:
        """An answer whose body is still to be read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        with closing(connection):
            connection.request(method, path, headers={name.replace("_", "-"): each for name, each in headers.items()})
            # An answer that says "Connection: close" has the socket to itself.
            with closing(connection.getresponse()) as answer:
                yield answer

    def get(self, path: str, **headers: str) -> Answer:
        with self.open(path, **headers) as answer:
            return Answer(answer.status, answer.headers, answer.read())


@pytest.fixture
def make() -> Callable[..., FrameResult]:
    return scene


@pytest.fixture
def a_face() -> Callable[..., LiveFace]:
    return face


@pytest.fixture
def client() -> Callable[[Any], Client]:
    return Client


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Start servers on free ports: serve(token=...); what went wrong in them fails the test."""
    told: list[str] = []
    with ExitStack() as stack:

        def start(port: int = 0, **options: Any) -> Any:
            return stack.enter_context(serving(Address("127.0.0.1", port), tell=told.append, **options))

        yield start
    assert told == []


@pytest.fixture
def publishing(make: Callable[..., FrameResult]) -> Callable[..., Any]:
    """Publish a new scene every few milliseconds within the block."""

    @contextmanager
    def run(server: Any, *faces: LiveFace, every_s: float = 0.04, first: int = 0, **changes: Any) -> Iterator[None]:
        stopping = threading.Event()

        def publish() -> None:
            number = first
            while not stopping.is_set():
                server.publish(make(number, *faces, **changes))
                number += 1
                stopping.wait(every_s)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    return run
