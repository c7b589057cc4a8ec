"""The course of a training run, the same for every family."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor

from model_store.load import settle_float32
from training.engine.beginning import Seen, alone_in, begin, check_folders, check_same_run, report_of, seen_by, settled
from training.engine.card import completed
from training.engine.checkpoint import save
from training.engine.config import CHECKPOINT
from training.engine.data import TrainingVolumes, light_augmentation, prepare_folder
from training.engine.errors import DataRefused
from training.engine.export import export_tensors
from training.engine.family import Family, Trained
from training.engine.precision import PrecisionChosen
from training.engine.report import Progress, Report, Told
from training.engine.stopping import StoppedError, stop_wishes
from training.engine.survey import survey
from training.engine.trainer import Config, Trainer
from training.estimates.memory import estimate
from training.estimates.pace import Pace

Batches = Callable[[int, int], Iterator[list[Tensor]]]
"""(first, last) -> the batches of iterations [first, last): [(n, 1, *shape), (n,) labels] each."""
UNFIT = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)
"""What a state of other networks gives rise to."""


def train(
    config: Config,
    family: Family[Config, Trained],
    progress: Progress | None = None,
    told: Told | None = None,
) -> Path:
    """Train from the last checkpoint in `config.out`, or from the start; returns the exported model's folder.

    Args:
        told: called with what a look at the scans has found and what memory the run will need, before anything is made
            of the scans, and in the run with how long its iterations take.

    Raises:
        DataRefused: the data folder cannot be trained on, or the run does not fit what lies in its folder.
        NotWritten: the model cannot be written.
        StoppedError: by a signal, after a checkpoint.
    """
    family.check(config)
    check_folders(config)
    with alone_in(config.out):
        return _train(config, family, progress, told)


def _train(config: Config, family: Family[Config, Trained], progress: Progress | None, told: Told | None) -> Path:
    """Once the folder is its own. Raises: as `train`."""
    looked = survey(config.data, config.cache)
    config = settled(config, looked)
    check_same_run(config)
    settle_float32(config.precision)
    trainer, checkpoint = family.trainer(config), config.out / CHECKPOINT
    is_new = not resume(trainer, checkpoint, config.device)
    if is_new:
        family.start(trainer)
    elif trainer.iteration > family.last(trainer):
        raise DataRefused(
            f"the run has done {trainer.iteration} iterations, and is asked for {family.last(trainer)}; "
            f"`voxelsmith train export {config.out}` makes a model of it as it is"
        )
    report = report_of(config, looked)
    if told is not None:
        told(report)
        told(PrecisionChosen(config.device, config.precision))
    report.check_window()
    if told is not None and (needed := estimate(trainer, family)) is not None:
        told(needed)
    how = family.preparation(trainer)
    scans = prepare_folder(
        config.data, config.cache, how, family.classes(config), config.skip_unreadable, family.masks(config)
    )
    begin(config, report, scans)
    family.survey(trainer, scans)
    if is_new:
        family.warm_up(trainer, scans, progress, told)
    augmentation = light_augmentation(how.shape) if config.augment == "light" else None
    volumes = TrainingVolumes(scans, config.seed, augmentation)
    loader = partial(family.batches, trainer, volumes)
    fit(trainer, loader, checkpoint, config.log, family.last(trainer), progress, told)
    return _write_model(trainer, family, config.out, Seen(scans=len(scans.paths), spacings_mm=scans.spacings_mm))


def _write_model(trainer: Trained, family: Family[Config, Trained], out: Path, seen: Seen) -> Path:
    """The trainer's networks as a model folder in `out`. Raises: NotWritten."""
    config: Config = trainer.config
    folder = out / config.name
    card = completed(family.card(trainer, seen.scans), config, seen.spacings_mm)
    export_tensors(folder, card, family.tensors(trainer))
    return folder


def export_checkpoint(config: Config, family: Family[Config, Trained], checkpoint: Path, folder: Path) -> Path:
    """A model folder of the networks in a checkpoint of a run, which may be running; the run's own files stay.

    Raises:
        DataRefused: it is no checkpoint of this run.
        NotWritten: the model cannot be written, or is there and is not the run's own.
    """
    config = config.model_copy(update={"name": folder.name})
    trainer = family.trainer(config)
    if not resume(trainer, checkpoint, config.device):
        raise DataRefused(
            f"there is no checkpoint {checkpoint}: a run writes its first one after --save-every iterations"
        )
    return _write_model(trainer, family, folder.parent, seen_by(config.out))


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
            f"{checkpoint} is damaged or of a run with other networks: put one there that --keep-every kept, or begin "
            "anew in another --out"
        ) from err
    return True


def numbered(checkpoint: Path, kind: str, iteration: int, ending: str) -> Path:
    """A file of one iteration beside a checkpoint: samples-000500.png, of a run on slices samples-2d-000500.png."""
    return checkpoint.with_name(f"{checkpoint.stem.replace('checkpoint', kind)}-{iteration:06d}{ending}")


def fit(trainer: Trainer[Config], batches: Batches, checkpoint: Path, log: Path, iterations: int,
        progress: Progress | None = None, told: Told | None = None) -> None:  # fmt: skip
    """Step from the trainer's iteration to `iterations`.

    Args:
        checkpoint: replaced every `save_every` iterations of the run, at the end and where a signal ends it.
        log: TensorBoard's folder.

    Raises:
        StoppedError: by SIGINT or SIGTERM, after the iteration and its checkpoint.
    """
    config, begun, pace = trainer.config, trainer.iteration, Pace(trainer, iterations)
    with Report(log) as report, stop_wishes() as wish:
        for real, labels in batches(begun, iterations):
            losses = trainer.step(real, labels)
            if told is not None and (found := pace.after_step()) is not None:
                told(found)
            done, last = trainer.iteration, trainer.iteration == iterations
            if last or done == begun + 1 or done % config.log_every == 0:
                scalars = {name: float(loss) for name, loss in losses.items()}
                report.scalars(scalars, done)
                if progress is not None:
                    progress(done, iterations, scalars)
            if done % config.picture_every == 0:
                report.pictures("samples", trainer.sample(4), done, numbered(checkpoint, "samples", done, ".png"))
            if last or wish.number is not None or done % config.save_every == 0:
                save(checkpoint, trainer.state())
            if config.keep_every and done % config.keep_every == 0:
                save(numbered(checkpoint, "checkpoint", done, ".pt"), trainer.state())
            if wish.number is not None and not last:
                raise StoppedError(wish.number, done, iterations)
