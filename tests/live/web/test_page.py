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

TOKEN = "0123456789abcdef"
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


# Records the labels that are drawn from now on: the filled rectangles of the picture.
RECORD_LABELS = """(() => {
  window.labels = [];
  const fill = CanvasRenderingContext2D.prototype.fillRect;
  CanvasRenderingContext2D.prototype.fillRect = function (...area) {
    if (this.canvas.id === 'picture') window.labels.push(area);
    fill.apply(this, area);
  };
})()"""
# Records the names of the last minute, as their middle and right edge, and the left edges of the data beside them.
RECORD_NAMES = """(() => {
  window.names = [];
  window.data = [];
  const context = CanvasRenderingContext2D.prototype, write = context.fillText, fill = context.fillRect;
  context.fillText = function (text, x, y, ...limit) {
    const width = Math.min(this.measureText(text).width, ...limit);
    if (this.canvas.id === 'strip' && text.startsWith('an expression')) window.names.push([y, x + width]);
    write.call(this, text, x, y, ...limit);
  };
  context.fillRect = function (...area) {
    if (this.canvas.id === 'strip') window.data.push(area[0]);
    fill.apply(this, area);
  };
})()"""


@pytest.fixture
def open_page(browser):
    """Return a function that opens the page of a server with its token, and waits until it is loaded."""

    def open_page(server, **options):
        page = browser(f"{server.url.partition('?')[0]}?token={server.token}", **options)
        page.wait("location.search === '' && document.readyState === 'complete' && !!document.getElementById('state')")
        return page

    return open_page


def face_count(count):
    return f"document.querySelectorAll('.face').length === {count}"


def test_the_page_loads_without_errors_and_only_from_its_own_server(serve, open_page, make_face, publishing) -> None:
    server = serve()
    with publishing(server, make_face()):
        page = open_page(server)
        page.wait(IS_LIVE)
        page.wait(face_count(1))
    assert page.errors == []
    base = server.url.partition("?")[0]
    assert {re.sub(r"\?.*", "", url.removeprefix(base)) for url in page.requests} == {
        "", "page.css", "page.js", "icon.svg", "picture",
    }  # fmt: skip
    assert page.evaluate("document.fonts.size + document.cookie.length + localStorage.length") == 0


def test_faces_and_timing_show_the_published_result(serve, open_page, make_face, publishing) -> None:
    server = serve()
    faces = (make_face(3, "happy", 0.88), replace(make_face(4, UNSURE, 0.4), box=FaceBox(300, 60, 200, 200)))
    with publishing(server, *faces, health=Health(61.4, ("under-voltage", "throttled"))):
        page = open_page(server)
        page.wait(face_count(2))
    happy, unsure = page.evaluate(FACES)
    assert (happy["track"], happy["label"], happy["named"]) == ("3", "happy", ["happy"])
    assert (unsure["track"], unsure["label"], unsure["named"]) == ("4", "unsure", [])
    percentages = [88 if label == "happy" else 2 for label in LABELS]
    assert happy["rows"] == [f"{label}{percentage} %" for label, percentage in zip(LABELS, percentages)]
    assert [round(float(width.removesuffix("%"))) for width in happy["bars"]] == percentages
    timing = page.evaluate("document.getElementById('timing').innerText")
    for text in (
        "the classifier takes 4 % of the frame time", "1.25", "2.50", "0.25", "15.0", "1,234", "17 ms", "61 °C",
        "under-voltage, throttled",
    ):  # fmt: skip
        assert text in timing
    assert re.search(r"draw\s+-\s+-", timing)
    assert re.search(r"publish\s+-\s+-", timing)
    assert "happy, unsure" in page.evaluate("document.getElementById('picture').getAttribute('aria-label')")
    page.wait("document.getElementById('strip').getAttribute('aria-label').includes('happy 100 %')")


def test_a_box_always_matches_the_image_below_it(serve, open_page, make_face, make_result) -> None:
    server = serve()
    page = open_page(server)
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


def test_cards_of_faces_that_left_disappear(serve, open_page, make_face, make_result) -> None:
    server = serve()
    server.publish(make_result(0, *(make_face(track_id) for track_id in range(9))))
    page = open_page(server)
    page.wait(face_count(6))
    assert "and 3 smaller faces" in page.evaluate("document.getElementById('faces').innerText")
    server.publish(make_result(1))
    page.wait(face_count(0))
    assert page.evaluate("document.getElementById('faces').innerText").split() == ["Faces", "none"]


