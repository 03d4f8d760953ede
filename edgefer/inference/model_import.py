"""Add a contract to a .tflite of another program: its input, its labels, and golden vectors.

    model = ForeignModel.open(Path("emotions.tflite"))
    dataset = load(path, spec=model.spec)
    choice = choose_input(model, dataset=dataset)   # finds input and labels, or raises UsageError
    artifact = make_artifact(model, choice)

Without a data set, the caller passes the labels and the input.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import edgefer
from edgefer.contract.artifact import Artifact, has_contract
from edgefer.contract.input_description import describe_input, describe_range, parse_input
from edgefer.contract.preprocessing import CHANNELS, InputSpec, prepare_all
from edgefer.contract.quantization_params import dequantize
from edgefer.data.dataset import Dataset
from edgefer.data.naming import match_names
from edgefer.data.synthetic import golden_faces
from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.inference.first_load import check_first_load
from edgefer.inference.golden import record_golden_vectors
from edgefer.inference.input_search import (
    InputSearch,
    count_classes,
    find_output,
    search_input,
    select_faces,
    tensor_input,
)  # fmt: skip
from edgefer.inference.interpreters import run_faces
from edgefer.inference.runtime import Runtime, require_classifier, select_runtime
from edgefer.progress import Progress, silent

__all__ = ["ForeignModel", "InputChoice", "choose_input", "make_artifact", "parse_labels", "sidecar_labels"]

MAX_FILE_BYTES = 2**28
MAX_LABEL_FILE_BYTES = 2**16
INDEXED_NAME = re.compile(r"([0-9]{1,4})[\s:,;]+([^\s:,;0-9].*)")
# Training faces that, with the golden ones, measure the difference between kernels.
TOLERANCE_FACES = 64
PROBED_FACES = 8
# Faces per class if fewer do not decide, as for a model of low accuracy.
MORE_FACES_PER_CLASS = 400


@dataclass(frozen=True, eq=False)
class ForeignModel:
    """A .tflite without a contract, loaded after a check in a subprocess.

    Attributes:
        name: name of the file.
        content: the flatbuffer.
        runtime: the loaded model.
        spec: size and channels of its input, with the default range, and CLAHE if its contract has it.
        classes: number of outputs.
        contract: the contract in the file, which the new one replaces, or None.
    """

    name: str
    content: bytes
    runtime: Runtime
    spec: InputSpec
    classes: int
    contract: Artifact | None = None

    @classmethod
    def open(cls, path: Path, *, runtime: str | None = None, is_classifier: bool = True) -> ForeignModel:
        """Load a model file; of a contract in it, labels and range are ignored.

        Args:
            path: a .tflite.
            runtime: an entry of ``inference/runtimes``; None selects the best installed.
            is_classifier: require a single input and a single output.

        Raises:
            DataError: the file cannot be read, is too large, crashes the runtime or exceeds its limits.
            IncompatibleError: the runtime cannot load the model, or it is not a classifier of one image.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise DataError(f"cannot read {path}", why=error.strerror or str(error)) from error
        if len(content) > MAX_FILE_BYTES:
            raise DataError(f"{path} is too large for a model", why=f"it has more than {MAX_FILE_BYTES // 2**20} MiB")
        contract = Artifact.load(path) if has_contract(path) else None
        content = content if contract is None else contract.model
        try:
            model = cls.load(content, name=path.name, runtime=runtime, is_classifier=is_classifier)
        except IncompatibleError as error:
            raise IncompatibleError(f"{path}: {error.what}", why=error.why, hint=error.hint) from error
        if contract is None:
            return model
        # --input has no word for CLAHE.
        spec = dataclasses.replace(model.spec, clahe=contract.input_spec.clahe)
        return dataclasses.replace(model, spec=spec, contract=contract)

    @classmethod
    def load(
        cls, content: bytes, *, name: str, runtime: str | None = None, is_classifier: bool = True
    ) -> ForeignModel:
        """Load a model from memory; open() lists the errors."""
        module = select_runtime(runtime)
        check_first_load(content, module, name=name)
        loaded = module.open_model(content)
        if is_classifier:
            require_classifier(loaded)
        return cls(name, content, loaded, tensor_input(loaded), count_classes(loaded))


