"""The page in a real browser: what it shows of what was published, and what it says when nothing comes."""

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

LIVE = "document.getElementById('state').dataset.state === 'live'"
STATE = "document.getElementById('state').textContent"
FACES = """[...document.querySelectorAll('.face')].map((face) => ({
  track: face.dataset.track, name: face.querySelector('h3 span').textContent,
  shares: [...face.querySelectorAll('tr')].map((row) => row.textContent.trim()),
  bars: [...face.querySelectorAll('.track i')].map((bar) => bar.style.width),
  named: [...face.querySelectorAll('tr.is-named th')].map((head) => head.textContent),
}))"""
# Where, in the row of pixels in the middle, the white square begins and the orange frame around it does.
EDGES = """(() => {
  const canvas = document.getElementById('picture'), wide = canvas.width;
  const row = canvas.getContext('2d').getImageData(0, canvas.height >> 1, wide, 1).data;
  const at = (x) => [row[4 * x], row[4 * x + 1], row[4 * x + 2]];
  let white = -1, orange = -1;
  for (let x = 0; x < wide; x++) {
    const [red, green, blue] = at(x);
    if (orange < 0 && red > 150 && blue < 90 && red - blue > 100) orange = x;
    if (white < 0 && red > 200 && green > 200 && blue > 200) white = x;
  }
  return [white, orange];
})()"""


def test_it_opens_without_an_error_and_asks_nobody_else(serve, browser, a_face, publishing) -> None:
    server = serve()
    with publishing(server, a_face()):
        page = browser(server.url)
        page.wait(LIVE)
        page.wait("document.querySelectorAll('.face').length === 1")
    assert page.errors == []
    assert {re.sub(r"\?.*", "", each.removeprefix(server.url)) for each in page.requests} == {
        "", "page.css", "page.js", "icon.svg", "picture",
    }  # fmt: skip
    assert page.evaluate("document.fonts.size + document.cookie.length + localStorage.length") == 0


def test_bars_and_budget_are_what_was_published(serve, browser, a_face, publishing) -> None:
    server = serve()
    faces = (a_face(3, "happy", 0.88), replace(a_face(4, UNSURE, 0.4), box=FaceBox(300, 60, 200, 200)))
    with publishing(server, *faces, health=Health(61.4, ("under-voltage", "throttled"))):
        page = browser(server.url)
        page.wait("document.querySelectorAll('.face').length === 2")
    happy, unsure = page.evaluate(FACES)
    assert (happy["track"], happy["name"], happy["named"]) == ("3", "happy", ["happy"])
    assert (unsure["track"], unsure["name"], unsure["named"]) == ("4", "unsure", [])
    expected = [f"{label}{'88 %' if label == 'happy' else '2 %'}" for label in LABELS]
    assert happy["shares"] == expected
    assert [round(float(each.removesuffix("%"))) for each in happy["bars"]] == [
        88 if label == "happy" else 2 for label in LABELS
    ]
    said = page.evaluate("document.getElementById('budget').innerText")
    for word in (
        "the classifier is 4 % of your frame", "1.25", "2.50", "0.25", "15.0", "1,234", "17 ms", "61 °C",
        "under-voltage, throttled",
    ):  # fmt: skip
        assert word in said
    assert re.search(r"draw\s+-\s+-", said)
    assert "happy, unsure" in page.evaluate("document.getElementById('picture').getAttribute('aria-label')")
    page.wait("document.getElementById('strip').getAttribute('aria-label').includes('happy 100 %')")


def test_a_box_is_always_the_one_of_the_picture_under_it(serve, browser, a_face, make) -> None:
    server = serve()
    page = browser(server.url)
    seen = set()
    for number in range(120):
        image = np.zeros((480, 640, 3), np.uint8)
        x = 20 + 61 * number % 400
        image[60:420, x : x + 110] = 255
        server.publish(make(number, replace(a_face(), box=FaceBox(x, 60, 110, 360)), image=image))
        time.sleep(0.02)
        white, orange = page.evaluate(EDGES)
        if white >= 0:
            assert 0 <= white - orange <= 6, (white, orange)
            seen.add(white)
    assert len(seen) > 10


def test_faces_that_go_are_gone(serve, browser, a_face, make) -> None:
    server = serve()
    server.publish(make(0, *(a_face(track) for track in range(9))))
    page = browser(server.url)
    page.wait("document.querySelectorAll('.face').length === 6")
    assert "and 3 more" in page.evaluate("document.getElementById('faces').innerText")
    server.publish(make(1))
    page.wait("document.querySelectorAll('.face').length === 0")
    assert page.evaluate("document.getElementById('faces').innerText").split() == ["Faces", "none"]


@pytest.mark.slow
def test_it_says_when_nothing_comes_and_goes_on_when_it_does(serve, browser, make) -> None:
    server = serve()
    page = browser(server.url)
    assert page.evaluate(STATE) == "waiting for the first picture"
    server.publish(make(0))
    page.wait(LIVE)
    page.wait(f"{STATE} === 'no new picture for 3 s'")
    assert page.evaluate("document.getElementById('veil').innerText") == "no new picture for 3 s"
    server.publish(make(1))
    page.wait(LIVE)
    assert page.evaluate("document.getElementById('veil').hidden")
    assert page.errors == []


