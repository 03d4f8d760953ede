"""Native libraries that write to the terminal behind Python's back, kept quiet while all goes well.

    with quiet():
        interpreter.allocate_tensors()              # "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what C++ code writes to stderr, and Python code to stdout; what stderr got is shown if the block raises."""
    try:
        kept = os.dup(2)
    except OSError:  # a service without a stderr
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except BaseException:
            log.seek(0)
            os.write(kept, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
