"""benchmarks/bounded_memory.py: memory does not grow with the data set, at a twentieth of the benchmark's size."""

import json

import pytest
from bounded_memory import measure
from ledgers.memory import memory_table, read_memory

from edgefer.errors import DataError
from edgefer.results import schema

RECORD = {
    **schema.header("bounded_memory", 1),
    "faces": 450_000,
    "shape": [96, 96, 3],
    "pixel_bytes": 12_441_600_000,
    "training_images": 405_000,
    "training_images_per_s": 1234.4,
    "steps": [{"name": "train", "peak_resident_bytes": 2_034_000_000, "wall_s": 1005.2}],
}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_faces(tmp_path):
    peaks = {}
    for count in (2_250, 22_500):
        record = measure(tmp_path / str(count), count, steps=("train", "evaluate"))
        peaks[count] = {step.name: step.peak_resident_bytes for step in read_memory(record).steps}
    # The pixels of the larger data set take 622 MB. Up to 128 MiB of them stay in memory before they are stored, and
    # the mapped pages of the last 16 MiB that were read take up to five times as much.
    assert record["cache_bytes"] > record["pixel_bytes"] == 22_500 * 96 * 96 * 3
    for step, peak in peaks[22_500].items():
        assert peak - peaks[2_250][step] < 450_000_000, step


def test_table_has_memory_and_duration():
    text = memory_table(read_memory(RECORD)).markdown()
    assert "| train | 2.03 | 1,005 |" in text
    assert "450,000 synthetic faces of 96 x 96 x 3, 12.4 GB of pixels" in " ".join(text.split())
    assert "405,000 images ran at 1,234 images/s" in " ".join(text.split())


@pytest.mark.parametrize("changes", [{"steps": [{"name": "train"}]}, {"faces": "many"}, {"kind": "framing"}])
def test_damaged_records_are_refused(changes):
    with pytest.raises(DataError):
        read_memory({**json.loads(json.dumps(RECORD)), **changes})


def test_memory_of_zero_is_refused():
    step = {**RECORD["steps"][0], "peak_resident_bytes": 0}
    with pytest.raises(DataError, match="above 0"):
        read_memory({**RECORD, "steps": [step]})
