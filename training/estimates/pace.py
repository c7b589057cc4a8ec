"""How long the iterations of a run take, measured over its first ones and told as soon as it is known."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from training.engine.trainer import Trainer

LEAST = 2
"""Iterations that are timed; the one before them, which also prepares the libraries, is not."""


@dataclass(frozen=True)
class PaceFound:
    """Seconds an iteration, of those up to `until` in a run up to `last`."""

    iteration_s: float
    done: int
    until: int
    last: int

    def lines(self) -> Iterator[str]:
        """One."""
        left = duration((self.until - self.done) * self.iteration_s)
        told = f"about {_figures(self.iteration_s)} an iteration: {left} to iteration {self.until}"
        yield told if self.until == self.last else f"{told} of {self.last}; those after it are others, told then"

    def warnings(self) -> Iterator[str]:
        """None."""
        yield from ()


class Pace:
    """A clock beside a run. Where iterations begin to be of another kind it begins anew."""

    def __init__(self, trainer: Trainer[Any], last: int) -> None:
        self._trainer, self._last = trainer, last
        self._timed = max(LEAST, trainer.cycle)
        self._begin()

    def _begin(self) -> None:
        done = self._trainer.iteration
        until = self._trainer.alike_until()
        self._first, self._until = done + 1, self._last if until is None else min(until, self._last)

    def after_step(self) -> PaceFound | None:
        """What is known now and was not before."""
        done = self._trainer.iteration
        if done == self._first:
            self._since = self._now()
        elif done == self._first + self._timed:
            return PaceFound((self._now() - self._since) / self._timed, done, self._until, self._last)
        if done == self._until:
            self._begin()
        return None

    def _now(self) -> float:
        """Once the device has done what it was given."""
        if self._trainer.config.device != "cpu":
            torch.cuda.synchronize(self._trainer.config.device)
        return time.monotonic()


def duration(seconds: float) -> str:
    """50 s, 12 min, 4 h 20 min, 3 d 4 h."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{minutes // 60} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _figures(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
