"""FER2013 in all formats; skipped without ../shared/fer2013. The tests remove every file with its images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset, ferplus_targets, load
from edgefer.data.validation import check

MATERIALIZE = Path(__file__).parents[3] / "shared" / "fer2013" / "materialize.py"
# Only tables and trees of FER2013 are known to be FER2013.
PRIVATE_IS_MISSING = {
    "icml_face_data.csv": "There are no PrivateTest images: the final score is not possible.",
    "fer2013.npz": "There are no test images: the final score is not possible.",
}
# Counted with awk, in the order of LABELS.
CLASSES = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
}

pytestmark = pytest.mark.skipif(
    not MATERIALIZE.is_file(), reason="FER2013 is not in ../shared/fer2013"
)

# Measured in a separate process, because the peak memory of a process never falls. VmHWM instead of ru_maxrss, which
# includes the memory of the parent.
MEASURED_LOAD = """
import json, re, sys, time
from pathlib import Path
from edgefer.data.dataset import load

calls, begin = [], time.process_time()
dataset = load(Path(sys.argv[1]), progress=lambda done, total, note: calls.append(done / total))
seconds = time.process_time() - begin
status = Path("/proc/self/status")
peak = re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.is_file() else None
print(json.dumps({
    "cpu_s": seconds,
    "peak_kib": int(peak[1]) if peak else 0,
    "sha256": dataset.sha256,
    "calls": len(calls),
    "last": calls[-1],
    "rising": calls == sorted(calls),
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("fer2013")
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def _cache_folder(folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


def materialize(out: Path, *options: str) -> Path:
    subprocess.run([sys.executable, MATERIALIZE, out, *options], check=True)
    return out


@pytest.fixture(scope="module")
def first_300(folder) -> Path:
    out = materialize(folder / "small", "--limit", "300", "--csv", "--ferplus", "--npz", "--folders")
    # One call writes one of the two tables.
    return materialize(out, "--limit", "300", "--icml")


def tree(first_300: Path) -> Path:
    root = first_300 / "tree"
    root.mkdir(exist_ok=True)
    for name in ("train", "test"):
        if not (root / name).exists():
            (first_300 / name).rename(root / name)
    return root


def table(first_300: Path) -> Dataset:
    return load(first_300 / "fer2013.csv", ferplus=first_300 / "fer2013new.csv")


@pytest.mark.parametrize("name", ["icml_face_data.csv", "fer2013.npz"])
def test_lossless_layouts_agree(name, first_300):
    dataset, expected = load(first_300 / name, ferplus=first_300 / "fer2013new.csv"), table(first_300)
    assert dataset.sha256 == expected.sha256
    assert dataset.notes == (PRIVATE_IS_MISSING[name],)
    for split in ("Training", "PublicTest"):
        assert len(dataset.split(split)) == 300
        assert np.array_equal(dataset.split(split).votes, expected.split(split).votes)


def test_votes_in_the_npz_are_those_of_the_csv(first_300):
    votes = load(first_300 / "fer2013.npz").split("PublicTest").votes
    assert np.array_equal(votes, table(first_300).split("PublicTest").votes)


def test_the_image_tree_has_the_same_faces_but_for_jpeg(first_300):
    dataset, expected = load(tree(first_300), ferplus=first_300 / "fer2013new.csv"), table(first_300)
    for name, first_row in (("Training", 0), ("PublicTest", 28709)):
        split, exact = dataset.split(name), expected.split(name)
        assert split.rows.tolist() == list(range(first_row, first_row + 300))
        assert np.array_equal(split.labels, exact.labels)
        assert np.array_equal(split.votes, exact.votes)
        difference = np.abs(split.pixels.astype(int) - exact.pixels)
        assert 0 < difference.mean() < 2


@pytest.mark.slow
def test_the_whole_file(folder):
    whole = materialize(folder / "whole", "--csv", "--ferplus")
    command = [sys.executable, "-c", MEASURED_LOAD, whole / "fer2013.csv"]
    measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    # Reading uses one thread. Its CPU time does not depend on the load of the machine, unlike wall-clock time.
    assert measured["cpu_s"] < 15
    assert measured["peak_kib"] < 1_000_000
    assert measured["calls"] > 100
    assert measured["rising"]
    assert measured["last"] == 1

    dataset = load(whole / "fer2013.csv", ferplus=whole / "fer2013new.csv")
    assert dataset.sha256 == measured["sha256"]
    assert dataset.split("PublicTest").rows[0] == 28709
    training, public = dataset.split("Training"), dataset.split("PublicTest")
    np.testing.assert_allclose(ferplus_targets(training).sum(axis=1), 1, rtol=1e-6)
    assert public.duplicates_of(training).sum() == 280

    report = check(dataset)
    assert report.classes == {name: dict(zip(LABELS, counts, strict=True)) for name, counts in CLASSES.items()}
    assert report.also_in_training == {"PublicTest": 280}
    assert report.duplicate_images == 2801
    assert report.duplicate_groups == 1271
    assert report.groups_across_splits == 270
    assert report.groups_with_conflicting_labels == 47
    assert report.constant_images == {"Training": 11, "PublicTest": 1}
    # A shifted or shuffled file of votes agrees with a fifth of the labels.
    assert 0.6 < report.ferplus_agreement["PublicTest"] < 0.9
