from __future__ import annotations

import time
from typing import Any

from edgefer.board.scene import Health
from edgefer.board.watchman import Watchman


def test_what_no_sensor_tells_is_not_known_and_what_one_tells_is_kept_up_to_date() -> None:
    answers: list[dict[str, Any]] = [{}, {"temperature_c": 51.0}, {"temperature_c": 81.0, "throttled": ("throttled",)}]
    seen: list[Health] = []

    def told() -> dict[str, Any]:
        seen.append(watchman.health)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    watchman = Watchman(every_s=0.01, told=told)
    with watchman:
        while len(seen) < 5:
            time.sleep(0.01)
    assert seen[1:4] == [Health(None, None), Health(51.0, None), Health(81.0, ("throttled",))]


def test_it_does_not_hold_up_the_end() -> None:
    begin = time.monotonic()
    with Watchman(every_s=60) as watchman:
        pass
    assert time.monotonic() - begin < 2
    assert isinstance(watchman.health, Health)
