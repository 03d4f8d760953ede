"""The page in a real browser: its plot, and its use with mouse and keyboard."""

import json
import re

import pytest

from edgefer.report.html.page import render_page
from edgefer.report.report_data import read_report_data
from edgefer.report.sections.report import build_report
from edgefer.report.sections.tradeoff import front, points

# JavaScript that the steps of each test can use.
HELPERS = """
const found = {};
const marks = () => [...document.querySelectorAll("#plot .mark")];
const tooltip = document.getElementById("tooltip");
const shown = () => tooltip.hidden ? null : tooltip.textContent;
function choose(name, value) {
  const select = document.getElementById("choose-" + name);
  select.value = value;
  select.dispatchEvent(new Event("change"));
}
"""


@pytest.fixture
def data(quantized, evaluated, measured, tmp_path):
    """Return three models on two devices; one is not on the front."""
    folder = tmp_path / "results"
    folder.mkdir()
    records = {"int8": quantized()}
    for name, scheme, p50_us, right in (("b", "float32", 400, 18), ("c", "float16", 500, 12)):
        subject = {"scheme": scheme, "file": f"<b>{name}</b>-{scheme}.tflite", "file_bytes": 90_000}
        records[name] = evaluated(name * 64, right=right, **subject).to_json()
        bench = measured(name * 64, p50_us=p50_us, file=subject["file"]).to_json()
        bench["subject"]["scheme"] = scheme
        records[f"{name}-bench"] = bench
    other = measured("b" * 64, p50_us=90, device={"cpu": "Cortex-A53"}, file="<b>b</b>-float32.tflite").to_json()
    other["subject"]["scheme"] = "float32"
    records["other"] = other
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    return read_report_data([folder])


@pytest.fixture
def browse(browser, tmp_path):
    """Open the page of ``data``, run the JavaScript in ``steps``, and return the fields that it sets in ``found``."""

    def run(data, steps, **options):
        file = tmp_path / "page.html"
        file.write_text(render_page(build_report(data)))
        opened = browser(file.as_uri(), **options)
        found = opened.evaluate(f"(() => {{ {HELPERS} {steps} return found; }})()")
        assert opened.errors == []
        assert opened.requests == [file.as_uri()]
        return found

    return run


def test_every_model_is_a_mark_and_the_front_matches_python(data, browse):
    found = browse(
        data,
        """
        found.labels = marks().map((mark) => mark.getAttribute("aria-label"));
        found.front = marks().filter((mark) => mark.dataset.front).map((mark) => mark.getAttribute("aria-label"));
        found.corners = [...document.querySelectorAll("#plot .front")]
          .map((line) => line.getAttribute("points").split(" ").length);
        found.rows = [...document.querySelectorAll("#plot text.name")].map((title) => title.textContent);
        """,
    )
    known = points(data)
    assert len(found["labels"]) == len(known) == 4
    assert found["rows"] == list(dict.fromkeys(each.device for each in known))
    fronts = [front([each for each in known if each.device == device], "p50_us") for device in found["rows"]]
    assert found["corners"] == list(map(len, fronts))
    optimal = [point for each in fronts for point in each]
    assert found["front"] == [label for label in found["labels"] if any(described(each) in label for each in optimal)]


def described(point):
    return f"{point.accuracy:.2f} % ({point.low:.1f} to {point.high:.1f}); latency p50 {point.p50_us:.1f} us"


def test_selections_change_the_plot(data, browse):
    found = browse(
        data,
        """
        choose("axis", "file_bytes");
        found.size = document.querySelector("#plot svg").getAttribute("aria-label");
        found.once = marks().length;
        const devices = [...document.getElementById("choose-device").options].map((option) => option.value);
        choose("device", devices.find((name) => name.startsWith("Cortex-A53")));
        found.one = marks().map((mark) => mark.getAttribute("aria-label"));
        """,
    )
    assert "file size" in found["size"]
    # A model that was measured on two devices has one size.
    assert found["once"] == 3
    (label,) = found["one"]
    assert "Cortex-A53" in label