@pytest.mark.slow
def test_the_page_reports_missing_frames_and_recovers(serve, open_page, make_result) -> None:
    server = serve()
    page = open_page(server)
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
def test_without_new_frames_no_value_is_shown_as_current(serve, open_page, make_face, make_result) -> None:
    server = serve()
    server.publish(make_result(0, make_face(), make_face(1, x=300), health=Health(61.4, ("throttled",))))
    page = open_page(server)
    page.wait(face_count(2))
    page.wait(f"{STATE}.startsWith('no new frame for ')")
    page.wait(face_count(0))
    timing = page.evaluate("document.getElementById('timing').innerText")
    assert not re.search(r"\d", timing.replace("p50", "").replace("p90", ""))
    bars = "[...document.querySelectorAll('.track i')].map((bar) => bar.style.width)"
    assert set(page.evaluate(bars)) == {"0px"}
    assert "no new frame" in page.evaluate("document.getElementById('picture').getAttribute('aria-label')")
    server.publish(make_result(1, make_face()))
    page.wait(IS_LIVE)
    page.wait(face_count(1))
    assert page.evaluate("document.getElementById('fps').textContent") == "15.0"
    assert page.errors == []


@pytest.mark.slow
def test_the_page_reconnects_to_a_restarted_server(open_page, make_face, publishing) -> None:
    with serving(Address("127.0.0.1", 0), token=TOKEN) as server, publishing(server, make_face(700), first=50_000):
        page = open_page(server)
        page.wait("document.querySelector('[data-track=\"700\"]') !== null")
    page.wait(f"{STATE}.endsWith('no connection to edgefer; retrying')")
    assert page.evaluate(STATE).startswith("no new frame for ")
    # Frame and track numbers start from 0 again.
    with serving(Address("127.0.0.1", server.port), token=TOKEN) as server, publishing(server, make_face(0)):
        page.wait(IS_LIVE)
        page.wait("document.querySelector('[data-track=\"0\"]') !== null")
        assert page.evaluate("document.querySelectorAll('.face').length") == 1
    assert {message.partition(" http")[0] for message in page.errors} == {
        "Failed to load resource: net::ERR_CONNECTION_REFUSED"
    }


def test_cards_show_the_labels_of_another_model_after_a_restart(serve, open_page, make_face, make_result) -> None:
    server = serve()
    page = open_page(server)
    server.publish(make_result(50, make_face(0)))
    page.wait(face_count(1))
    names = tuple(f"class {index}" for index in range(7))
    server.publish(make_result(0, replace(make_face(0), label="class 3"), labels=names))
    page.wait("document.querySelector('.face h3 span')?.textContent === 'class 3'")
    (face,) = page.evaluate(FACES)
    expected = [f"{name}{90 if name == 'class 3' else 2}" for name in names]
    assert [row.removesuffix(" %") for row in face["rows"]] == expected


@pytest.mark.parametrize("width", [390, 1280])
def test_names_in_the_last_minute_do_not_cover_each_other_or_the_data(
    serve, open_page, make_face, publishing, width
) -> None:
    server, names = serve(), tuple(f"an expression with a long name {index}" for index in range(24))
    face = replace(make_face(0), label=names[1], probabilities=(1 / 24,) * 24)
    with publishing(server, face, labels=names):
        page = open_page(server, width=width)
        page.evaluate(RECORD_NAMES)
        page.wait("window.names.length >= 24 && window.data.length > 0")
    drawn, data = page.evaluate("[window.names.slice(0, 24), window.data]")
    assert max(right for _, right in drawn) < min(data)
    tops = [top for top, _ in drawn]
    assert min(np.diff(tops)) >= 13


def test_the_token_opens_the_page_and_disappears_from_the_url(serve, browser, open_page, publishing) -> None:
    server = serve(token=TOKEN)
    with publishing(server):
        page = open_page(server)
        page.wait(IS_LIVE)
        assert page.errors == []
        assert page.evaluate("document.cookie") == ""
        rejected = browser(server.url)
        assert "?token=" in rejected.evaluate("document.body.innerText")
    server.close()
    with serving(Address("127.0.0.1", server.port), token="another one, longer") as other, publishing(other):
        page.wait(f"{STATE}.includes('open the URL that edgefer printed')")


