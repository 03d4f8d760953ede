"""Fixtures: artifacts around the tiny models in fixtures/, and headless Chromium over its debugging pipe."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import itertools
import json
import os
import queue
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.inference.classifier import Classifier
from edgefer.inspection.flatbuffer import Model, Op, Subgraph, Tensor, load_schema, read_model
from edgefer.models import SHIPPED

DATA = Path(__file__).parent / "fixtures"
# Modules that tests of several folders import. The folder comes last, so that it hides no installed module.
sys.path.append(str(Path(__file__).parent / "helpers"))

# fixtures/README.md has the measured spread between kernels and wheels.
TOLERANCES = {"int8": 4.0, "float32": 2e-4}


def drawn_faces(count: int, seed: int = 0) -> np.ndarray:
    """Draw faces of random gray blocks, uint8 (count, 48, 48); integer arithmetic gives equal bytes everywhere."""
    rng = np.random.default_rng(seed)
    faces = []
    for blocks in rng.integers(2, 25, count):
        grays = rng.integers(0, 256, (blocks, blocks), np.uint8)
        grays.flat[:2] = 0, 255
        position = np.arange(48) * blocks // 48
        faces.append(grays[np.ix_(position, position)])
    return np.stack(faces)


def tiny_artifact(scheme: str) -> Artifact:
    """Return the tiny model of ``scheme`` with 24 golden vectors, whose outputs are in fixtures/golden.npz."""
    inputs = drawn_faces(24)
    model = (DATA / f"tiny-{scheme}.tflite").read_bytes()
    with np.load(DATA / "golden.npz") as record:
        golden = Golden(inputs, record[scheme], record[f"{scheme}_reference"], TOLERANCES[scheme])
    return Artifact(model, LABELS, InputSpec(), scheme, golden, {"system": "tiny"})


def set_op_version(model: bytes, version: int) -> bytes:
    """Return ``model`` with another version of its first operator: Model.operator_codes[0].version in the schema."""
    content = bytearray(model)

    def u16(at: int) -> int:
        return struct.unpack_from("<H", content, at)[0]

    def i32(at: int) -> int:
        return struct.unpack_from("<i", content, at)[0]

    def field(table: int, slot: int) -> int:
        offset = u16(table - i32(table) + 4 + 2 * slot)
        assert offset, "the field is absent"
        return table + offset

    codes = field(i32(0), 1)
    vector = codes + i32(codes)
    first = vector + 4 + i32(vector + 4)
    struct.pack_into("<i", content, field(first, 2), version)
    return bytes(content)


def pytest_configure():
    """Restore the default handlers of SIGINT and SIGHUP, which the child processes of tests inherit.

    nohup ignores SIGHUP, a shell without job control ignores SIGINT in background jobs, and children inherit both.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def locked_folders(monkeypatch):
    """Deny the listing of each folder named "locked"; file modes do not restrict root, the user of containers."""
    listed = Path.iterdir

    def iterdir(path):
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)


@pytest.fixture(scope="session")
def with_op_version() -> Callable[[bytes, int], bytes]:
    """Return a function that sets the version of the first operator of a model."""
    return set_op_version


@pytest.fixture(scope="session", params=["int8", "float32"])
def artifact(request: pytest.FixtureRequest) -> Artifact:
    return tiny_artifact(request.param)


@pytest.fixture(scope="session")
def int8_artifact() -> Artifact:
    return tiny_artifact("int8")


@pytest.fixture(scope="session")
def model_path(int8_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-int8.tflite"
    int8_artifact.save(path)
    return path


@pytest.fixture(scope="session")
def int8_classifier(int8_artifact: Artifact) -> Classifier:
    return Classifier.from_artifact(int8_artifact)


@pytest.fixture(scope="session")
def faces() -> np.ndarray:
    return drawn_faces(40, seed=7)


def make_tensor(dtype: str = "int8", shape: tuple[int, ...] = (1, 8), **changes: object) -> Tensor:
    """Make a tensor of the main graph, with one scale if its values are integers."""
    scaled = dtype in ("int8", "uint8")
    plain: dict[str, object] = {
        "name": "t", "dtype": dtype, "shape": shape, "dynamic_dimensions": (), "buffer": 0, "constant": False,
        "variable": False, "scales": int(scaled), "scale": 0.5 if scaled else None, "zero_point": 0 if scaled else None,
    }  # fmt: skip
    return Tensor(**(plain | changes))


def make_op(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...], **changes: object) -> Op:
    """Make a built-in operator of version 1."""
    return Op(**({"name": name, "version": 1, "custom": False, "inputs": inputs, "outputs": outputs} | changes))


