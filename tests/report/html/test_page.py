import json
import re
from html.parser import HTMLParser

import pytest

from edgefer.errors import EdgeferError
from edgefer.report.html.markup import Html, element, table
from edgefer.report.html.page import render_page
from edgefer.report.report_data import ReportData, read_report_data
from edgefer.report.sections.blocks import DataTable
from edgefer.report.sections.report import Part, build_report
from edgefer.report.sections.tradeoff import points
from edgefer.results import schema

VOID = {"br", "circle", "line", "meta", "path", "polyline", "rect", "img", "input"}


class Reader(HTMLParser):
    """Collects elements with their attributes, and the elements that stay open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def report(run_folder):
    return build_report(read_report_data([run_folder]))


@pytest.fixture
def page(report):
    return render_page(report)


@pytest.fixture
def reader(page):
    return Reader(page)


def page_of(*paths):
    return render_page(build_report(read_report_data(paths)))


def test_a_complete_run_has_every_section(report, reader):
    assert report.missing == {}
    names = [attributes["id"] for tag, attributes in reader.elements if tag == "section"]
    assert names == [section.name for _, section in report.sections]
    links = [attributes["href"] for tag, attributes in reader.elements if tag == "a"]
    assert set(links) == {"#main", *(f"#{name}" for name in names)}
    assert reader.open == []


def test_missing_sections_are_listed_with_their_commands(evaluated, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(evaluated().to_json()))
    report = build_report(read_report_data([tmp_path / "a.json"]))
    assert [section.name for _, section in report.sections] == ["confusion"]
    assert report.missing["Latency"] == "edgefer bench MODEL.tflite --samples --out bench.json"
    page = render_page(report)
    assert "Not in this report" in page
    assert report.missing["Layers"] in page


def test_a_caller_can_add_sections(run_folder):
    def build(data):
        return data and confusion

    data = read_report_data([run_folder])
    (confusion,) = [section for _, section in build_report(data).sections if section.name == "confusion"]
    titles = [title for title, _ in build_report(data, parts=[Part("copy", "Copy", build)]).sections]
    assert titles[-3:] == ["Copy", "Environment", "Reproduce"]
    assert "Copy" not in build_report(data, parts=[Part("copy", "Copy", lambda _: None)]).missing


def test_the_same_files_give_the_same_bytes(run_folder, page):
    assert page_of(run_folder) == page


def test_a_page_loads_nothing_and_contains_no_paths_of_the_data(page, reader):
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)|@import|url\(|fetch\(|XMLHttp|/home/someone", page)
    for tag, attributes in reader.elements:
        assert not {"src", "srcset", "data", "action"} & set(attributes), tag
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert attributes.get("href", "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]


def test_ids_are_unique_and_labels_refer_to_them(reader):
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = [attributes["aria-labelledby"] for _, attributes in reader.elements if "aria-labelledby" in attributes]
    assert set(named) <= set(ids)


def test_a_page_is_accessible_to_screen_readers(reader):
    tags = [tag for tag, _ in reader.elements]
    assert dict(reader.elements)["html"]["lang"] == "en"
    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert tags.count("table") == tags.count("caption")
    assert all("scope" in attributes for tag, attributes in reader.elements if tag == "th")
    images = [attributes for tag, attributes in reader.elements if tag == "svg"]
    assert all(each.get("aria-label") or each.get("aria-hidden") for each in images)


def embedded(html):
    return json.loads(re.search(r'<script type="application/json" id="points">(.*?)</script>', html)[1])


def test_the_plot_embeds_the_points(run_folder, page):
    known = points(read_report_data([run_folder]))
    assert [(each["model"], each["p50_us"]) for each in embedded(page)["points"]] == [
        (point.model, point.p50_us) for point in known
    ]


def test_names_from_records_are_escaped_everywhere(quantized, measured, evaluated, hostile, layer, tmp_path):
    record = quantized(system=hostile, layers=[{**layer, "layer": hostile, "kind": hostile}], gates_broken=[hostile])
    record["provenance"]["converter"] = hostile
    record["evaluation"] = evaluated(data=hostile, model=hostile).to_json()
    record["verdict"]["per_class"][0]["label"] = hostile
    record["measurement"] = measured(file=hostile, device={"cpu": hostile}, runtime=hostile).to_json()
    (tmp_path / "a.json").write_text(json.dumps(record))
    page = page_of(tmp_path)
    reader = Reader(page)
    assert reader.open == []
    assert "img" not in [tag for tag, _ in reader.elements]
    assert [tag for tag, _ in reader.elements].count("script") == 2
    assert "alert(1)" in page
    assert "<img src=x" not in page
    assert "<img src=x onerror" in embedded(page)["points"][0]["model"]


def test_a_page_without_content_is_valid():
    report = build_report(ReportData(sources=("nothing",)))
    assert report.sections == ()
    assert Reader(render_page(report)).open == []


def variants(record, hostile, path=()):
    """Yield the record with each of its leaves in turn replaced by other values."""
    inner = record
    for key in path:
        inner = inner[key]
    items = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from variants(record, hostile, (*path, key))
        for replacement in (None, [], {}, "x", -1, {"x": [hostile]}):
            if type(replacement) is type(value) and replacement != -1:
                continue
            copy = json.loads(json.dumps(record))
            target = copy
            for step in path:
                target = target[step]
            target[key] = replacement
            yield (*path, key), replacement, copy


@pytest.mark.parametrize("kind", ["quantization", "bench", "training"])
def test_an_invalid_value_is_refused_or_shown_as_text(quantized, run_folder, hostile, layer, tmp_path, kind):
    metrics = json.loads((run_folder / "metrics.json").read_text())
    training = {
        **schema.header("training", 1), "run": "runs/first", "duration_s": 9.0, "settings": {"system": "small"},
        "environment": json.loads((run_folder / "environment.json").read_text()), **metrics,
    }  # fmt: skip
    record = {
        "quantization": quantized(layers=[layer]), "bench": json.loads((run_folder / "bench.json").read_text()),
        "training": training,
    }[kind]  # fmt: skip
    for measurement in record.get("measurements", []):
        measurement.pop("samples", None)
    file, shown = tmp_path / "invalid.json", 0
    for path, replacement, changed in variants(record, hostile):
        file.write_text(json.dumps(changed))
        try:
            page = page_of(file)
        except EdgeferError:
            continue
        except Exception as error:
            raise AssertionError(f"{path} = {replacement!r}") from error
        assert "<img src=x" not in page, path
        shown += 1
    assert shown > 20


def test_plain_text_is_escaped_and_html_is_not():
    assert element("b", "<", Html("<i>"), class_='"', title=None) == '<b class="&quot;">&lt;<i></b>'
    assert "<td>-</td>" in table(DataTable("c", ["a", "b"], [["x", None]], text_columns=2))
