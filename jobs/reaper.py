"""Reaper: a thread that recovers what lost workers left behind. One runs in every API and every supervisor."""

import logging
import threading
import time
from collections.abc import Callable

from contract.errors import VoxelsmithError
from jobs.upkeep import SWEEP_EVERY_S, Upkeep

log = logging.getLogger("voxelsmith.reaper")


class Reaper(threading.Thread):
    """Calls Upkeep.reap a few times per lease and Upkeep.sweep at the start and every hour."""

    def __init__(self, upkeep: Upkeep, then: Callable[[], object] | None = None) -> None:
        """`then` is called after each round; it may raise VoxelsmithError."""
        super().__init__(name="reaper", daemon=True)
        self._upkeep, self._then = upkeep, then
        # With a lease of 30 s a lost worker is noticed after at most 35 s.
        self._period_s = min(5.0, upkeep.settings.lease_s / 4)
        self._over = threading.Event()
        self._swept = float("-inf")

    def run(self) -> None:
        while not self._over.wait(self._period_s):
            try:
                self._upkeep.reap()
                if time.monotonic() - self._swept > SWEEP_EVERY_S:
                    self._swept = time.monotonic()
                    self._upkeep.sweep()
                if self._then is not None:
                    self._then()
            except VoxelsmithError as err:
                log.warning("will try again: %s", err.detail)

    def stop(self) -> None:
        """Ends the thread and waits for it."""
        self._over.set()
        self.join()
