import itertools
import re
from xml.etree import ElementTree

import pytest
from ledgers.trials import read_trials, trials_table
from ledgers.trials_plot import trials_svg

from edgefer.errors import DataError, IncompatibleError
from edgefer.results import schema

HOSTILE = "</style><script>alert(1)</script>|"


def entry(name="a", /, **changes):
    return {
        "name": name, "system": "compact_small", "settings": {"model.width": 24, "augment.flip": True}, "epochs": 200,
        "teachers": ["base-1", "base-2"], "public_float_percent": 66.1, "public_int8_percent": 66.0,
        "bytes": 204_800, "parameters": 180_000, "macs": 14_000_000, "p50_us": 101.5, "shipped": False, **changes,
    }  # fmt: skip


def record(*entries):
    return {**schema.header("search", 1), "entries": list(entries)}


def test_the_best_int8_model_comes_first_with_its_changed_settings():
    better = entry("better", public_int8_percent=67.2, shipped=True)
    bare = entry("c", public_int8_percent=None, bytes=None, p50_us=None, macs=None, parameters=None, teachers=[])
    lines = trials_table(read_trials(record(entry(), better, bare))).markdown().splitlines()
    assert lines[2] == (
        "| better | compact_small, model.width=24, augment.flip=true | 200 | base-1, base-2 | 66.10 | 67.20 | 200 "
        "| 180,000 | 14.0 | 102 | yes |"
    )
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| better", "| c", "| a"]
    assert lines[3].endswith("| 200 | - | 66.10 | - | - | - | - | - | - |")


def test_the_table_fits_a_terminal():
    text = trials_table(read_trials(record(entry("compact_small-wide-again"), entry("b", p50_us=12_345)))).text()
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"public_int8_percent": 0.66e3}, "up to 100"), ({"bytes": -1}, "above 0"), ({"bytes": True}, "above 0"),
        ({"p50_us": float("inf")}, "above 0"), ({"p50_us": float("nan")}, "above 0"),
        ({"macs": "many"}, "'macs' is str"),
        ({"teachers": "base"}, "'teachers' is str"), ({"shipped": "yes"}, "'shipped' is str"),
        ({"settings": []}, "'settings' is list"),
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_field_names_its_trial(changes, message):
    with pytest.raises(DataError) as caught:
        read_trials(record(entry("first"), entry("second", **changes)))
    assert "trial 'second'" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "search"}, "schema version"), (schema.header("search", 1), "entries"), (record(), "has no trials"),
        (record(entry("a"), entry("a")), "'a'"), (record("a"), "a trial is str"), (record({}), "without 'name'"),
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_search_is_refused(fields, message):
    with pytest.raises(DataError, match=message):
        read_trials(fields)


def test_a_later_search_is_incompatible():
    with pytest.raises(IncompatibleError):
        read_trials({**record(entry()), "schema_version": 2})


def drawn(*entries):
    return ElementTree.fromstring(trials_svg(read_trials(record(*entries))))


def named(tree, tag, class_):
    return [each for each in tree.iter() if each.tag.endswith(f"}}{tag}") and each.get("class") == class_]


def test_shipped_models_have_another_shape_and_a_name():
    ships = entry("ships", shipped=True, bytes=90_000, public_int8_percent=64)
    tree = drawn(entry("tried"), ships, entry("c", bytes=None))
    assert len(named(tree, "circle", "other")) == 1
    assert len(named(tree, "path", "ships")) == 1
    assert [each.text for each in named(tree, "text", "name")] == ["ships"]
    (title,) = [each.text for each in named(tree, "circle", "other")[0]]
    assert title.startswith("tried: 66.00 %, 200 KiB; compact_small")


def test_more_accurate_is_higher_and_smaller_is_further_left():
    tree = drawn(entry("a"), entry("b", bytes=20_480, public_int8_percent=60.0))
    first, second = [(float(each.get("cx")), float(each.get("cy"))) for each in named(tree, "circle", "other")]
    assert first[0] > second[0]
    assert first[1] < second[1]


def test_names_of_models_close_together_do_not_cover_each_other():
    tree = drawn(*(entry(f"compact_{index}", shipped=True, bytes=204_800 + index) for index in range(4)))
    heights = sorted(float(each.get("y")) for each in named(tree, "text", "name"))
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 14


@pytest.mark.parametrize("entries", [[entry(bytes=None)], [entry()], [entry(), entry("b")]], ids=len)
def test_one_trial_and_none_with_a_size_can_be_drawn(entries):
    assert "nan" not in ElementTree.tostring(drawn(*entries), encoding="unicode")


def test_a_hostile_name_is_text_in_the_drawing_and_in_the_table():
    assert [each.text for each in named(drawn(entry(HOSTILE, shipped=True)), "text", "name")] == [HOSTILE]
    rows = trials_table(read_trials(record(entry(HOSTILE)))).markdown().splitlines()
    assert "<script>" not in rows[2]
    assert len(re.findall(r"(?<!\\)\|", rows[2])) == 12