@pytest.mark.slow
def test_it_comes_back_by_itself_when_the_server_does(browser, a_face, publishing) -> None:
    with serving(Address("127.0.0.1", 0)) as server, publishing(server, a_face(700), first=50_000):
        page = browser(server.url)
        page.wait("document.querySelector('[data-track=\"700\"]') !== null")
    page.wait(f"{STATE}.endsWith('no connection to edgefer; trying again')")
    assert page.evaluate(STATE).startswith("no new picture for ")
    # The new one counts its frames and faces from 0.
    with serving(Address("127.0.0.1", server.port)) as server, publishing(server, a_face(0)):
        page.wait(LIVE)
        page.wait("document.querySelector('[data-track=\"0\"]') !== null")
        assert page.evaluate("document.querySelectorAll('.face').length") == 1
    assert {each.partition(" http")[0] for each in page.errors} == {
        "Failed to load resource: net::ERR_CONNECTION_REFUSED"
    }


def test_with_the_token_it_opens_and_the_token_is_gone_from_the_address(serve, browser, publishing) -> None:
    server = serve(token="0123456789abcdef")
    with publishing(server):
        page = browser(f"{server.url}?token=0123456789abcdef")
        page.wait(f"location.search === '' && document.readyState === 'complete' && {LIVE}")
        assert page.errors == []
        assert page.evaluate("document.cookie") == ""
        stranger = browser(server.url)
        assert "?token=" in stranger.evaluate("document.body.innerText")
    server.close()
    with serving(Address("127.0.0.1", server.port), token="another one, longer") as other, publishing(other):
        page.wait(f"{STATE}.includes('open the address that edgefer printed')")


def test_it_is_worked_by_keyboard(serve, browser, a_face, publishing) -> None:
    server = serve()
    with publishing(server, a_face()):
        page = browser(server.url)
        page.wait(LIVE)
        reached = []
        for _ in range(5):
            page.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent"))
            if reached[-1] == "Pause":
                page.press(" ")
                page.wait(f"{STATE} === 'paused'")
                before = page.evaluate("performance.getEntriesByType('resource').length")
                page.press("Enter")
                page.wait(LIVE)
                page.wait(f"performance.getEntriesByType('resource').length > {before}")
            if reached[-1] == "Mirror":
                page.press(" ")
                assert page.evaluate("document.getElementById('mirror').getAttribute('aria-pressed')") == "true"
    assert reached[:4] == ["Skip to the faces", "Pause", "Mirror", "Save the newest picture"]


def test_mirrored_the_box_goes_along(serve, browser, a_face, make) -> None:
    server = serve()
    image = np.zeros((480, 640, 3), np.uint8)
    image[60:420, 100:210] = 255
    server.publish(make(0, replace(a_face(), box=FaceBox(100, 60, 110, 360)), image=image))
    page = browser(server.url)
    page.wait(f"{EDGES}[0] >= 0")
    assert abs(page.evaluate(EDGES)[1] - 100) <= 3
    page.evaluate("document.getElementById('mirror').click()")
    assert abs(page.evaluate(EDGES)[1] - (640 - 210)) <= 3


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_nothing_is_wider_than_the_screen(serve, browser, a_face, publishing, width) -> None:
    server = serve()
    faces = [a_face(track) for track in range(1000, 1009)]
    with publishing(server, *faces, health=Health(71.0, ("under-voltage", "frequency capped", "throttled"))):
        page = browser(server.url, width=width)
        page.wait("document.querySelectorAll('.face').length === 6")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wide = "[...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > innerWidth)"
    assert page.evaluate(f"{wide}.map((each) => each.outerHTML.slice(0, 80))") == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_light_and_dark(serve, browser, a_face, publishing, dark) -> None:
    server = serve()
    with publishing(server, a_face(), health=Health(71.0, ("throttled",))):
        page = browser(server.url, dark=dark)
        page.wait(LIVE)
        page.wait("document.querySelectorAll('.face').length === 1")
        pairs = page.evaluate("""
            [...document.querySelectorAll('h1, #state, .named, .soft, th, td, dt, dd, button, a, p')].map((each) => {
              let back = each;
              while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
              return [getComputedStyle(each).color, getComputedStyle(back).backgroundColor];
            })""")
    assert len(pairs) > 30
    assert (luminance(pairs[0][1]) < 0.2) == dark
    for ink, paper in pairs:
        high, low = sorted([luminance(ink), luminance(paper)], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2 of "rgb(1, 2, 3)"."""
    shares = [float(each) / 255 for each in re.findall(r"[\d.]+", colour)[:3]]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_who_wants_no_motion_sees_none_in_the_bars(serve, browser, a_face, publishing) -> None:
    server = serve()
    moves = "getComputedStyle(document.querySelector('.track i')).transitionDuration"
    with publishing(server, a_face()):
        for calm, duration in ((False, "0.12s"), (True, "0s")):
            page = browser(server.url, calm=calm)
            page.wait("document.querySelectorAll('.face').length === 1")
            assert page.evaluate(moves) == duration


def test_without_scripts_there_is_the_video(serve, browser, a_face, publishing) -> None:
    server = serve()
    with publishing(server, a_face()):
        page = browser("data:text/html,<title>nothing</title>")
        page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.call("Page.navigate", url=server.url)
        page.wait("(document.querySelector('#stage img') || {}).naturalWidth === 512")
        assert page.evaluate("document.getElementById('picture').offsetWidth") == 0
        assert "how a face looks" in page.evaluate("document.body.innerText")