def test_mouse_and_keyboard_show_a_tooltip_and_escape_hides_it(data, browse):
    found = browse(
        data,
        """
        const [first, second] = marks();
        found.before = shown();
        first.dispatchEvent(new MouseEvent("mouseenter"));
        found.hovered = shown();
        first.dispatchEvent(new MouseEvent("mouseleave"));
        found.left = shown();
        second.focus();
        found.isFocused = document.activeElement === second;
        found.focused = shown();
        document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
        found.escaped = shown();
        const inside = tooltip.parentElement.getBoundingClientRect();
        second.blur(); second.focus();
        const place = tooltip.getBoundingClientRect();
        found.fits = place.left >= inside.left && place.right <= inside.right + 1;
        found.children = tooltip.children.length;
        """,
        width=500,
    )
    known = points(data)
    known = sorted([each for each in known if each.device == known[0].device], key=lambda each: each.p50_us)
    assert found["before"] is found["left"] is found["escaped"] is None
    for text, point in ((found["hovered"], known[0]), (found["focused"], known[1])):
        assert text.splitlines()[0] == f"{point.model}, {point.scheme}"
        assert described(point).replace("; ", "\n") in text
    assert found["isFocused"]
    assert found["fits"]
    assert found["children"] == 0


def test_a_selection_shows_one_of_many_models_or_all(quantized, tmp_path, browse):
    for index in range(5):
        record = quantized(f"{index}" * 64, system=f"net{index}")
        (tmp_path / f"{index}.json").write_text(json.dumps(record))
    found = browse(
        read_report_data(sorted(tmp_path.glob("*.json"))),
        """
        const pick = document.getElementById("pick-classes-parts");
        const visible = () => [...document.querySelectorAll("#classes details")]
          .filter((each) => each.getBoundingClientRect().height > 0)
          .map((each) => [each.querySelector("summary").textContent, each.open]);
        found.labelled = pick.labels.length;
        found.before = visible();
        pick.value = "3";
        pick.dispatchEvent(new Event("change"));
        found.picked = visible();
        pick.value = "";
        pick.dispatchEvent(new Event("change"));
        found.all = visible().length;
        """,
    )
    assert found == {"labelled": 1, "before": [["net0, int8", True]], "picked": [["net3, int8", True]], "all": 5}


def test_color_and_shape_both_show_the_scheme(data, browse):
    found = browse(
        data,
        """
        found.keys = [...document.querySelectorAll("#keys .key")].map((key) => [
          key.textContent, key.querySelector("path").getAttribute("d"),
          getComputedStyle(key.querySelector("path")).fill,
        ]);
        """,
    )
    names, shapes, colors = zip(*found["keys"])
    assert names == ("float16", "float32", "int8")
    assert len(set(shapes)) == len(set(colors)) == 3


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_enough_contrast_in_light_and_dark_mode(data, browse, dark):
    found = browse(
        data,
        """
        const style = getComputedStyle(document.body);
        found.pairs = [[style.color, style.backgroundColor]];
        for (const cell of document.querySelectorAll(".heat, thead th, figcaption, .better, .worse, a")) {
          let back = cell;
          while (getComputedStyle(back).backgroundColor === "rgba(0, 0, 0, 0)") back = back.parentElement;
          found.pairs.push([getComputedStyle(cell).color, getComputedStyle(back).backgroundColor]);
        }
        """,
        dark=dark,
    )
    assert len(found["pairs"]) > 20
    assert (luminance(found["pairs"][0][1]) < 0.2) == dark
    for ink, paper in found["pairs"]:
        high, low = sorted([luminance(ink), luminance(paper)], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


def luminance(color):
    """Compute the relative luminance (WCAG 2.2) of "rgb(1, 2, 3)" or "color(srgb 0.1 0.2 0.3)"."""
    values = [float(each) for each in re.findall(r"[\d.]+", color.removeprefix("color(srgb"))[:3]]
    shares = [each if color.startswith("color(") else each / 255 for each in values]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_phone_needs_no_sideways_scrolling(data, browse):
    found = browse(
        data,
        """
        found.wide = [...document.querySelectorAll("main > *, nav, header, figure, .choices, select, .scroll")]
          .filter((each) => each.getBoundingClientRect().right > 391).map((each) => each.outerHTML.slice(0, 80));
        found.unreachable = [...document.querySelectorAll(".scroll, pre")].filter((each) => each.tabIndex !== 0).length;
        """,
        width=390,
    )
    assert found == {"wide": [], "unreachable": 0}