@dataclass(frozen=True, eq=False)
class InputChoice:
    """Input of a model and meaning of its outputs.

    Attributes:
        spec: the input.
        labels: class names in the order of the outputs.
        labels_from: origin of the labels.
        output: "logits" or "probabilities".
        search: trials on a data set, or None without one.
        notes: sentences for the user.
    """

    spec: InputSpec
    labels: tuple[str, ...]
    labels_from: str
    output: str
    search: InputSearch | None = None
    notes: tuple[str, ...] = ()


def parse_labels(text: str) -> tuple[str, ...]:
    """Return the labels in the text of --labels: names separated by commas, or the path of a file with one per line.

    Raises:
        UsageError: a name is empty or occurs twice, or the file cannot be read.
    """
    path = Path(text)
    names = _read_label_file(path) if "," not in text and path.is_file() else [name.strip() for name in text.split(",")]
    if len(names) < 2 or not all(names) or len(set(names)) < len(names):
        why = f"{len(names)} names, {len(set(names))} of them different; expected two or more, each once and not empty"
        if "," not in text and not path.is_file():
            why = "it is no file, and one name; expected names separated by commas, or a file with one per line"
        raise UsageError(f"--labels {text!r}", why=why, hint="--labels angry,happy,neutral")
    return tuple(names)


def choose_input(
    model: ForeignModel,
    *,
    labels: Sequence[str] | None = None,
    labels_from: str = "--labels",
    words: str | None = None,
    dataset: Dataset | None = None,
    progress: Progress = silent,
) -> InputChoice:
    """Use the labels and the input of the caller, and search for missing ones on the Training faces of a data set.

    Args:
        model: the loaded model.
        labels: class names in the order of the outputs; None to find them.
        labels_from: origin of ``labels``.
        words: text of --input; None to find the input.
        dataset: labeled faces; None if the caller passes labels and input.
        progress: called before each trial.

    Raises:
        UsageError: labels or input are missing or do not fit the model, or the data is not conclusive.
        DataError: the numbers of labels and outputs differ.
    """
    spec = None if words is None else parse_input(words, model.spec)
    if spec is not None and CHANNELS[spec.channels] != CHANNELS[model.spec.channels]:
        why = f"the model takes {describe_input(model.spec)}"
        raise UsageError(f"--input {words}", why=why, hint=f"--input {model.spec.channels},0..1")
    if dataset is None:
        return _take_given(model, labels, labels_from, spec)
    classes = dataset.labels
    names = None if labels is None else _as_in_data(labels, classes)
    split = dataset.split("Training")
    known = np.isin(split.labels, [index for index, name in enumerate(classes) if names is None or name in names])
    rows = np.flatnonzero(known)
    if not len(rows):
        why = f"the data has the classes {', '.join(classes)}"
        raise UsageError(f"no faces with the labels {', '.join(names or ())}", why=why, hint="--labels")
    chosen = rows[select_faces(split.labels[rows])]
    more = rows[select_faces(split.labels[rows], per_class=MORE_FACES_PER_CLASS)]

    def search_on(indices: npt.NDArray[np.int64]) -> InputSearch:
        pixels, known_labels = split.pixels[indices], split.labels[indices]
        return search_input(
            model.runtime, pixels, known_labels, classes=classes, outputs=names, spec=spec, clahe=model.spec.clahe,
            progress=progress,
        )  # fmt: skip

    search = search_on(chosen)
    if search.problem and len(more) > len(chosen):
        search, chosen = search_on(more), more
    if search.problem and (spec is None or names is None):
        missing, options = "labels", ["--labels A,B,..."] if names is None else []
        if spec is None and not search.has_input:
            # The labels of the best candidate are a guess, too: a wrong order gives wrong names to right outputs.
            best = search.best.spec
            missing, options = "input", [f"--input {best.channels},{describe_range(best)}", *options]
        raise UsageError(
            f"the {missing} of {model.name} cannot be found on {len(chosen):,} faces", why=search.problem,
            hint=f"{' and '.join(options)}, as the model was trained",
        )  # fmt: skip
    notes: tuple[str, ...] = ()
    if search.problem:
        notes = (f"Check --input and --labels: {search.problem}.",)
    elif search.equal:
        taken, *equal = (describe_input(trial.spec, always_range=True) for trial in (search.best, *search.equal))
        others = f"{', '.join(equal)}. The most common one is taken; --input selects another."
        notes = (f"The faces do not distinguish the input {taken} from {others}",)
    return InputChoice(
        search.best.spec, names or search.labels, labels_from if names else "the data", search.output, search, notes
    )


