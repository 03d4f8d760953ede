"""The page in a real browser: what its script draws, and what one sees and hears of it with mouse and keyboard."""

import json
import re

import pytest

from edgefer.report.html.loading import read_report_data
from edgefer.report.html.page import page
from edgefer.report.html.pareto import front, points

# What the steps of a test have at hand.
HELPERS = """
const found = {};
const marks = () => [...document.querySelectorAll("#plot .mark")];
const tooltip = document.getElementById("tooltip");
const told = () => tooltip.hidden ? null : tooltip.textContent;
function choose(name, value) {
  const select = document.getElementById("choose-" + name);
  select.value = value;
  select.dispatchEvent(new Event("change"));
}
"""


@pytest.fixture
def evidence(quantized, evaluated, measured, tmp_path):
    """Three models on two devices, of which one is beaten."""
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
    """Open the page of some evidence, do ``steps``, and return what they found."""

    def run(evidence, steps, **options):
        file = tmp_path / "page.html"
        file.write_text(page(evidence).html)
        opened = browser(file.as_uri(), **options)
        found = opened.evaluate(f"(() => {{ {HELPERS} {steps} return found; }})()")
        assert opened.errors == []
        assert opened.requests == [file.as_uri()]
        return found

    return run


def test_every_model_is_a_mark_and_the_front_is_what_python_says(evidence, browse):
    found = browse(
        evidence,
        """
        found.labels = marks().map((mark) => mark.getAttribute("aria-label"));
        found.front = marks().filter((mark) => mark.dataset.front).map((mark) => mark.getAttribute("aria-label"));
        found.corners = [...document.querySelectorAll("#plot .front")]
          .map((line) => line.getAttribute("points").split(" ").length);
        found.rows = [...document.querySelectorAll("#plot text.name")].map((title) => title.textContent);
        """,
    )
    known = points(evidence)
    assert len(found["labels"]) == len(known) == 4
    assert found["rows"] == list(dict.fromkeys(each.device for each in known))
    fronts = [front([each for each in known if each.device == device], "p50_us") for device in found["rows"]]
    assert found["corners"] == list(map(len, fronts))
    ahead = [each for points_of in fronts for each in points_of]
    assert found["front"] == [label for label in found["labels"] if any(described(each) in label for each in ahead)]


def described(point):
    return f"{point.accuracy:.2f} % ({point.low:.1f} to {point.high:.1f}); latency p50 {point.p50_us:.1f} us"


def test_choices_change_what_is_drawn(evidence, browse):
    found = browse(
        evidence,
        """
        choose("axis", "file_bytes");
        found.size = document.querySelector("#plot svg").getAttribute("aria-label");
        found.once = marks().length;
        const devices = [...document.getElementById("choose-device").options].map((option) => option.value);
        choose("device", devices.find((name) => name.startsWith("Cortex-A53")));
        found.one = marks().map((mark) => mark.getAttribute("aria-label"));
        """,
    )
    assert "size of the file" in found["size"]
    # A model that was timed on two devices has one size.
    assert found["once"] == 3
    (label,) = found["one"]
    assert "Cortex-A53" in label


def test_a_mark_tells_itself_to_mouse_and_keyboard_and_escape_hides_it(evidence, browse):
    found = browse(
        evidence,
        """
        const [first, second] = marks();
        found.before = told();
        first.dispatchEvent(new MouseEvent("mouseenter"));
        found.hovered = told();
        first.dispatchEvent(new MouseEvent("mouseleave"));
        found.left = told();
        second.focus();
        found.isFocused = document.activeElement === second;
        found.focused = told();
        document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
        found.escaped = told();
        const inside = tooltip.parentElement.getBoundingClientRect();
        second.blur(); second.focus();
        const place = tooltip.getBoundingClientRect();
        found.fits = place.left >= inside.left && place.right <= inside.right + 1;
        found.children = tooltip.children.length;
        """,
        width=500,
    )
    known = points(evidence)
    known = sorted([each for each in known if each.device == known[0].device], key=lambda each: each.p50_us)
    assert found["before"] is found["left"] is found["escaped"] is None
    for told, point in ((found["hovered"], known[0]), (found["focused"], known[1])):
        assert told.splitlines()[0] == f"{point.model}, {point.scheme}"
        assert described(point).replace("; ", "\n") in told
    assert found["isFocused"]
    assert found["fits"]
    assert found["children"] == 0


