"""Process a video with a sink of your own: count how often each expression appears.

    python examples/live_with_own_sink.py clip.mp4

A sink is any object with publish() and close(). Keep publish() short: the next frame waits for it.
"""

from __future__ import annotations

import sys
from collections import Counter

from edgefer import FrameResult, Live, Pipeline
from edgefer.live.camera import find_source
from edgefer.live.runner import run_live
from edgefer.models import SHIPPED


class ExpressionCounter:
    """Sink that counts the label of every face in every frame."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def publish(self, result: FrameResult) -> None:
        """Count the labels of one frame."""
        self.counts.update(face.label for face in result.faces)

    def close(self) -> None:
        """Print the counts, most frequent first."""
        for label, count in self.counts.most_common():
            print(f"{label:10}{count:6}")


def main(path: str) -> None:
    """Process every frame of a video file."""
    pipeline = Pipeline.open(SHIPPED, longest_side=320)
    counter = ExpressionCounter()
    with Live(pipeline, find_source(video=path), every_frame=True) as live:
        summary = run_live(live, [counter])
    counter.close()
    print(f"{summary.frames} frames, {summary.tracks} faces tracked")


if __name__ == "__main__":
    main(sys.argv[1])
