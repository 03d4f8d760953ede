import json
from dataclasses import replace

import pytest

from edgefer.errors import DataError
from edgefer.report.html.page import render_page
from edgefer.report.markdown import to_markdown
from edgefer.report.report_data import read_report_data
from edgefer.report.search_table import front_table
from edgefer.report.sections.report import build_report
from edgefer.report.sections.search import parallel_axes
from edgefer.report.terminal.search import search_text
from edgefer.results.architecture_search import (
    FAILED,
    FINISHED,
    INVALID,
    OVER_BUDGET,
    PENDING,
    STOPPED,
    ArchitectureSearch,
    Trial,
)

HOSTILE = "</script><img src=x>"


def trial(number, accuracy, cost, state=FINISHED, **drawn):
    values = {"learning_rate": 0.01 * 2**number, "model.widths": [8, 16], **drawn}
    return Trial(number, values, state, 3, accuracy=accuracy, float_accuracy=accuracy, cost=cost, file_bytes=2048)


@pytest.fixture
def search():
    trials = (
        trial(0, 0.5, 100.0), trial(1, 0.6, 200.0), trial(2, 0.55, 300.0), trial(3, 0.6, 200.0),
        trial(4, None, 50.0, STOPPED), trial(5, None, 900.0, OVER_BUDGET),
    )  # fmt: skip
    space = {"system": "nano", "epochs": 3, "faces": 0, "drawn": {"learning_rate": {}, "model.widths": {}}}
    importance = {"accuracy": {"learning_rate": 0.75, "model.widths": 0.25}}
    return ArchitectureSearch(
        "nano", space, "us", "latency", 500.0, None, {"split": "PublicTest"}, 5, trials, importance, {"edgefer": "0.1"}
    )


@pytest.fixture
def path(search, tmp_path):
    file = tmp_path / "search.json"
    file.write_text(json.dumps(search.to_json()))
    return file


def test_the_front_has_the_trials_that_no_other_one_beats(search):
    assert [trial.number for trial in search.front()] == [0, 1]
    assert ArchitectureSearch.from_json(json.loads(json.dumps(search.to_json()))) == search


@pytest.mark.parametrize(("layout", "split"), [("fer2013.csv", "PublicTest"), ("AffectNet", "the validation split")])
def test_the_table_of_the_front_names_the_split_as_other_texts_do(search, layout, split):
    record = replace(search, data={"split": "PublicTest", "layout": layout})
    assert f"int8 on {split}, %" in front_table(record).markdown()


@pytest.mark.parametrize("name", ["cost", "accuracy"])
def test_a_finished_trial_without_a_result_is_refused(search, name):
    record = json.loads(json.dumps(search.to_json()))
    record["trials"][1][name] = None
    with pytest.raises(DataError, match=rf"trials\[1\]\.{name} is null"):
        ArchitectureSearch.from_json(record)


def test_a_record_without_warnings_is_read(search):
    record = json.loads(json.dumps(search.to_json()))
    for item in record["trials"]:
        del item["warnings"]
    assert ArchitectureSearch.from_json(record) == search


def test_costs_that_were_measured_with_a_warning_are_noted(search):
    hot = replace(search.trials[2], warnings=("the device was throttled during the run: under-voltage",))
    noted = replace(search, trials=(*search.trials[:2], hot, *search.trials[3:]))
    assert ArchitectureSearch.from_json(json.loads(json.dumps(noted.to_json()))) == noted
    text = " ".join(search_text(noted).split())
    assert "note: 1 of 6 costs were measured with a warning; trial 2: the device was throttled during" in text
    assert "1 of 6 costs were measured with a warning" in " ".join(front_table(noted).text().split())
    assert "with a warning" not in search_text(search)


def test_all_lines_of_a_search_with_every_state_have_at_most_80_columns(search):
    more = [trial(number, None, 50.0, state) for number, state in enumerate((FAILED, INVALID, PENDING), 6)]
    text = search_text(replace(search, name="a-long-name-of-a-search", trials=(*search.trials, *more)))
    assert "1 stopped early, 1 failed, 1 in training, 1 over the budget, 1 invalid" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_a_report_shows_front_plots_importance_and_all_trials(path):
    report = build_report(read_report_data([path]))
    page, text = render_page(report), to_markdown(report)
    assert "Parallel coordinates of 4 trials" in page
    assert page.count('class="dot strong"') == 2
    for content in (page, text):
        assert "5 of 5 trained, 1 stopped early, 1 over the budget" in content
        assert "Pareto front" in content
        assert "All 6 candidates" in content
        assert "fANOVA" in content


def test_a_wide_range_has_a_logarithmic_axis_and_a_list_has_names(search):
    rates, widths, costs, accuracy = parallel_axes(search, search.trials[:4])
    assert rates.places == pytest.approx((0, 1 / 7, 3 / 7, 1))
    assert widths.ticks == {0.0: "[8, 16]"}
    assert costs.places == pytest.approx((0, 0.5, 1, 0.5))
    assert accuracy.title == "accuracy, %"
    many = [trial(number, 0.5, 1.0) for number in range(7)]
    assert parallel_axes(search, many)[0].places == pytest.approx([number / 6 for number in range(7)])


def test_text_of_a_record_is_escaped(search, tmp_path):
    record = json.loads(json.dumps(search.to_json()))
    record["trials"][5]["reason"] = record["judge"] = record["trials"][0]["drawn"]["model.widths"] = HOSTILE
    (tmp_path / "hostile.json").write_text(json.dumps(record))
    assert HOSTILE not in render_page(build_report(read_report_data([tmp_path / "hostile.json"])))


def test_a_search_without_a_complete_trial_has_no_plot(search, tmp_path):
    record = {**search.to_json(), "trials": [], "importance": {}}
    (tmp_path / "empty.json").write_text(json.dumps(record))
    page = render_page(build_report(read_report_data([tmp_path / "empty.json"])))
    assert "0 of 5 trained" in page
    assert "Parallel coordinates" not in page
