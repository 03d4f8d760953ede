"""What is in a data set: counts, constant images, exact twins within and across splits, agreement with FER+.

    report = check(load(Path("fer2013.csv")))
    report.also_in_training["PublicTest"]           # 280: test images that a model has seen with every pixel

Twins are images with equal bytes. A score over test images that also stand in Training is partly one of memory.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset, Split
from edgefer.data.ferplus import in_label_order
from edgefer.results import schema
from edgefer.text_table import WIDTH, Result, percent, table

__all__ = ["DataCheck", "check", "summary"]

Faces = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DataCheck:
    """What check() found.

    Attributes:
        source, layout, sha256, notes: as in Dataset.
        classes: images per class, by split and label.
        constant_images: images with a single grey value, by split.
        twin_images: how many images have at least one exact twin somewhere in the data set.
        twin_groups: how many groups of identical images those stand in.
        groups_across_splits: groups that stand in more than one split.
        groups_with_conflicting_labels: groups that carry more than one label.
        also_in_training: how many images of a test split also stand in Training, by split; empty without Training.
        ferplus_agreement: share of images, by split, whose label is the expression (or one of the expressions) with the
            most FER+ votes, among those with a vote for any of the seven; empty where there are no votes.
    """

    source: str
    layout: str
    sha256: str
    notes: tuple[str, ...]
    classes: dict[str, dict[str, int]]
    constant_images: dict[str, int]
    twin_images: int
    twin_groups: int
    groups_across_splits: int
    groups_with_conflicting_labels: int
    also_in_training: dict[str, int]
    ferplus_agreement: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {**asdict(self), "notes": list(self.notes)}


def check(dataset: Dataset) -> DataCheck:
    """Count what a user should know before training on ``dataset``; about a second for all of FER2013."""
    groups = _twin_groups(dataset)
    training = dataset.splits.get("Training")
    return DataCheck(
        source=dataset.source,
        layout=dataset.layout,
        sha256=dataset.sha256,
        notes=dataset.notes,
        classes={name: _class_counts(split) for name, split in dataset.splits.items()},
        constant_images={name: _constant_count(split.pixels) for name, split in dataset.splits.items()},
        twin_images=sum(map(len, groups)),
        twin_groups=len(groups),
        groups_across_splits=sum(len({name for name, _ in group}) > 1 for group in groups),
        groups_with_conflicting_labels=sum(len({label for _, label in group}) > 1 for group in groups),
        also_in_training={
            name: int(split.duplicates_of(training).sum())
            for name, split in dataset.splits.items()
            if training is not None and name != "Training"
        },
        ferplus_agreement={
            name: _agreement(split.labels, split.votes)
            for name, split in dataset.splits.items()
            if split.votes is not None and in_label_order(split.votes).any()
        },
    )


def summary(found: DataCheck) -> Result:
    """What check() found, for the command line."""
    splits = list(found.classes)
    totals = {name: sum(counts.values()) for name, counts in found.classes.items()}
    rows = [[label, *(f"{found.classes[name][label]:,}" for name in splits)] for label in LABELS]
    rows.append(["all", *(f"{totals[name]:,}" for name in splits)])
    rows.append(["with a single grey value", *(f"{found.constant_images[name]:,}" for name in splits)])
    if found.also_in_training:
        also = ["" if name == "Training" else f"{found.also_in_training[name]:,}" for name in splits]
        rows.append(["also in Training", *also])
    if found.ferplus_agreement:
        agree = [percent(found.ferplus_agreement.get(name)) for name in splits]
        rows.append(["label has most FER+ votes", *(share or "" for share in agree)])
    twins = (
        f"Exact twins: {found.twin_images:,} images stand in {found.twin_groups:,} groups of identical ones; of those "
        f"{found.groups_across_splits:,} cross splits and {found.groups_with_conflicting_labels:,} carry more labels."
    )
    lines = [
        f"{found.source}: {found.layout}, {sum(totals.values()):,} images",
        f"sha256 {found.sha256}",
        table(["", *splits], rows),
        *(textwrap.fill(sentence, WIDTH, subsequent_indent="  ") for sentence in (twins, *found.notes)),
    ]
    return Result({**schema.header("data_check", 1), **found.to_json()}, "\n".join(lines))


def _twin_groups(dataset: Dataset) -> list[list[tuple[str, int]]]:
    """Split and label of each image, in one list per group of two or more identical images."""
    groups: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for name, split in dataset.splits.items():
        for digest, label in zip(split.digests, split.labels.tolist(), strict=True):
            groups[digest].append((name, label))
    return [group for group in groups.values() if len(group) > 1]


def _class_counts(split: Split) -> dict[str, int]:
    return dict(zip(LABELS, np.bincount(split.labels, minlength=len(LABELS)).tolist(), strict=True))


def _constant_count(pixels: Faces) -> int:
    flat = pixels.reshape(len(pixels), -1)
    return int((flat == flat[:, :1]).all(axis=1).sum())


def _agreement(labels: npt.NDArray[np.int64], all_votes: npt.NDArray[np.float32]) -> float:
    votes = in_label_order(all_votes)
    voted = votes.sum(axis=1) > 0
    own = votes[np.arange(len(votes)), labels]
    return float((own == votes.max(axis=1))[voted].mean())
