import pytest

from edgefer.errors import DataError
from edgefer.results.architecture_search import FINISHED, PENDING
from edgefer.search.journal import SearchFolder, find_search, replay

EVENTS = [
    {"event": "suggested", "trial": 0, "drawn": {"learning_rate": 0.1}},
    {"event": "judged", "trial": 0, "cost": 12.0, "file_bytes": 900, "graph": "ab", "device": "pi4", "reason": ""},
    {"event": "suggested", "trial": 1, "drawn": {"learning_rate": 0.2}},
    {"event": "epoch", "trial": 0, "epochs": 1, "float_accuracy": 0.5},
    {"event": "finished", "trial": 0, "accuracy": 0.6, "epochs": 2, "reason": ""},
]


def written(folder, events=EVENTS):
    with folder.locked():
        journal = folder.open_journal()
        for event in events:
            journal.append(event)
        journal.close()
    return folder


def test_events_give_the_state_of_the_trials(tmp_path):
    trials = replay(written(SearchFolder(tmp_path / "s")).events())
    first, second = trials.values()
    assert (first.state, first.epochs, first.accuracy, first.cost, first.device) == (FINISHED, 2, 0.6, 12.0, "pi4")
    assert (second.state, second.drawn, second.cost) == (PENDING, {"learning_rate": 0.2}, None)


def test_an_incomplete_last_line_is_dropped_and_overwritten(tmp_path):
    folder = written(SearchFolder(tmp_path / "s"))
    with (folder.path / "journal.jsonl").open("a") as file:
        file.write('{"event": "finished", "tri')
    assert folder.events() == EVENTS
    more = {"event": "failed", "trial": 1, "reason": "diverged"}
    assert written(folder, [more]).events() == [*EVENTS, more]


def test_a_damaged_line_is_an_error_that_names_it(tmp_path):
    folder = written(SearchFolder(tmp_path / "s"))
    path = folder.path / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{}", *lines[2:], ""]))
    with pytest.raises(DataError, match=r"line 2 of .*journal\.jsonl"):
        folder.events()


@pytest.mark.parametrize(
    ("line", "event", "message"),
    [
        (1, {"event": "suggested", "trial": 0}, "drawn is missing"),
        (2, {**EVENTS[1], "trial": 7}, "trial is 7: expected a trial that an earlier line suggests"),
        (2, {**EVENTS[1], "cost": "12"}, "cost is '12': expected a number"),
        (2, {**EVENTS[1], "warnings": "hot"}, "warnings is 'hot': expected a list"),
        (2, {"event": "judged", "trial": 0}, "cost is missing"),
        (4, {"event": "epoch", "trial": 0, "epochs": 1}, "float_accuracy is missing"),
        (4, {"event": "epok", "trial": 0}, "event is 'epok': expected one of"),
        (5, {"event": "finished", "trial": 0}, "accuracy is missing"),
        (5, {"event": "finished", "trial": 1, "accuracy": 0.5}, "whose cost an earlier line has"),
    ],
)
def test_an_event_that_does_not_fit_is_an_error_that_names_file_line_and_field(tmp_path, line, event, message):
    folder = written(SearchFolder(tmp_path / "s"), [*EVENTS[: line - 1], event, *EVENTS[line:]])
    with pytest.raises(DataError, match=rf"line {line} of .*journal\.jsonl") as raised:
        folder.events()
    assert message in str(raised.value)


def test_only_one_process_searches_in_a_folder(tmp_path):
    folder = SearchFolder(tmp_path / "s")
    with folder.locked(), pytest.raises(DataError, match="another process searches"), folder.locked():
        pass
    with folder.locked():
        pass


def test_a_search_is_found_by_name_by_path_and_as_the_newest(tmp_path):
    with pytest.raises(DataError, match="no search"):
        find_search(None, root=tmp_path)
    for name in ("a", "b"):
        folder = written(SearchFolder(tmp_path / f"search-{name}"))
        folder.write_request({})
    written(SearchFolder(tmp_path / "search-a"), [EVENTS[2]])
    assert find_search("b", root=tmp_path).name == "b"
    assert find_search(str(tmp_path / "search-b"), root=tmp_path).name == "b"
    assert find_search(None, root=tmp_path).name == "a"
    with pytest.raises(DataError, match="'c'"):
        find_search("c", root=tmp_path)
