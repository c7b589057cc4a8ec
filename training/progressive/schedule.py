"""When the stages of a progressively grown run begin, fade in and end (bone paper, appendix B)."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

MOST_BATCHES = 8
"""Early stages have at most 8 times the last stage's batch."""


@dataclass(frozen=True)
class Moment:
    """What one iteration, which is one update of the generator, is like."""

    stage: int
    alpha: float
    """How far the stage's new layers are faded in, in (0, 1]; 1 on the first stage."""
    batch_size: int
    decay: float
    """Factor of the learning rates."""


@dataclass(frozen=True)
class Schedule:
    """The first stage lasts `stage_samples` real samples, counted at the critic; each later one fades in for as many
    and then lasts as many again. Every new stage multiplies the learning rates by `stage_decay`."""

    stages: int
    stage_samples: int = 180_000
    batch_size: int = 3
    """Of the last stage; each stage before it has twice as much, at most 8 times as much: 24, 24, 12, 6, 3."""
    critic_steps: int = 6
    stage_decay: float = 0.85

    def batch_at(self, stage: int) -> int:
        """Samples in a batch of stage 1 to N."""
        return self.batch_size * min(MOST_BATCHES, 1 << (self.stages - stage))

    def samples_at(self, stage: int) -> int:
        """Real samples that the critic sees in one iteration of a stage."""
        return self.batch_at(stage) * self.critic_steps

    @cached_property
    def _ends(self) -> list[int]:
        """The iteration after the last one of each half stage: stage 1, then fade-in and rest of each later one."""
        lengths = [-(-self.stage_samples // self.samples_at(1))]
        for stage in range(2, self.stages + 1):
            lengths += [-(-self.stage_samples // self.samples_at(stage))] * 2
        return list(accumulate(lengths))

    @property
    def iterations(self) -> int:
        """Of the whole run."""
        return self._ends[-1]

    @property
    def last_stage(self) -> int:
        """The first iteration of the last stage that has no transition any more."""
        return self._ends[-2] if self.stages > 1 else 0

    @property
    def last_fade(self) -> int:
        """The first iteration of the last stage, which fades in."""
        return self._ends[-3] if self.stages > 1 else 0

    def stage_end(self, iteration: int) -> int | None:
        """The iteration after the last one of an iteration's stage; None in the last stage, which has no end."""
        ends = self._ends[::2]
        return next((end for end in ends[:-1] if iteration < end), None)

    def at(self, iteration: int) -> Moment:
        """What an iteration is like; after the schedule's end it stays as it is then."""
        half = min(bisect_right(self._ends, iteration), len(self._ends) - 1)
        stage = 1 + (half + 1) // 2
        alpha = 1.0
        if half % 2:  # a fade-in; its last iteration reaches 1
            begin, end = self._ends[half - 1], self._ends[half]
            alpha = (iteration + 1 - begin) / (end - begin)
        return Moment(stage, alpha, self.batch_at(stage), self.stage_decay ** (stage - 1))

    def samples(self, first: int, last: int) -> Iterator[range]:
        """Positions in the endless sequence of training samples, one range for each iteration in [first, last)."""
        place = self._seen(first)
        for iteration in range(first, last):
            count = self.samples_at(self.at(iteration).stage)
            yield range(place, place + count)
            place += count

    def items(self, first: int, last: int) -> Iterator[list[tuple[int, int]]]:
        """The same positions, each with how often its volume is halved to be of its iteration's stage."""
        for iteration, places in zip(range(first, last), self.samples(first, last), strict=True):
            halvings = self.stages - self.at(iteration).stage
            yield [(place, halvings) for place in places]

    def _seen(self, iteration: int) -> int:
        """Samples before an iteration."""
        seen, begin = 0, 0
        for half, end in enumerate(self._ends):
            last = end if half < len(self._ends) - 1 else max(end, iteration)
            seen += (min(iteration, last) - begin) * self.samples_at(1 + (half + 1) // 2)
            if iteration <= last:
                break
            begin = last
        return seen
