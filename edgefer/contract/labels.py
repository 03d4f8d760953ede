"""Define the seven expressions in the order of fer2013.csv. No other file may define this order.

    LABELS[3] == "happy"

In the ``emotion`` column of the data set, 0 is angry and 6 is neutral. Image trees are in alphabetical order (neutral
before sad and surprise), so folders are matched by name and never by position.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LABELS"]

LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
