import json

import pytest

from edgefer.report.html.page import render_page
from edgefer.report.markdown import to_markdown
from edgefer.report.report_data import read_report_data
from edgefer.report.sections.report import build_report
from edgefer.report.sections.search import parallel_axes
from edgefer.results.architecture_search import FINISHED, OVER_BUDGET, STOPPED, ArchitectureSearch, Trial

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