def make_graph(tensors: list[Tensor], ops: list[Op], inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Subgraph:
    return Subgraph(tuple(tensors), tuple(ops), inputs, outputs)


@pytest.fixture
def make() -> SimpleNamespace:
    """Return functions that make parts of a model: make.tensor(), make.op(), make.graph()."""
    return SimpleNamespace(tensor=make_tensor, op=make_op, graph=make_graph)


@pytest.fixture(scope="session")
def litert() -> ModuleType:
    """Return the interpreter module of LiteRT; skip the test if it is not installed."""
    return pytest.importorskip("ai_edge_litert.interpreter")


@pytest.fixture(scope="session")
def tiny(litert: ModuleType) -> dict[str, Model]:
    """Return the parsed tiny models of fixtures/ by scheme."""
    return {scheme: read_model((DATA / f"tiny-{scheme}.tflite").read_bytes()) for scheme in TOLERANCES}


@pytest.fixture(scope="session")
def tiny_content() -> dict[str, bytes]:
    """Return the content of the tiny models' files by scheme."""
    return {scheme: (DATA / f"tiny-{scheme}.tflite").read_bytes() for scheme in TOLERANCES}


@pytest.fixture(scope="session")
def shipped(litert: ModuleType) -> Model:
    return read_model(SHIPPED.read_bytes())


@pytest.fixture(scope="session")
def small_1_path() -> Path:
    """Return the path of a trained model with a MEAN and the default stem, which the shipped models do not have."""
    return Path(__file__).parents[1] / "benchmarks" / "checkpoints" / "small-1-int8.tflite"


@pytest.fixture(scope="session")
def small_1(litert: ModuleType, small_1_path: Path) -> Model:
    return read_model(small_1_path.read_bytes())


@pytest.fixture(scope="session")
def crashing_artifact(small_1_path: Path, small_1: Model) -> Artifact:
    """Return a trained model whose first ADD overwrites the constant axes of its MEAN; it crashes LiteRT 2.3."""
    artifact, graph = Artifact.load(small_1_path), small_1.main
    add = next(position for position, op in enumerate(graph.ops) if op.name == "ADD")
    axes = next(op.inputs[1] for op in graph.ops if op.name == "MEAN")
    content = bytearray(artifact.model)
    # The array is a view of the bytes.
    load_schema().Model.GetRootAs(content, 0).Subgraphs(0).Operators(add).OutputsAsNumpy()[0] = axes
    return dataclasses.replace(artifact, model=bytes(content))


def write_film(path: Path, frames: Iterable[np.ndarray], *, fps: float = 30) -> Path:
    """Write uint8 BGR frames (h, w, 3) as a video: Motion JPEG with little loss, or MPEG-4 for an .mp4."""
    kind = "mp4v" if path.suffix == ".mp4" else "MJPG"
    writer = None
    for frame in frames:
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*kind), fps, frame.shape[1::-1])
        writer.write(frame)
    assert writer is not None
    writer.release()
    return path


@pytest.fixture(scope="session")
def film() -> Callable[..., Path]:
    """Return a function that writes a video: film(path, frames, fps=30)."""
    return write_film


CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# The pipe is read from descriptor 3 and written to 4.
START = 'exec "${@:3}" 3<&"$1" 4>&"$2"'
REPLY_TIMEOUT_S = 60
POLL_S = 0.05


# What Chromium answers to an evaluation whose document is replaced before it ends.
NAVIGATION_ERRORS = (
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find context with specified id",
    "Cannot find default execution context",
)


class PageNavigated(AssertionError):
    """The page loaded another document during a call."""


