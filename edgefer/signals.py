"""Turn SIGTERM and SIGHUP into exceptions, so that finally blocks run as after Ctrl-C.

    with signals_as_exceptions():
        ...                                         # raises Terminated

Otherwise these signals end the process immediately, without the removal of temporary folders and connections.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Terminated", "signals_as_exceptions"]

# Windows has no SIGHUP.
HANDLED = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP; code that handles Ctrl-C also handles this exception.

    Attributes:
        number: number of the signal.
        exit_code: 128 plus the number, as a shell reports it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number, self.exit_code = number, 128 + number


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise Terminated in the main thread on SIGTERM and SIGHUP until the block ends.

    A signal that the parent has set to be ignored, as nohup does, stays ignored. After the first signal, further ones
    are ignored, so that they do not interrupt the cleanup. In another thread this function has no effect.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in HANDLED if signal.getsignal(number) is signal.SIG_DFL]

    def handle(number: int, frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Terminated(number)

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
