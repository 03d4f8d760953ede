import json
from dataclasses import replace

import pytest
from tiny_space import SPACE

from edgefer.cli.commands.search import ScaleOptions
from edgefer.search.director import Budget
from edgefer.search.journal import SearchFolder
from edgefer.search.run import SearchRequest, read_request
from edgefer.search.space import parse_space
from edgefer.workstation.training.settings_toml import from_toml

EVENTS = [
    {"event": "suggested", "trial": 0, "drawn": {"learning_rate": 0.01, "model.width": 4, "augment.zoom": 0.1}},
    {"event": "judged", "trial": 0, "cost": 500.0, "file_bytes": 9000, "graph": "a", "device": "pi4", "reason": ""},
    {"event": "suggested", "trial": 1, "drawn": {"learning_rate": 0.02, "model.width": 8, "augment.zoom": 0.2}},
    {"event": "judged", "trial": 1, "cost": 900.0, "file_bytes": 9900, "graph": "b", "device": "pi4", "reason": ""},
    {"event": "finished", "trial": 0, "accuracy": 0.5, "epochs": 2, "run": "trials/0000", "reason": ""},
]


@pytest.fixture
def folder(tmp_path):
    """Write a search in progress: one trial is finished, the other one is in training."""
    folder = SearchFolder(tmp_path / "runs" / "search-tiny")
    request = SearchRequest(
        space=parse_space(SPACE), judge="device", budget=Budget(1000.0), target=9, labels=("happy", "sad"),
        data={"sha256": "ab", "split": "PublicTest"}, opened_with={}, unit="us", description="latency p90 on pi4",
        devices=("pi4",),
    )  # fmt: skip
    with folder.locked():
        folder.write_request(request.to_json())
        journal = folder.open_journal()
        for event in EVENTS:
            journal.append(event)
        journal.close()
    return tmp_path


def test_show_prints_the_front_of_a_search_in_progress(edgefer, folder):
    shown = edgefer("search", "--show", cwd=folder)
    assert shown.code == 0
    assert "search tiny: 1 of 9 trained, 1 in training" in shown.out
    assert "50.00" in shown.out
    assert "at most 1,000 us" in shown.out
    record = edgefer("search", "--show", "tiny", "--json", cwd=folder).record
    assert (record["kind"], record["front"], len(record["trials"])) == ("architecture_search", [0], 2)


def test_best_writes_settings_for_a_training(edgefer, folder):
    done = edgefer("search", "--show", "tiny", "--best", "best.toml", cwd=folder)
    assert "next: edgefer train --settings best.toml" in done.out
    best = from_toml((folder / "best.toml").read_text())
    assert (best.system, best.model["width"], best.learning_rate) == ("demo-0000", 4, 0.01)
    edgefer("search", "--show", "tiny", "--best", "best.toml", "--trial", "1", cwd=folder)
    assert from_toml((folder / "best.toml").read_text()).model["width"] == 8
    missing = edgefer("search", "--show", "tiny", "--best", "best.toml", "--trial", "7", cwd=folder)
    assert (missing.code, "no trial 7" in missing.err) == (1, True)


def test_suggested_commands_quote_names_with_spaces(edgefer, folder):
    (folder / "runs" / "search-tiny").rename(folder / "runs" / "search-a b")
    assert "next: edgefer search --show 'a b' --best best.toml" in edgefer("search", "--show", cwd=folder).out
    done = edgefer("search", "--show", "a b", "--best", "a b.toml", cwd=folder)
    assert "next: edgefer train --settings 'a b.toml'" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no search space"),
        (["missing.toml"], "missing.toml"),
        (["--best", "b.toml"], "--best without --show"),
        (["--show", "--trial", "1"], "--trial without --best"),
        (["--show", "--resume"], "--show with --resume"),
        (["--show", ""], "the value is empty"),
        (["--resume", ""], "the value is empty"),
        (["space.toml", "--name", ""], "the value is empty"),
        (["space.toml", "--address", ""], "the value is empty"),
        (["space.toml", "--judge", ""], "the value is empty"),
        (["--show", "--cpus", "1"], "--show with --cpus"),
        (["space.toml", "--resume"], "--resume with SPACE.toml"),
        (["--resume", "tiny", "--max-bytes", "1", "--seed", "0"], "--resume with --seed, --max-bytes"),
        (["--resume", "tiny", "--data", "x"], "the options of the data set"),
        (["space.toml", "--max-p90-us", "1", "--max-cost", "1", "--name", "x"], "--max-p90-us with --max-cost"),
        (["space.toml", "--judge", "macs", "--max-p90-us", "1", "--name", "x"], "--max-p90-us with --judge macs"),
        (["space.toml", "--name", "a/b"], "--name a/b"),
    ],
)
def test_options_that_contradict_each_other_are_refused(edgefer, folder, arguments, message):
    (folder / "space.toml").write_text(SPACE)
    refused = edgefer("search", *arguments, cwd=folder)
    assert refused.code == 2
    assert message in refused.err


def test_a_name_that_is_taken_is_refused(edgefer, folder):
    (folder / "space.toml").write_text(SPACE)
    refused = edgefer("search", "space.toml", "--name", "tiny", cwd=folder)
    assert refused.code == 1
    assert "edgefer search --resume tiny" in refused.err


def test_a_record_of_a_search_is_a_report(edgefer, folder):
    edgefer("search", "--show", "--out", "search.json", cwd=folder)
    assert json.loads((folder / "search.json").read_text())["target"] == 9
    assert "Search tiny" in edgefer("report", "search.json", cwd=folder).out

def test_the_cores_of_a_trial_are_kept_unless_they_are_given_again(folder):
    search, none = SearchFolder(folder / "runs" / "search-tiny"), ScaleOptions(None, None, None, None, None)
    assert none.with_defaults(read_request(search).scale) == none
    given = replace(none, address="head:6379", cpus=3, cpus_per_trial=2.5, gpus_per_trial=0.0)
    search.write_request(replace(read_request(search), scale=given.recorded).to_json())
    kept = read_request(search).scale
    assert none.with_defaults(kept) == replace(given, address=None)
    assert replace(none, cpus_per_trial=1.0).with_defaults(kept) == replace(given, address=None, cpus_per_trial=1.0)