def test_all_controls_work_by_keyboard(serve, open_page, make_face, publishing) -> None:
    server = serve()
    with publishing(server, make_face()):
        page = open_page(server)
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


def test_the_box_is_mirrored_with_the_image(serve, open_page, make_face, make_result) -> None:
    server = serve()
    image = np.zeros((480, 640, 3), np.uint8)
    image[60:420, 100:210] = 255
    server.publish(make_result(0, replace(make_face(), box=FaceBox(100, 60, 110, 360)), image=image))
    page = open_page(server)
    page.wait(f"{EDGES}[0] >= 0")
    assert abs(page.evaluate(EDGES)[1] - 100) <= 3
    page.evaluate("document.getElementById('mirror').click()")
    assert abs(page.evaluate(EDGES)[1] - (640 - 210)) <= 3


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("mirrored", [False, True])
def test_no_label_covers_another_one(serve, open_page, make_face, make_result, width, mirrored) -> None:
    server = serve()
    # Neighbors, one above the other, and at each edge.
    boxes = [(10, 180, 120), (140, 190, 110), (260, 170, 130), (400, 185, 120), (525, 180, 110), (250, 2, 90)]
    faces = [
        replace(make_face(track_id, label, 0.99), box=FaceBox(x, y, side, side))
        for track_id, (label, (x, y, side)) in enumerate(zip(LABELS, boxes), 10)
    ]
    image = np.full((480, 640, 3), 90, np.uint8)
    server.publish(make_result(0, *faces, image=image))
    page = open_page(server, width=width)
    page.wait(face_count(6))
    if mirrored:
        page.evaluate("document.getElementById('mirror').click()")
    page.evaluate(RECORD_LABELS)
    server.publish(make_result(1, *faces, image=image))
    page.wait("window.labels.length >= 6")
    labels = page.evaluate("window.labels.slice(0, 6)")
    assert len(labels) == 6
    for index, (left, top, wide, high) in enumerate(labels):
        assert left >= 0
        assert top >= 0
        assert left + wide <= 640.5
        for other_left, other_top, other_wide, other_high in labels[:index]:
            is_apart = (
                left + wide <= other_left or other_left + other_wide <= left
                or top + high <= other_top or other_top + other_high <= top
            )  # fmt: skip
            assert is_apart, labels


@pytest.mark.parametrize("shape", [(480, 640, 3), (720, 1280, 3), (640, 480, 3)])
def test_the_last_minute_and_its_legend_fit_on_the_screen(serve, open_page, make_face, publishing, shape) -> None:
    server = serve()
    with publishing(server, make_face(), image=np.full(shape, 90, np.uint8)):
        page = open_page(server, width=1280, height=900)
        page.wait(IS_LIVE)
        page.wait(face_count(1))
    assert page.evaluate("document.querySelector('#history .soft').getBoundingClientRect().bottom") <= 900
    width, height = page.evaluate("[picture.clientWidth, picture.clientHeight]")
    assert width / height == pytest.approx(shape[1] / shape[0], rel=0.02)
    assert height >= 256


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_nothing_overflows_the_screen(serve, open_page, make_face, publishing, width) -> None:
    server = serve()
    faces = [make_face(track_id) for track_id in range(1000, 1009)]
    with publishing(server, *faces, health=Health(71.0, ("under-voltage", "frequency capped", "throttled"))):
        page = open_page(server, width=width)
        page.wait(face_count(6))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    overflowing = (
        "[...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > innerWidth)"
    )
    assert page.evaluate(f"{overflowing}.map((node) => node.outerHTML.slice(0, 80))") == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_sufficient_contrast_in_light_and_dark(serve, open_page, make_face, publishing, dark) -> None:
    server = serve()
    with publishing(server, make_face(), health=Health(71.0, ("throttled",))):
        page = open_page(server, dark=dark)
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


def test_reduced_motion_disables_the_transition_of_the_bars(serve, open_page, make_face, publishing) -> None:
    server = serve()
    duration = "getComputedStyle(document.querySelector('.track i')).transitionDuration"
    with publishing(server, make_face()):
        for calm, expected in ((False, "0.12s"), (True, "0s")):
            page = open_page(server, calm=calm)
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