def make_artifact(model: ForeignModel, choice: InputChoice, *, dataset: Dataset | None = None) -> Artifact:
    """Return the model with a contract: labels, input and golden vectors.

    The temperature of an earlier contract stays if the input does.
    """
    bare = Artifact.bare(model.content, choice.labels, choice.spec, scheme="imported", output=choice.output)
    faces = np.empty((0, *choice.spec.shape), np.uint8)
    if dataset is not None:
        faces = prepare_all(dataset.split("Training").pixels[:TOLERANCE_FACES], choice.spec)
    golden = record_golden_vectors(bare, faces)
    provenance = {
        "system": Path(model.name).stem,
        "edgefer": edgefer.__version__,
        "imported": {"file": model.name, "sha256": bare.sha256, "labels_from": choice.labels_from},
        **({"data": {"name": dataset.layout, "sha256": dataset.sha256}} if dataset is not None else {}),
    }
    earlier = model.contract
    is_same = earlier is not None and (earlier.input_spec, earlier.output) == (choice.spec, choice.output)
    temperature = earlier.temperature if earlier is not None and is_same else golden.temperature
    return dataclasses.replace(golden, provenance=provenance, temperature=temperature)


def sidecar_labels(path: Path, classes: int) -> tuple[tuple[str, ...], str] | None:
    """Return the labels in MODEL.txt, MODEL.labels.txt or labels.txt next to a model, and the name of that file.

    A file whose number of lines differs from the number of outputs is ignored.
    """
    for candidate in (path.with_suffix(".txt"), path.with_suffix(".labels.txt"), path.with_name("labels.txt")):
        if candidate.is_file():
            names = _read_label_file(candidate)
            if len(names) == len(set(names)) == classes:
                return tuple(names), candidate.name
    return None


def _read_label_file(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_LABEL_FILE_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = str(error) if isinstance(error, OSError) else "the file is not text in UTF-8"
        raise UsageError(f"cannot read labels from {path}", why=why, hint="a file with one name per line") from error
    lines = text.strip().splitlines()
    names = lines[0].split(",") if len(lines) == 1 else lines
    return _without_indices([stripped for name in names if (stripped := name.strip())])


def _without_indices(names: list[str]) -> list[str]:
    """Return names without the index before each, as in "0 happy" of Teachable Machine; other names stay."""
    matches = [match for name in names if (match := INDEXED_NAME.fullmatch(name))]
    indices = [int(match[1]) for match in matches]
    is_indexed = len(matches) == len(names) and indices in (list(range(len(names))), list(range(1, len(names) + 1)))
    return [match[2] for match in matches] if is_indexed else names


def _take_given(
    model: ForeignModel, labels: Sequence[str] | None, labels_from: str, spec: InputSpec | None
) -> InputChoice:
    """Return the choice of the caller."""
    if labels is None or spec is None:
        missing = " and ".join(
            name for name, value in (("--labels", labels), ("--input", spec)) if value is None
        )  # fmt: skip
        raise UsageError(
            f"{model.name} has no contract: {missing} missing",
            why=f"it takes {describe_input(model.spec)} and has {model.classes} outputs; its labels and the range of "
            "its pixels must be given, or are determined with labeled faces",
            hint=f"edgefer import {model.name} --data PATH, or --labels A,B,... --input {model.spec.channels},0..1",
        )
    if len(labels) != model.classes:
        what = f"{len(labels)} labels for a model with {model.classes} outputs"
        raise DataError(what, why=", ".join(labels), hint="--labels with one name for each output, in their order")
    faces = prepare_all(golden_faces(PROBED_FACES), spec)
    outputs = dequantize(run_faces(model.runtime, faces, spec), model.runtime.output.params)
    return InputChoice(spec, tuple(labels), labels_from, find_output(outputs))


def _as_in_data(labels: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """Return the labels in the spelling of the data; other ones stay as they are."""
    index_of = match_names(labels, classes)
    return tuple(classes[index_of[name]] if name in index_of else name for name in labels)
