from __future__ import annotations

import json

import pytest

from edgefer.errors import IncompatibleError
from edgefer.job import Entry, Job, Rigour

ONE, TWO = Entry("a.tflite"), Entry("b.tflite", "litert", 4, "builtin", "/old/python")


def test_there_and_back() -> None:
    job = Job((ONE, TWO), faces="faces.npz", rigour="mlperf", accuracy=0, cooldown_c=50.0, soak_s=600.0, samples=True)
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_a_job_of_a_later_edgefer_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="fan_speed"):
        Job.from_json({**Job((ONE,)).to_json(), "fan_speed": 3})


@pytest.mark.parametrize(
    ("job", "settled"),
    [
        (Job((ONE,)), Rigour(1024, 3.0, 1)),
        (Job((ONE, TWO)), Rigour(1024, 3.0, 5)),
        (Job((ONE, TWO), rounds=2), Rigour(1024, 3.0, 2)),
        (Job((ONE,), rigour="standard"), Rigour(1024, 10.0, 5)),
        (Job((ONE,), rigour="mlperf", seconds=1.5), Rigour(24576, 1.5, 1)),
        (Job((ONE,), runs=1, seconds=0.0), Rigour(1, 0.0, 1)),
    ],
)
def test_what_a_rigour_comes_to(job: Job, settled: Rigour) -> None:
    assert job.settled == settled
