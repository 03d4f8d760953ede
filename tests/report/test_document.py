import pytest

from edgefer.errors import UsageError
from edgefer.report.comparison import compare
from edgefer.report.document import markdown, replace_section, text

A, B = "a" * 64, "b" * 64


def test_a_markdown_table(evaluated, measured):
    groups = compare([evaluated(A), evaluated(B, model="b|ase")], [measured(A, p50_us=1234)])
    assert markdown(groups).splitlines() == [
        (
            "| model | scheme | KiB | PublicTest, % (95 % interval) | without duplicates, % | macro-F1, % "
            "| p50, us | p90, us |"
        ),
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| small | int8 | 20 | 75.0 (53.1-88.8) | 66.7 | 74.9 | 1,234 | 1,357 |",
        "| b\\|ase | int8 | - | 75.0 (53.1-88.8) | 66.7 | 74.9 | - | - |",
        "",
        "PublicTest of fer2013.csv, 20 images. Cortex-A76, governor performance, litert 2.3.0, 1 thread of 4 cores.",
    ]


def test_warnings_are_below_the_table(measured):
    lines = markdown(compare([], [measured(A, runs=20)])).splitlines()
    assert lines[-1] == "- warning: small int8: only 20 runs; a p90 needs at least 1,024"


def test_each_group_is_a_table(evaluated, measured):
    groups = compare([evaluated(A)], [measured(A), measured(A, threads=4)])
    assert markdown(groups).count("| --- |") == 2
    assert text(groups).count("macro") == 2


@pytest.mark.parametrize("file", ["small-int8.tflite", "a_network_with_quite_a_long_model_name-int8.tflite"])
def test_the_widest_row_fits_a_terminal_with_every_number_whole(evaluated, measured, file):
    groups = compare([evaluated(A, n=3589, right=2293)], [measured(A, file=file, p50_us=12_345)])
    lines = text(groups).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("63.9 (62.3-65.4)" in line and "12,345" in line for line in lines)


def test_the_text_without_scores_and_without_times(evaluated, measured):
    assert "PublicTest" not in text(compare([], [measured(A)]))
    assert "cores" not in text(compare([evaluated(A)], []))


def test_only_the_section_is_replaced():
    document = "before <!-- results:begin -->old<!-- results:end --> after"
    replaced = replace_section(document, "new")
    assert replaced == "before <!-- results:begin -->\n\nnew\n\n<!-- results:end --> after"
    assert replace_section(replaced, "new") == replaced


def test_a_name_does_not_match_a_longer_name():
    document = "<!-- results pi4:begin --><!-- results pi4:end --><!-- results pi:begin --><!-- results pi:end -->"
    replaced = replace_section(document, "new", name="pi")
    assert replaced.startswith("<!-- results pi4:begin --><!-- results pi4:end -->")
    assert "<!-- results pi:begin -->\n\nnew" in replaced


def test_missing_markers_are_named_in_the_hint():
    with pytest.raises(UsageError) as caught:
        replace_section("nothing here", "new", name="pi")
    assert caught.value.hint.endswith("<!-- results pi:begin --> and <!-- results pi:end -->")
