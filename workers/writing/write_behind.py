"""WriteBehind: one thread that writes a volume while the next one is made."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Self

from workers.steps.recipe_events import Product


class WriteBehind:
    """Takes products one by one and writes them in that order; at most one is in flight.

    What writing raises is raised here at the next call, so that nothing more is made for a job that has failed. At the
    end of its block the thread is done with the last product, whether that went well or not.
    """

    def __init__(self, keep: Callable[[Product], None]) -> None:
        self._keep = keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)

    def put(self, product: Product) -> None:
        """Starts writing, after the product before it. Raises: what writing that one raised."""
        self.settle()
        # In this thread's context, so that its lines in the log tell the job too.
        self._pending = self._thread.submit(copy_context().run, self._keep, product)

    def check(self) -> None:
        """Raises: what writing raised, if it has ended."""
        if self._pending is not None and self._pending.done():
            self.settle()

    def settle(self) -> None:
        """Waits for the product in flight. Raises: what writing it raised."""
        pending = self._pending
        if pending is None:
            return
        try:
            pending.result()
        finally:
            if pending.done():  # a Ctrl-C ends the wait, and not the writing
                self._pending = None
