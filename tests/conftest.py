"""A real browser, for the pages that edgefer makes: headless Chromium, told what to do over its debugging pipe."""

import base64
import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# The pipe is read from descriptor 3 and written to 4.
START = 'exec "${@:3}" 3<&"$1" 4>&"$2"'
ANSWER_S = 60
LOOK_S = 0.05


class Browser:
    """A running Chromium."""

    def __init__(self, profile):
        asked, self._asking = os.pipe()
        self._answers, answering = os.pipe()
        # As root, which a container often is, Chromium has no sandbox.
        flags = [*FLAGS, f"--user-data-dir={profile}", *["--no-sandbox"] * (os.geteuid() == 0)]
        command = ["bash", "-c", START, "chromium", str(asked), str(answering), CHROMIUM, *flags]
        self._log = (Path(profile).parent / "chromium.log").open("w+")
        self._process = subprocess.Popen(command, pass_fds=(asked, answering), stdout=self._log, stderr=self._log)
        os.close(asked)
        os.close(answering)
        self._numbers, self._waiting, self.pages = itertools.count(1), {}, {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def call(self, method, session=None, **parameters):
        """What a method of the DevTools protocol returns."""
        number, answer = next(self._numbers), queue.Queue(1)
        self._waiting[number] = answer
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._asking, json.dumps(message).encode() + b"\0")
        told = answer.get(timeout=ANSWER_S)
        assert "error" not in told, (method, told)
        return told["result"]

    def open(self, url, **options):
        """A new page, with cookies of its own."""
        return Page(self, url, **options)

    def close(self):
        self.call("Browser.close")
        self._process.wait(ANSWER_S)
        os.close(self._asking)
        self._reader.join(ANSWER_S)
        self._log.close()

    def _read(self):
        with os.fdopen(self._answers, "rb") as pipe:
            kept = b""
            while chunk := os.read(pipe.fileno(), 2**16):
                *whole, kept = (kept + chunk).split(b"\0")
                for message in map(json.loads, whole):
                    if "id" in message:
                        self._waiting.pop(message["id"]).put(message)
                    elif message.get("sessionId") in self.pages:
                        self.pages[message["sessionId"]].happened(message["method"], message["params"])


class Page:
    """A page of the browser.

    Attributes:
        errors: what was written to its console, and what it did wrong.
        requests: the addresses that it asked for.
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
        """The value of a JavaScript expression, or of what it promises."""
        told = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, expression, seconds=20):
        """The value of an expression as soon as it is true."""
        until = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < until, (expression, self.evaluate("document.body.innerText"), self.errors)
            time.sleep(LOOK_S)
        return value

    def press(self, key):
        """A key of the keyboard."""
        for kind in ("rawKeyDown", "char", "keyUp"):
            text = {"text": "\r" if key == "Enter" else " "} if kind == "char" and key in ("Enter", " ") else {}
            if kind != "char" or text:
                code = {"Tab": 9, "Enter": 13, " ": 32}[key]
                self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def screenshot(self, path):
        """The whole page, however long."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(taken["data"]))

    def happened(self, method, told):
        if method == "Runtime.consoleAPICalled":
            self.errors.append(" ".join(str(each.get("value")) for each in told["args"]))
        elif method == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"]["exception"].get("description", ""))
        elif method == "Log.entryAdded":
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])

    def close(self):
        self._browser.pages.pop(self._session)
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        # Where CI is set, what cannot run fails.
        how = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        how("there is no chromium; on Debian and Ubuntu: sudo apt install chromium")
    browser = Browser(tmp_path_factory.mktemp("chromium") / "profile")
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    """Open pages: browser(url, width=390, dark=True)."""
    opened = []

    def open_page(url, **options):
        opened.append(chromium.open(url, **options))
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()
