"""The course of a training run, the same for every family: batches, reports, checkpoints, resumption."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from zipfile import is_zipfile

import torch
from torch import Tensor

from training.engine.checkpoint import save
from training.engine.config import CourseConfig
from training.engine.data import Batches, scans_in
from training.engine.errors import DataRefused
from training.engine.report import Report

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (iterations done, of how many, losses)."""
CONFIG = "config.json"
UNFIT = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)
"""What a state of other networks gives rise to."""


class Trainer(Protocol):
    """Networks and optimisers; what `step` does depends on the batch, the state and the iteration alone."""

    @property
    def iteration(self) -> int:
        """How many are done."""

    def step(self, real: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """One iteration on real data (n, 1, *shape) and labels (n,), -1 without classes; returns the losses."""

    def sample(self, count: int) -> Tensor:
        """(count, 1, *shape) in the network's range, for looking at."""

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on."""

    def restore(self, state: dict[str, Any]) -> None: ...


def check_folders(config: CourseConfig) -> None:
    """Before networks are made: there are scans, and the run's model replaces none that is not the run's own.

    Raises:
        DataRefused: it is not so.
    """
    scans_in(config.data)
    folder = config.out / config.name
    if folder.exists() and _name_of_run(config.out) != config.name:
        raise DataRefused(
            f"{folder} is there and not of this run, which would replace it: take another --name or --out"
        )


def _name_of_run(out: Path) -> str | None:
    """What the run in a folder calls its model; None where there is no run."""
    try:
        return str(json.loads((out / CONFIG).read_bytes())["name"])
    except (OSError, LookupError, TypeError, ValueError):
        return None


def resume(trainer: Trainer, checkpoint: Path, device: str) -> bool:
    """Take up the last checkpoint; False where there is none.

    Raises:
        DataRefused: it is damaged, or of a run whose networks are others.
    """
    if not checkpoint.exists():
        return False
    try:
        # What torch writes is a zip; of anything else nothing is read.
        state = torch.load(checkpoint, map_location=device, weights_only=True) if is_zipfile(checkpoint) else {}
        trainer.restore(state)
    except torch.OutOfMemoryError:
        raise
    except UNFIT as err:
        raise DataRefused(
            f"{checkpoint} is damaged or of a run with other networks: give that run's options, or another --out"
        ) from err
    return True


def begin(config: CourseConfig) -> None:
    """Make the run's folder and write down what the run is, once it is known to fit what lies there."""
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / CONFIG).write_text(config.model_dump_json(indent=2) + "\n")


def fit(trainer: Trainer, batches: Batches, config: CourseConfig, checkpoint: Path, log: Path,
        iterations: int, progress: Progress | None = None) -> None:  # fmt: skip
    """Step from the trainer's iteration to `iterations`.

    Args:
        batches: gives those of iterations [first, last): pairs of data (n, 1, *shape) and labels (n,).
        checkpoint: replaced every `config.save_every` iterations and at the end.
        log: TensorBoard's folder.
    """
    with Report(log) as report:
        for real, labels in batches(trainer.iteration, iterations):
            losses = trainer.step(real, labels)
            done, last = trainer.iteration, trainer.iteration == iterations
            if last or done % config.log_every == 0:
                scalars = {name: float(loss) for name, loss in losses.items()}
                report.scalars(scalars, done)
                if progress is not None:
                    progress(done, iterations, scalars)
            if done % config.picture_every == 0:
                report.pictures("samples", trainer.sample(4), done)
            if last or done % config.save_every == 0:
                save(checkpoint, trainer.state())