class Browser:
    """A running Chromium."""

    def __init__(self, profile):
        commands_read, self._commands = os.pipe()
        self._replies, replies_write = os.pipe()
        # Chromium has no sandbox for root, which is the usual user of a container.
        flags = [*FLAGS, f"--user-data-dir={profile}", *["--no-sandbox"] * (os.geteuid() == 0)]
        command = ["bash", "-c", START, "chromium", str(commands_read), str(replies_write), CHROMIUM, *flags]
        self._log = (Path(profile).parent / "chromium.log").open("w+")
        self._process = subprocess.Popen(
            command, pass_fds=(commands_read, replies_write), stdout=self._log, stderr=self._log
        )
        os.close(commands_read)
        os.close(replies_write)
        self._numbers, self._waiting, self.pages = itertools.count(1), {}, {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def call(self, method, session=None, **parameters):
        """Call a method of the DevTools protocol and return its result."""
        number, answer = next(self._numbers), queue.Queue(1)
        self._waiting[number] = answer
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        reply = answer.get(timeout=REPLY_TIMEOUT_S)
        if "error" in reply and reply["error"]["message"] in NAVIGATION_ERRORS:
            raise PageNavigated(method, reply)
        assert "error" not in reply, (method, reply)
        return reply["result"]

    def open(self, url, **options):
        """Open a page with separate cookies."""
        return Page(self, url, **options)

    def close(self):
        self.call("Browser.close")
        self._process.wait(REPLY_TIMEOUT_S)
        os.close(self._commands)
        self._reader.join(REPLY_TIMEOUT_S)
        self._log.close()

    def _read(self):
        with os.fdopen(self._replies, "rb") as pipe:
            kept = b""
            while chunk := os.read(pipe.fileno(), 2**16):
                *whole, kept = (kept + chunk).split(b"\0")
                for message in map(json.loads, whole):
                    if "id" in message:
                        self._waiting.pop(message["id"]).put(message)
                    elif message.get("sessionId") in self.pages:
                        self.pages[message["sessionId"]].record(message["method"], message["params"])


class Page:
    """A page of the browser.

    Attributes:
        errors: messages on its console, exceptions and log entries.
        requests: the addresses that it requested.
    """

    def __init__(self, browser, url, *, width=1280, height=900, dark=False, calm=False):
        self._browser, self.errors, self.requests = browser, [], []
        self._context = browser.call("Target.createBrowserContext")["browserContextId"]
        made = browser.call("Target.createTarget", url="about:blank", browserContextId=self._context)
        attached = browser.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        self._session = attached["sessionId"]
        browser.pages[self._session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        features = {"prefers-color-scheme": "dark" if dark else "light"}
        if calm:
            features["prefers-reduced-motion"] = "reduce"
        listed = [{"name": name, "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def resize(self, width, height):
        settings = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **settings)

    def evaluate(self, expression):
        """Return the value of a JavaScript expression, after its promise has resolved."""
        reply = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply["exceptionDetails"]
        return reply["result"].get("value")

    def wait(self, expression, seconds=20):
        """Wait until an expression is true, and return its value."""
        until = time.monotonic() + seconds
        while True:
            # An evaluation fails if the page navigates meanwhile; the next one sees the new document.
            with contextlib.suppress(PageNavigated):
                if value := self.evaluate(expression):
                    return value
            assert time.monotonic() < until, (expression, self.evaluate("document.body.innerText"), self.errors)
            time.sleep(POLL_S)

    def press(self, key):
        """Press and release a key."""
        for kind in ("rawKeyDown", "char", "keyUp"):
            text = {"text": "\r" if key == "Enter" else " "} if kind == "char" and key in ("Enter", " ") else {}
            if kind != "char" or text:
                code = {"Tab": 9, "Enter": 13, " ": 32}[key]
                self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def screenshot(self, path):
        """Write a screenshot of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(taken["data"]))

    def record(self, method, event):
        """Record an event of the DevTools protocol."""
        if method == "Runtime.consoleAPICalled":
            self.errors.append(" ".join(str(argument.get("value")) for argument in event["args"]))
        elif method == "Runtime.exceptionThrown":
            self.errors.append(event["exceptionDetails"]["exception"].get("description", ""))
        elif method == "Log.entryAdded":
            self.errors.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])

    def close(self):
        self._browser.pages.pop(self._session)
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        # In CI, a missing browser is a failure.
        stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        stop("chromium is not installed; on Debian and Ubuntu: sudo apt install chromium")
    browser = Browser(tmp_path_factory.mktemp("chromium") / "profile")
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    """Return a function that opens pages: browser(url, width=390, dark=True)."""
    opened = []

    def open_page(url, **options):
        opened.append(chromium.open(url, **options))
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()
