import json
import re

import pytest

from edgefer.models import SHIPPED
from edgefer.report.html.loading import read_report_data
from edgefer.report.html.markup import element, section, table
from edgefer.report.html.page import page
from edgefer.report.html.to_markdown import as_markdown


def test_headings_sentences_lists_and_tables_become_markdown():
    html = section(
        "x", "A title", element("p", "One ", element("code", "two"), " three."),
        element("ul", element("li", "a"), element("li", "b")),
        table("Counts", ["name", "n"], [["left", 1], ["right", None]]),
        element("pre", element("code", "edgefer train")),
    )  # fmt: skip
    assert as_markdown(html) == (
        "## A title\n\nOne two three.\n\n- a\n- b\n\nCounts\n\n| name | n |\n| --- | ---: |\n| left | 1 |"
        "\n| right | - |\n\n```\nedgefer train\n```\n"
    )


def test_what_only_eyes_can_read_is_left_out():
    hidden = ("nav", "form", "svg", "script", "style", "figure", "noscript")
    html = element("main", *(element(name, element("p", "seen")) for name in hidden), element("p", "kept"))
    assert as_markdown(html) == "kept\n"


@pytest.mark.parametrize("hostile", ["<img src=x>", "[a](javascript:alert(1))", "a|b", "`x`", "*x*\n# title", "```"])
def test_a_name_stays_text(hostile):
    written = as_markdown(element("main", table(hostile, ["a", "b"], [[hostile, hostile]]), element("pre", hostile)))
    before_the_code = written.rpartition("\n\n")[0]
    assert "<img" not in before_the_code
    assert not re.search(r"(?<!\\)\[a", before_the_code)
    assert not re.search(r"^# ", before_the_code, re.MULTILINE)
    row = before_the_code.splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    fence = written.rpartition("\n\n")[2].splitlines()[0]
    assert fence.strip("`") == ""
    assert fence not in hostile


def test_every_part_and_every_row_of_a_page_is_there(quantized, evaluated, measured, tmp_path):
    records = {"int8": quantized(), "bench": measured(samples=True).to_json(samples=True), "own": evaluated().to_json()}
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    made = page(read_report_data([tmp_path, SHIPPED]))
    written = as_markdown(made.html)
    assert re.findall(r"^## (.*)", written, re.MULTILINE) == re.findall(r"<h2 [^>]*>(.*?)</h2>", made.html)
    rows = [line for line in written.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    assert len(rows) == made.html.count("<tr>")
    assert not re.search(r"<[a-z]", written)
