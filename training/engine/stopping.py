"""SIGINT and SIGTERM in the middle of training: the iteration ends, the checkpoint is written, and the run stops."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(Exception):
    """A run that a signal ended after its checkpoint was written."""

    def __init__(self, number: int, iteration: int, last: int) -> None:
        super().__init__(f"stopped after iteration {iteration} of {last}; the checkpoint is written")
        self.number, self.iteration, self.last = number, iteration, last


class StopWish:
    """The signal that came, if one did."""

    number: int | None = None

    def take(self, number: int, _frame: FrameType | None) -> None:
        """A second signal ends the process at once, as it would have without us."""
        if self.number is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.number = number


@contextmanager
def stop_wishes() -> Iterator[StopWish]:
    """Signals are noted in the block instead of ending the process; outside the main thread none can be."""
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.signal(number, wish.take) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
