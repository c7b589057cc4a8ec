"""The course of a training run, the same for every family."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from model_store.folder import replacing
from training.engine.checkpoint import save
from training.engine.config import CHECKPOINT, CONFIG, CourseConfig
from training.engine.data import TrainingVolumes, light_augmentation, prepare_folder, scans_in
from training.engine.errors import DataRefused
from training.engine.export import export_tensors
from training.engine.family import Family, Trained
from training.engine.report import Progress, Report
from training.engine.trainer import Config, Trainer

Batches = Callable[[int, int], Iterator[list[Tensor]]]
"""(first, last) -> the batches of iterations [first, last): [(n, 1, *shape), (n,) labels] each."""
UNFIT = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)
"""What a state of other networks gives rise to."""


def train(config: Config, family: Family[Config, Trained], progress: Progress | None = None) -> Path:
    """Train from the last checkpoint in `config.out`, or from the start; returns the exported model's folder.

    Raises:
        DataRefused: the data folder cannot be trained on, or the run does not fit what lies in its folder.
        NotWritten: the model cannot be written.
    """
    family.check(config)
    check_folders(config)
    trainer, checkpoint = family.trainer(config), config.out / CHECKPOINT
    is_new = not resume(trainer, checkpoint, config.device)
    if is_new:
        family.start(trainer)
    how = family.preparation(trainer)
    scans = prepare_folder(config.data, config.cache, how, family.classes(config), config.skip_unreadable)
    begin(config)
    family.survey(trainer, scans)
    if is_new:
        family.warm_up(trainer, scans, progress)
    augmentation = light_augmentation(how.shape) if config.augment == "light" else None
    volumes = TrainingVolumes(scans, config.seed, augmentation)
    fit(trainer, partial(family.batches, trainer, volumes), checkpoint, config.log, family.last(trainer), progress)
    folder = config.out / config.name
    export_tensors(folder, family.card(trainer, len(scans.paths)), family.tensors(trainer))
    return folder


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


def resume(trainer: Trainer[Any], checkpoint: Path, device: str) -> bool:
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
    with replacing(config.out / CONFIG) as partial:
        partial.write_text(config.model_dump_json(indent=2) + "\n")


def fit(trainer: Trainer[Config], batches: Batches, checkpoint: Path, log: Path, iterations: int,
        progress: Progress | None = None) -> None:  # fmt: skip
    """Step from the trainer's iteration to `iterations`.

    Args:
        checkpoint: replaced every `save_every` iterations of the run and at the end.
        log: TensorBoard's folder.
    """
    config = trainer.config
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
