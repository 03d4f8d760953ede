"""Split a data set without test splits, by subject where subjects are known.

    shares = SplitShares.parse("80/10/10")          # Training, PublicTest, PrivateTest in percent
    table = assign_splits(table, shares)

All pictures of a person stay in one split, because a model recognizes faces that it was trained on. Identical images
stay in one split, too, with all pictures of their persons. Classes keep their shares as far as the groups allow.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgefer.contract.split_names import split_phrase, split_title
from edgefer.data.pixels import Pixels
from edgefer.data.records import SPLITS, SampleTable
from edgefer.errors import UsageError

__all__ = ["SplitShares", "assign_splits"]

TIE = 1e-9
PATTERN = re.compile(r"(\d{1,3}(?:/\d{1,3}){1,2})(?::(\d{1,9}))?")


@dataclass(frozen=True)
class SplitShares:
    """Sizes of the splits.

    Attributes:
        percent: Training, PublicTest and, optionally, PrivateTest; the sum is 100.
        seed: seed of the random draw.
        if_needed: leave a data set with test splits as it is; otherwise such a data set is an error.
    """

    percent: tuple[int, ...]
    seed: int = 0
    if_needed: bool = False

    @classmethod
    def parse(cls, text: str) -> SplitShares:
        """Parse "80/10/10", "80/20" or, with a seed, "80/10/10:3".

        Raises:
            UsageError: the text has another form, or the sum is not 100.
        """
        match = PATTERN.fullmatch(text.strip())
        percent = tuple(map(int, match[1].split("/"))) if match else ()
        if not match or sum(percent) != 100 or 0 in percent:
            why = "expected percentages of Training, validation and test images, above 0, with the sum 100"
            raise UsageError(f"--split {text}", why=why, hint="--split 80/10/10")
        return cls(percent, int(match[2] or 0))


def assign_splits(table: SampleTable, shares: SplitShares) -> SampleTable:
    """Return the samples in new splits, with a note on the result.

    Raises:
        UsageError: the source has test splits of its own.
    """
    present = [name for index, name in enumerate(SPLITS) if (table.usage == index).any()]
    if present != [SPLITS[0]] and shares.if_needed:
        return table
    if present != [SPLITS[0]]:
        why = f"it has {' and '.join(split_phrase(name, data=table.layout) for name in present)}"
        raise UsageError("--split of a data set that is split already", why=why, hint="omit --split")
    groups = _identical(table.pixels)
    if table.subjects is not None:
        groups = _joined(groups, table.subjects)
    usage = _draw(groups, table.labels, len(table.label_names), shares)
    titles = [split_title(name, data=table.layout) for name in SPLITS]
    counts = [f"{int((usage == index).sum()):,} {titles[index]}" for index in range(len(shares.percent))]
    kind, more = "at random", ""
    if table.subjects is not None:
        is_known = table.subjects >= 0
        subjects = [len(np.unique(table.subjects[is_known & (usage == index)])) for index in range(len(shares.percent))]
        kind = f"by subject ({', '.join(map(str, subjects))} subjects)"
        unknown = int((~is_known).sum())
        images = "image without a known subject is" if unknown == 1 else "images without a known subject are"
        more = f" {unknown:,} {images} split at random." if unknown else ""
        joined = _joined_subjects(groups[is_known], table.subjects[is_known])
        more += f" {joined:,} subjects share identical images and stay with each other." if joined else ""
    note = f"Split {kind} with seed {shares.seed}: {', '.join(counts)} images.{more}"
    return replace(table, usage=usage).with_notes((note,))


def _joined(groups: npt.NDArray[np.int64], subjects: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a group number for each image; images of one group, and of one known subject, share it.

    The number is the smallest one of its subjects, so subjects without shared images are drawn in their order.

    Args:
        groups: int64 (n,), numbers from 0.
        subjects: int64 (n,), -1 for an unknown one.
    """
    count = int(subjects.max()) + 1
    nodes = (groups + count).tolist()
    parents = list(range(max(nodes) + 1))

    def root_of(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for node, subject in zip(nodes, subjects.tolist()):
        if subject >= 0:
            first, second = sorted((root_of(node), root_of(subject)))
            parents[second] = first
    return np.array([root_of(node) for node in nodes], np.int64)


def _joined_subjects(groups: npt.NDArray[np.int64], subjects: npt.NDArray[np.int64]) -> int:
    """Return the number of subjects that share a group with another one."""
    group_of_subject = groups[np.unique(subjects, return_index=True)[1]]
    counts = np.unique(group_of_subject, return_counts=True)[1]
    return int(counts[counts > 1].sum())


def _identical(pixels: Pixels) -> npt.NDArray[np.int64]:
    """Return a group number for each image; identical images share one."""
    index_of: dict[bytes, int] = {}
    digests = (hashlib.sha256(np.ascontiguousarray(face).data).digest() for face in pixels)
    return np.array([index_of.setdefault(digest, len(index_of)) for digest in digests], np.int64)


def _draw(
    groups: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int, shares: SplitShares
) -> npt.NDArray[np.int8]:
    """Assign each group to the split that lacks its classes most; large groups go first, equal ones at random."""
    names, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    counts = np.zeros((len(names), classes))
    np.add.at(counts, (group_of, labels), 1)
    order = np.random.default_rng(shares.seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fractions = np.array(shares.percent)[:, None] / 100
    missing = fractions * counts.sum(axis=0)
    split_of_group = np.zeros(len(names), np.int8)
    for group in order:
        # The relative deficit prefers the split with the largest missing share, not the largest split.
        # Between equal deficits of its classes, the split with fewer images decides.
        wanted = (counts[group] * missing / fractions).sum(axis=1) + TIE * (missing / fractions).sum(axis=1)
        chosen = int(wanted.argmax())
        split_of_group[group] = chosen
        missing[chosen] -= counts[group]
    return split_of_group[group_of]
