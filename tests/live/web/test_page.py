"""The page in a real browser: rendering of the published results, and messages when frames stop."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.inference.face_detection import FaceBox
from edgefer.live.frame_result import UNSURE, Health
from edgefer.live.web import Address, serving

IS_LIVE = "document.getElementById('state').dataset.state === 'live'"
STATE = "document.getElementById('state').textContent"
FACES = """[...document.querySelectorAll('.face')].map((face) => ({
  track: face.dataset.track, label: face.querySelector('h3 span').textContent,
  rows: [...face.querySelectorAll('tr')].map((row) => row.textContent.trim()),
  bars: [...face.querySelectorAll('.track i')].map((bar) => bar.style.width),
  named: [...face.querySelectorAll('tr.is-named th')].map((head) => head.textContent),
}))"""
# First x of the white square, and of the orange box around it, in the middle row of the canvas.
EDGES = """(() => {
  const canvas = document.getElementById('picture'), width = canvas.width;
  const row = canvas.getContext('2d').getImageData(0, canvas.height >> 1, width, 1).data;
  const pixel = (x) => [row[4 * x], row[4 * x + 1], row[4 * x + 2]];
  let white = -1, orange = -1;
  for (let x = 0; x < width; x++) {
    const [red, green, blue] = pixel(x);
    if (orange < 0 && red > 150 && blue < 90 && red - blue > 100) orange = x;
    if (white < 0 && red > 200 && green > 200 && blue > 200) white = x;
  }
  return [white, orange];
})()"""


def face_count(count):
    return f"document.querySelectorAll('.face').length === {count}"


def test_the_page_loads_without_errors_and_only_from_its_own_server(serve, browser, make_face, publishing) -> None:
    server = serve()
    with publishing(server, make_face()):
        page = browser(server.url)
        page.wait(IS_LIVE)
        page.wait(face_count(1))
    assert page.errors == []
    assert {re.sub(r"\?.*", "", url.removeprefix(server.url)) for url in page.requests} == {
        "", "page.css", "page.js", "icon.svg", "picture",
    }  # fmt: skip
    assert page.evaluate("document.fonts.size + document.cookie.length + localStorage.length") == 0


def test_faces_and_timing_show_the_published_result(serve, browser, make_face, publishing) -> None:
    server = serve()
    faces = (make_face(3, "happy", 0.88), replace(make_face(4, UNSURE, 0.4), box=FaceBox(300, 60, 200, 200)))
    with publishing(server, *faces, health=Health(61.4, ("under-voltage", "throttled"))):
        page = browser(server.url)
        page.wait(face_count(2))
    happy, unsure = page.evaluate(FACES)
    assert (happy["track"], happy["label"], happy["named"]) == ("3", "happy", ["happy"])
    assert (unsure["track"], unsure["label"], unsure["named"]) == ("4", "unsure", [])
    percentages = [88 if label == "happy" else 2 for label in LABELS]
    assert happy["rows"] == [f"{label}{percentage} %" for label, percentage in zip(LABELS, percentages)]
    assert [round(float(width.removesuffix("%"))) for width in happy["bars"]] == percentages
    timing = page.evaluate("document.getElementById('timing').innerText")
    for text in (
        "the classifier is 4 % of your frame", "1.25", "2.50", "0.25", "15.0", "1,234", "17 ms", "61 °C",
        "under-voltage, throttled",
    ):  # fmt: skip
        assert text in timing
    assert re.search(r"draw\s+-\s+-", timing)
    assert re.search(r"publish\s+-\s+-", timing)
    assert "happy, unsure" in page.evaluate("document.getElementById('picture').getAttribute('aria-label')")
    page.wait("document.getElementById('strip').getAttribute('aria-label').includes('happy 100 %')")


def test_a_box_always_matches_the_image_below_it(serve, browser, make_face, make_result) -> None:
    server = serve()
    page = browser(server.url)
    positions = set()
    for number in range(120):
        image = np.zeros((480, 640, 3), np.uint8)
        x = 20 + 61 * number % 400
        image[60:420, x : x + 110] = 255
        server.publish(make_result(number, replace(make_face(), box=FaceBox(x, 60, 110, 360)), image=image))
        time.sleep(0.02)
        white, orange = page.evaluate(EDGES)
        if white >= 0:
            assert 0 <= white - orange <= 6, (white, orange)
            positions.add(white)
    assert len(positions) > 10


def test_cards_of_faces_that_left_disappear(serve, browser, make_face, make_result) -> None:
    server = serve()
    server.publish(make_result(0, *(make_face(track_id) for track_id in range(9))))
    page = browser(server.url)
    page.wait(face_count(6))
    assert "and 3 smaller faces" in page.evaluate("document.getElementById('faces').innerText")
    server.publish(make_result(1))
    page.wait(face_count(0))
    assert page.evaluate("document.getElementById('faces').innerText").split() == ["Faces", "none"]


@pytest.mark.slow
def test_the_page_reports_missing_frames_and_recovers(serve, browser, make_result) -> None:
    server = serve()
    page = browser(server.url)
    assert page.evaluate(STATE) == "waiting for the first frame"
    server.publish(make_result(0))
    page.wait(IS_LIVE)
    page.wait(f"{STATE} === 'no new frame for 3 s'")
    assert page.evaluate("document.getElementById('overlay').innerText") == "no new frame for 3 s"
    server.publish(make_result(1))
    page.wait(IS_LIVE)
    assert page.evaluate("document.getElementById('overlay').hidden")
    assert page.errors == []


@pytest.mark.slow
def test_the_page_reconnects_to_a_restarted_server(browser, make_face, publishing) -> None:
    with serving(Address("127.0.0.1", 0)) as server, publishing(server, make_face(700), first=50_000):
        page = browser(server.url)
        page.wait("document.querySelector('[data-track=\"700\"]') !== null")
    page.wait(f"{STATE}.endsWith('no connection to edgefer; retrying')")
    assert page.evaluate(STATE).startswith("no new frame for ")
    # Frame and track numbers start from 0 again.
    with serving(Address("127.0.0.1", server.port)) as server, publishing(server, make_face(0)):
        page.wait(IS_LIVE)
        page.wait("document.querySelector('[data-track=\"0\"]') !== null")
        assert page.evaluate("document.querySelectorAll('.face').length") == 1
    assert {message.partition(" http")[0] for message in page.errors} == {
        "Failed to load resource: net::ERR_CONNECTION_REFUSED"
    }


def test_the_token_opens_the_page_and_disappears_from_the_url(serve, browser, publishing) -> None:
    server = serve(token="0123456789abcdef")
    with publishing(server):
        page = browser(f"{server.url}?token=0123456789abcdef")
        page.wait(f"location.search === '' && document.readyState === 'complete' && {IS_LIVE}")
        assert page.errors == []
        assert page.evaluate("document.cookie") == ""
        rejected = browser(server.url)
        assert "?token=" in rejected.evaluate("document.body.innerText")
    server.close()
    with serving(Address("127.0.0.1", server.port), token="another one, longer") as other, publishing(other):
        page.wait(f"{STATE}.includes('open the URL that edgefer printed')")


def test_all_controls_work_by_keyboard(serve, browser, make_face, publishing) -> None:
    server = serve()
    with publishing(server, make_face()):
        page = browser(server.url)
        page.wait(IS_LIVE)
        focused = []
        for _ in range(5):
            page.press("Tab")
            focused.append(page.evaluate("document.activeElement.textContent"))
            if focused[-1] == "Pause":
                page.press(" ")
                page.wait(f"{STATE} === 'paused'")
                before = page.evaluate("performance.getEntriesByType('resource').length")
                page.press("Enter")
                page.wait(IS_LIVE)
                page.wait(f"performance.getEntriesByType('resource').length > {before}")
            if focused[-1] == "Mirror":
                page.press(" ")
                assert page.evaluate("document.getElementById('mirror').getAttribute('aria-pressed')") == "true"
    assert focused[:4] == ["Skip to the faces", "Pause", "Mirror", "Save a snapshot"]


def test_the_box_is_mirrored_with_the_image(serve, browser, make_face, make_result) -> None:
    server = serve()
    image = np.zeros((480, 640, 3), np.uint8)
    image[60:420, 100:210] = 255
    server.publish(make_result(0, replace(make_face(), box=FaceBox(100, 60, 110, 360)), image=image))
    page = browser(server.url)
    page.wait(f"{EDGES}[0] >= 0")
    assert abs(page.evaluate(EDGES)[1] - 100) <= 3
    page.evaluate("document.getElementById('mirror').click()")
    assert abs(page.evaluate(EDGES)[1] - (640 - 210)) <= 3


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_nothing_overflows_the_screen(serve, browser, make_face, publishing, width) -> None:
    server = serve()
    faces = [make_face(track_id) for track_id in range(1000, 1009)]
    with publishing(server, *faces, health=Health(71.0, ("under-voltage", "frequency capped", "throttled"))):
        page = browser(server.url, width=width)
        page.wait(face_count(6))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    overflowing = (
        "[...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > innerWidth)"
    )
    assert page.evaluate(f"{overflowing}.map((node) => node.outerHTML.slice(0, 80))") == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_sufficient_contrast_in_light_and_dark(serve, browser, make_face, publishing, dark) -> None:
    server = serve()
    with publishing(server, make_face(), health=Health(71.0, ("throttled",))):
        page = browser(server.url, dark=dark)
        page.wait(IS_LIVE)
        page.wait(face_count(1))
        pairs = page.evaluate("""
            [...document.querySelectorAll('h1, #state, .named, .soft, th, td, dt, dd, button, a, p')].map((node) => {
              let back = node;
              while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
              return [getComputedStyle(node).color, getComputedStyle(back).backgroundColor];
            })""")
    assert len(pairs) > 30
    assert (luminance(pairs[0][1]) < 0.2) == dark
    for text, background in pairs:
        high, low = sorted([luminance(text), luminance(background)], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, background)


def luminance(color: str) -> float:
    """Compute the relative luminance of "rgb(1, 2, 3)" as defined by WCAG 2.2."""
    channels = [float(value) / 255 for value in re.findall(r"[\d.]+", color)[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_reduced_motion_disables_the_transition_of_the_bars(serve, browser, make_face, publishing) -> None:
    server = serve()
    duration = "getComputedStyle(document.querySelector('.track i')).transitionDuration"
    with publishing(server, make_face()):
        for calm, expected in ((False, "0.12s"), (True, "0s")):
            page = browser(server.url, calm=calm)
            page.wait(face_count(1))
            assert page.evaluate(duration) == expected


def test_without_scripts_the_page_shows_the_video_stream(serve, browser, make_face, publishing) -> None:
    server = serve()
    with publishing(server, make_face()):
        page = browser("data:text/html,<title>empty</title>")
        page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.call("Page.navigate", url=server.url)
        page.wait("(document.querySelector('#stage img') || {}).naturalWidth === 512")
        assert page.evaluate("document.getElementById('picture').offsetWidth") == 0
        assert "how a face looks" in page.evaluate("document.body.innerText")
