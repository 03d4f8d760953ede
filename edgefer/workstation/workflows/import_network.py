"""Write an imported network to a run folder, so that it works with every command for runs.

    run = create_imported_run(network, choice, source=path, opened_with={...}, dataset=dataset)
    run.is_imported, run.labels, run.settings().input
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.data.dataset import Dataset
from edgefer.escaping import printable
from edgefer.file_kinds import IMPORTED_NETWORK
from edgefer.inference.model_import import InputChoice
from edgefer.workstation.importing.network import ImportedNetwork
from edgefer.workstation.training.model import IMPORTED
from edgefer.workstation.training.run import RUNS, Run, new_run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.workflows.environment import describe_data, describe_machine

__all__ = ["create_imported_run"]


def create_imported_run(
    network: ImportedNetwork,
    choice: InputChoice,
    *,
    source: Path,
    opened_with: Mapping[str, Any],
    dataset: Dataset | None = None,
    folder: Path | None = None,
    root: Path = RUNS,
) -> Run:
    """Create a run folder with a network that was trained elsewhere.

    Args:
        network: the converted network; its Keras file is moved into the run folder.
        choice: input, labels and kind of output.
        source: file or folder that was imported.
        opened_with: options that opened the data set; later commands reopen it with them.
        dataset: data set that decided the choice, or None.
        folder: run folder, or None for a new folder in ``root``.
        root: folder of all runs.

    Raises:
        DataError: the folder contains a run.
    """
    # "." is the current folder, and a settings file cannot hold every byte of a file name.
    system = printable(source.absolute().stem, kept="")
    settings = TrainSettings(system=system, architecture=IMPORTED, input=choice.spec)
    no_data = {"source": "", "sha256": "", "opened_with": dict(opened_with)}
    environment = {
        **describe_machine("tensorflow"),
        "labels": list(choice.labels),
        "data": no_data if dataset is None else describe_data(dataset, opened_with),
        "imported": {
            "file": source.name,
            "kind": network.kind,
            "output": choice.output,
            "labels_from": choice.labels_from,
            "sha256": hashlib.sha256(network.flatbuffer).hexdigest(),
        },
    }

    def prepare(run: Run) -> None:
        if network.keras is not None:
            files.write_bytes(run.folder / network.keras.name, network.keras.read_bytes())
        run.save_json("environment.json", environment)
        files.write_bytes(run.folder / IMPORTED_NETWORK, network.flatbuffer)

    return new_run(root, settings, folder=folder, prepare=prepare)