def test_a_size_is_drawn_once_however_many_boards_counted_instructions(quantized, evaluated, tmp_path, browse):
    counts = {"Pi 4": 8_450_000, "Pi 5": 2_790_000}
    counted = {
        **arm64(), "subject": {"file": "small-int8.tflite", "sha256": "a" * 64}, "instructions": {"litert": counts}
    }  # fmt: skip
    (tmp_path / "arm64.json").write_text(json.dumps(counted))
    (tmp_path / "int8.json").write_text(json.dumps(quantized()))
    found = browse(
        read_report_data([tmp_path / "arm64.json", tmp_path / "int8.json"]),
        """
        choose("axis", "instructions");
        found.boards = marks().map((mark) => mark.getAttribute("aria-label"));
        choose("axis", "file_bytes");
        found.sizes = marks().length;
        """,
    )
    assert [("8.45 million" in label, "Pi 4, emulated" in label) for label in found["boards"]] == [
        (True, True), (False, False),
    ]  # fmt: skip
    assert found["sizes"] == 1


def arm64():
    return {"kind": "arm64", "schema_version": 1, "data": "drawn faces", "faces": 9, "parity": []}


def test_of_many_models_one_is_picked_and_all_can_be_seen(quantized, tmp_path, browse):
    for index in range(5):
        record = quantized(f"{index}" * 64, system=f"net{index}")
        (tmp_path / f"{index}.json").write_text(json.dumps(record))
    found = browse(
        read_report_data(sorted(tmp_path.glob("*.json"))),
        """
        const pick = document.getElementById("pick-classes-parts");
        const seen = () => [...document.querySelectorAll("#classes details")]
          .filter((each) => each.getBoundingClientRect().height > 0)
          .map((each) => [each.querySelector("summary").textContent, each.open]);
        found.labelled = pick.labels.length;
        found.before = seen();
        pick.value = "3";
        pick.dispatchEvent(new Event("change"));
        found.picked = seen();
        pick.value = "";
        pick.dispatchEvent(new Event("change"));
        found.all = seen().length;
        """,
    )
    assert found == {"labelled": 1, "before": [["net0, int8", True]], "picked": [["net3, int8", True]], "all": 5}


def test_colour_and_shape_both_tell_the_scheme(evidence, browse):
    found = browse(
        evidence,
        """
        found.keys = [...document.querySelectorAll("#keys .key")].map((key) => [
          key.textContent, key.querySelector("path").getAttribute("d"),
          getComputedStyle(key.querySelector("path")).fill,
        ]);
        """,
    )
    names, shapes, colours = zip(*found["keys"])
    assert names == ("float16", "float32", "int8")
    assert len(set(shapes)) == len(set(colours)) == 3


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_light_and_dark(evidence, browse, dark):
    found = browse(
        evidence,
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


def luminance(colour):
    """Relative luminance after WCAG 2.2 of "rgb(1, 2, 3)" or "color(srgb 0.1 0.2 0.3)"."""
    values = [float(each) for each in re.findall(r"[\d.]+", colour.removeprefix("color(srgb"))[:3]]
    shares = [each if colour.startswith("color(") else each / 255 for each in values]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_telephone_needs_no_sideways_scrolling(evidence, browse):
    found = browse(
        evidence,
        """
        found.wide = [...document.querySelectorAll("main > *, nav, header, figure, .choices, select, .scroll")]
          .filter((each) => each.getBoundingClientRect().right > 391).map((each) => each.outerHTML.slice(0, 80));
        found.unreachable = [...document.querySelectorAll(".scroll, pre")].filter((each) => each.tabIndex !== 0).length;
        """,
        width=390,
    )
    assert found == {"wide": [], "unreachable": 0}
