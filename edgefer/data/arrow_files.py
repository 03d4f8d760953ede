"""Open Parquet and Arrow files with pyarrow, which the extra ``huggingface`` installs.

    file = open_parquet(path)
    file.schema                                     # pyarrow schema
    for batch in file.batches(["label"], 8192): ...
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer.data.naming import quote_name
from edgefer.errors import DataError, IncompatibleError

__all__ = ["ArrowFile", "Opener", "load_pyarrow", "open_arrow", "open_parquet", "readable"]


@dataclass(frozen=True)
class ArrowFile:
    """An open Parquet or Arrow file.

    Attributes:
        schema: pyarrow schema.
        batches: returns an iterator over record batches; the arguments are names of columns and a number of rows.
    """

    schema: Any
    batches: Callable[[Sequence[str], int], Iterator[Any]]


Opener = Callable[[Path], ArrowFile]


def open_parquet(path: Path) -> ArrowFile:
    """Open a Parquet file."""
    parquet = load_pyarrow("pyarrow.parquet")
    file = parquet.ParquetFile(path)
    return ArrowFile(file.schema_arrow, lambda names, rows: file.iter_batches(batch_size=rows, columns=list(names)))


def open_arrow(path: Path) -> ArrowFile:
    """Open an Arrow stream, as ``datasets.save_to_disk()`` writes it, or an Arrow or Feather file."""
    arrow = load_pyarrow("pyarrow")

    def open_reader() -> Any:
        # Mapped, because a batch of a stream may have a thousand pictures, of which one is copied at a time.
        source = arrow.memory_map(str(path))
        try:
            return arrow.ipc.open_stream(source)
        except arrow.ArrowInvalid:
            source.seek(0)
            return arrow.ipc.open_file(source)

    def batches(names: Sequence[str], rows: int) -> Iterator[Any]:
        reader = open_reader()
        whole = (
            (reader.get_batch(index) for index in range(reader.num_record_batches))
            if hasattr(reader, "num_record_batches")
            else iter(reader)
        )
        for batch in whole:
            chosen = batch.select(list(names))
            # Values at damaged offsets would end the process.
            chosen.validate(full=True)
            yield from (chosen.slice(start, rows) for start in range(0, chosen.num_rows, rows))

    return ArrowFile(open_reader().schema, batches)


def load_pyarrow(module: str) -> Any:
    """Import a module of pyarrow.

    Raises:
        IncompatibleError: pyarrow is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("pyarrow"):
            raise
        why = "pyarrow is not installed; the extra edgefer[huggingface] includes it"
        raise IncompatibleError("cannot read Parquet and Arrow files", why=why, hint="pip install pyarrow") from error


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise DataError for errors of pyarrow, which mean damaged content."""
    try:
        yield
    except (OSError, ValueError, KeyError, NotImplementedError, EOFError) as error:
        # pyarrow's ArrowInvalid is a ValueError, ArrowNotImplementedError a NotImplementedError.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        why = quote_name(" ".join(str(error).split()))[:200]
        raise DataError(f"{quote_name(path)} is damaged", why=why, hint="copy or download it again") from error
