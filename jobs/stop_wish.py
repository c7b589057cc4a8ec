"""A wish to stop that a signal handler may utter."""

from queue import Empty, SimpleQueue


class StopWish:
    """Set from any thread or signal handler, awaited by one thread.

    A threading.Event does not do: its lock is not reentrant, so that a handler that interrupts the wait of its own
    thread at the wrong moment blocks for ever. SimpleQueue.put is made for that.
    """

    def __init__(self) -> None:
        self._wishes: SimpleQueue[None] = SimpleQueue()
        self._is_heard = False

    def set(self) -> None:
        self._wishes.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Whether it was set, at once or within that time; once true, it stays so."""
        if not self._is_heard:
            try:
                self._wishes.get(timeout=timeout_s)
            except Empty:
                return False
            self._is_heard = True
        return True
