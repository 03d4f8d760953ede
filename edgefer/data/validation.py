"""Check a data set: class counts, constant images, exact duplicates within and across splits, agreement with FER+.

    report = check(load(Path("fer2013.csv")))
    report.also_in_training["PublicTest"]           # 280: test images with an exact duplicate in Training

Duplicates are images with equal pixels. Test images that also occur in Training measure memorization.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.split_names import split_title
from edgefer.data.dataset import Dataset, Split
from edgefer.data.ferplus import in_label_order
from edgefer.data.naming import quote_name
from edgefer.data.pixels import Pixels, chunks
from edgefer.results import schema
from edgefer.text_table import WIDTH, Result, percent, table

__all__ = ["DataCheck", "check", "summary"]


@dataclass(frozen=True)
class DataCheck:
    """Counts of a data set.

    Attributes:
        source, layout, sha256, notes: see Dataset.
        classes: images per class, by split and label.
        constant_images: images with a single gray value, by split.
        duplicate_images: images with at least one exact duplicate in the data set.
        duplicate_groups: groups of identical images.
        groups_across_splits: groups with images in more than one split.
        groups_with_conflicting_labels: groups with more than one label.
        also_in_training: images of a test split that also occur in Training, by split; empty without Training.
        ferplus_agreement: fraction of images, by split, whose label has the most FER+ votes (or as many as another),
            among those with a vote for any class of the data set; empty without votes.
    """

    source: str
    layout: str
    sha256: str
    notes: tuple[str, ...]
    classes: dict[str, dict[str, int]]
    constant_images: dict[str, int]
    duplicate_images: int
    duplicate_groups: int
    groups_across_splits: int
    groups_with_conflicting_labels: int
    also_in_training: dict[str, int]
    ferplus_agreement: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return JSON-compatible values; the keys of duplicates are twin_images and twin_groups."""
        keys = {"duplicate_images": "twin_images", "duplicate_groups": "twin_groups"}
        values = dataclasses.asdict(self)
        return {keys.get(name, name): list(value) if name == "notes" else value for name, value in values.items()}


def check(dataset: Dataset) -> DataCheck:
    """Count classes, constant images and duplicates of a data set; all of FER2013 takes about a second."""
    groups = _duplicate_groups(dataset)
    training = dataset.splits.get("Training")
    return DataCheck(
        source=dataset.source,
        layout=dataset.layout,
        sha256=dataset.sha256,
        notes=dataset.notes,
        classes={name: _class_counts(split) for name, split in dataset.splits.items()},
        constant_images={name: _constant_count(split.pixels) for name, split in dataset.splits.items()},
        duplicate_images=sum(map(len, groups)),
        duplicate_groups=len(groups),
        groups_across_splits=sum(len({name for name, _ in group}) > 1 for group in groups),
        groups_with_conflicting_labels=sum(len({label for _, label in group}) > 1 for group in groups),
        also_in_training={
            name: int(split.duplicates_of(training).sum())
            for name, split in dataset.splits.items()
            if training is not None and name != "Training"
        },
        ferplus_agreement={
            name: _agreement(split.labels, in_label_order(split.votes, split.label_names))
            for name, split in dataset.splits.items()
            if split.votes is not None and in_label_order(split.votes, split.label_names).any()
        },
    )


def summary(report: DataCheck) -> Result:
    """Return the counts as a record and a text for the command line."""
    splits = list(report.classes)
    totals = {name: sum(counts.values()) for name, counts in report.classes.items()}
    labels = next(iter(report.classes.values()), {})
    rows = [[quote_name(label), *(f"{report.classes[name][label]:,}" for name in splits)] for label in labels]
    rows.append(["all", *(f"{totals[name]:,}" for name in splits)])
    rows.append(["with a single gray value", *(f"{report.constant_images[name]:,}" for name in splits)])
    if report.also_in_training:
        also = ["" if name == "Training" else f"{report.also_in_training[name]:,}" for name in splits]
        rows.append(["also in Training", *also])
    if report.ferplus_agreement:
        agree = [percent(report.ferplus_agreement.get(name)) for name in splits]
        rows.append(["label has most FER+ votes", *(share or "" for share in agree)])
    duplicates = (
        f"Exact duplicates: {report.duplicate_images:,} images in {report.duplicate_groups:,} groups, of which "
        f"{report.groups_across_splits:,} span several splits and {report.groups_with_conflicting_labels:,} have "
        "conflicting labels."
    )
    lines = [
        f"{quote_name(report.source)}: {report.layout}, {sum(totals.values()):,} images",
        f"sha256 {report.sha256}",
        table(["", *(split_title(name, data=report.layout) for name in splits)], rows),
        *(textwrap.fill(sentence, WIDTH, subsequent_indent="  ") for sentence in (duplicates, *report.notes)),
    ]
    return Result({**schema.header("data_check", 1), **report.to_json()}, "\n".join(lines))


def _duplicate_groups(dataset: Dataset) -> list[list[tuple[str, int]]]:
    """Return the split and label of each image, one list per group of two or more identical images."""
    groups: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for name, split in dataset.splits.items():
        for digest, label in zip(split.digests, split.labels.tolist(), strict=True):
            groups[digest].append((name, label))
    return [group for group in groups.values() if len(group) > 1]


def _class_counts(split: Split) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(split.label_names))
    return dict(zip(split.label_names, counts.tolist(), strict=True))


def _constant_count(pixels: Pixels) -> int:
    flat = (chunk.reshape(len(chunk), -1) for chunk in chunks(pixels))
    return sum(int((faces == faces[:, :1]).all(axis=1).sum()) for faces in flat)


def _agreement(labels: npt.NDArray[np.int64], votes: npt.NDArray[np.float32]) -> float:
    voted = votes.sum(axis=1) > 0
    label_votes = votes[np.arange(len(votes)), labels]
    return float((label_votes == votes.max(axis=1))[voted].mean())
