"""The seven expressions, in the order of fer2013.csv. No other file may write this order down.

    LABELS[3] == "happy"

The order is the data set's own: the ``emotion`` column holds 0 for angry to 6 for neutral. Image trees are alphabetical
instead (neutral before sad and surprise), which is why folders are matched by name and never by position.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LABELS"]

LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
