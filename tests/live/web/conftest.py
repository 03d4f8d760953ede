"""Fixtures for the web page: a running server, frame results to publish, and a plain HTTP client."""

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
from edgefer.live.frame_result import FrameResult, FrameTiming, Health, LiveFace, StageTiming
from edgefer.live.web import Address, serving

pytest.importorskip("uvicorn", reason="edgefer is installed without its extra: pip install 'edgefer[live]'")

PORTRAIT = np.asarray(cv2.imread(str(Path(__file__).parents[2] / "fixtures" / "astronaut.jpg")), np.uint8)
STAGE = StageTiming(1.25, 2.5, 0.2)
TIMING = FrameTiming(
    grab=STAGE, detect=STAGE, preprocess=STAGE, invoke=StageTiming(0.25, 0.5, 0.04), fps=14.96, dropped=1234
)
NO_SENSOR = Health()


def create_face(track_id: int = 0, label: str = "happy", probability: float = 0.9, x: int = 170) -> LiveFace:
    """Create a face at (x, 60); the other labels share the remaining probability equally."""
    other = (1 - probability) / (len(LABELS) - 1)
    best = LABELS.index(label) if label in LABELS else 0
    probabilities = tuple(probability if index == best else other for index in range(len(LABELS)))
    return LiveFace(track_id, FaceBox(x, 60, 110, 110), label, probability, probabilities)


def create_result(
    number: int = 0, *faces: LiveFace, health: Health = NO_SENSOR, age_s: float = 0.0, **changes: Any
) -> FrameResult:
    """Create a frame result with the given faces, captured ``age_s`` ago."""
    fields = {
        "number": number,
        "captured_ns": time.monotonic_ns() - int(age_s * 1e9),
        "age_ms": 17.4,
        "image": PORTRAIT,
        "faces": faces,
        "labels": LABELS,
        "timing": TIMING,
        "health": health,
    }
    return FrameResult(**{**fields, **changes})


@dataclass(frozen=True)
class HttpResponse:
    status: int
    headers: Message
    body: bytes

    @property
    def record(self) -> Any:
        return json.loads(self.body)


class Client:
    """HTTP client that sends exactly the given headers and the token, and stores no cookies."""

    def __init__(self, server: Any, *, token: str | None = None) -> None:
        """Create a client; ``token`` replaces the server's, and an empty one is not sent."""
        self.port = server.port
        self.token = server.token if token is None else token

    @contextmanager
    def open(self, path: str, method: str = "GET", **headers: str) -> Iterator[http.client.HTTPResponse]:
        """Send a request and yield the response with its unread body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        with closing(connection):
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            # A response with "Connection: close" owns the socket, so it has to be closed separately.
            with closing(connection.getresponse()) as response:
                yield response

    def get(self, path: str, **headers: str) -> HttpResponse:
        """Send a GET request and return the complete response."""
        with self.open(path, **headers) as response:
            return HttpResponse(response.status, response.headers, response.read())

    @property
    def viewers(self) -> int:
        """Number of viewers that the server reports."""
        return int(self.get("/healthz").record["viewers"])


@pytest.fixture
def make_result() -> Callable[..., FrameResult]:
    return create_result


@pytest.fixture
def make_face() -> Callable[..., LiveFace]:
    return create_face


@pytest.fixture
def client() -> Callable[..., Client]:
    return Client


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Return a function that starts a server on a free port; a failed request fails the test."""
    messages: list[str] = []
    with ExitStack() as stack:

        def start(port: int = 0, **options: Any) -> Any:
            return stack.enter_context(serving(Address("127.0.0.1", port), log=messages.append, **options))

        yield start
    assert messages == []


@pytest.fixture
def publishing(make_result: Callable[..., FrameResult]) -> Callable[..., Any]:
    """Return a context manager that publishes a new result every few milliseconds."""

    @contextmanager
    def run(
        server: Any, *faces: LiveFace, interval_s: float = 0.04, first: int = 0, **changes: Any
    ) -> Iterator[None]:
        stopping = threading.Event()

        def publish() -> None:
            number = first
            while not stopping.is_set():
                server.publish(make_result(number, *faces, **changes))
                number += 1
                stopping.wait(interval_s)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    return run
